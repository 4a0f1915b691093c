"""Clients' own sessions: the timeline of pushed speech, interruptions, and many over one socket."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import PATIENCE
from websockets.sync.client import ClientConnection, connect

from head.rig import builtin_head
from stream.backends.registry import load_backend
from stream.clock import FakeClock
from stream.core.conditions import ConditionChange
from stream.core.session import Session
from stream.frames import Frame
from stream.run.push_session import EASE_FRAMES, ClientSession, SessionFactory
from stream.run.push_timeline import PushTimeline
from stream.run.scheduler import Scheduler
from stream.serve.limits import Limits
from stream.serve.server import Server
from stream.wire import codec, messages
from stream.wire.channels import make_hello
from stream.wire.codec import Flag, Kind

HEAD = builtin_head()
BACKEND = load_backend("fake")
SPEECH = np.random.default_rng(0).normal(0, 0.15, 16000 * 6).clip(-1, 1).astype("f4")
JAW = 53


# --- the timeline ------------------------------------------------------------------------------
@given(
    pieces=st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 4000)), max_size=12),
    ahead=st.sampled_from([0, 960_000]),
    most=st.sampled_from([640, 5000]),
)
@settings(max_examples=30, deadline=None)
def test_what_was_pushed_is_laid_once_in_order_with_silence_between(
    pieces: list[tuple[int, int]], ahead: int, most: int
) -> None:
    timeline = PushTimeline(ahead=ahead, capacity=960_000, cushion=640)
    now, laid, mark = 0, [np.zeros(0, "f4")], 1
    for wait, length in pieces:
        now += wait
        assert timeline.push(np.arange(mark, mark + length, dtype="f4"), now)
        mark += length
        laid.append(timeline.take(now, most))
        assert timeline.end <= now + ahead
    for _ in range(60):
        now += 640
        laid.append(timeline.take(now, most))
    whole = np.concatenate(laid)
    assert np.array_equal(whole[whole > 0], np.arange(1, mark, dtype="f4"))
    assert len(whole) == timeline.end
    if most == 5000:
        assert timeline.end >= now  # it has caught up


def test_a_timeline_lays_as_little_as_it_is_asked_for() -> None:
    timeline = PushTimeline(ahead=960_000, capacity=960_000, cushion=640)
    assert timeline.push(np.ones(10, "f4"), 0)
    assert [len(timeline.take(0, most)) for most in (0, 1, 5)] == [0, 1, 5]


def test_a_timeline_holds_a_minute_and_no_more() -> None:
    timeline = PushTimeline(ahead=960_000, capacity=960_000, cushion=640)
    assert timeline.push(np.ones(950_000, "f4"), 0)
    assert not timeline.push(np.ones(20_000, "f4"), 0)
    timeline.take(0, 960_000)
    assert timeline.push(np.ones(20_000, "f4"), 16_000)


# --- one session, run by hand ------------------------------------------------------------------
class ScheduledSession:
    """A scheduler's scheduled that computes at once, in the thread that feeds."""

    def __init__(self, session: Session, deliver: Callable[[list[Frame]], None]) -> None:
        self.session, self.deliver = session, deliver
        self.heard: list[np.ndarray[Any, Any]] = []
        self.queue: list[np.ndarray[Any, Any]] = []
        self.paused = self.closed = self._busy = False

    def feed(self, block: np.ndarray[Any, Any]) -> bool:
        self.queue.append(block)
        self.run()
        return True

    def run(self) -> None:
        if self._busy or self.paused:
            return
        self._busy = True
        while self.queue:
            block = self.queue.pop(0)
            self.heard.append(block)
            self.session.append(block)
            while self.session.pending_hops:
                self.deliver(self.session.step())
        self._busy = False

    def interrupt(self) -> None:
        self.queue = [np.zeros_like(block) for block in self.queue]

    def close(self) -> None:
        self.closed = True

    def change(self, wish: ConditionChange) -> None:
        self.session.change(wish)


class Desk:
    """A scheduler of such scheduled_sessions, and the one who listens."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.events: list[tuple[str, Any]] = []

    def open(self, session: Session, deliver: Any, **_: Any) -> ScheduledSession:
        self.scheduled = ScheduledSession(session, deliver)
        return self.scheduled

    def close(self) -> None: ...

    def session_frames(self, own: ClientSession, frames: list[Frame]) -> None:
        self.events += [("frame", frame) for frame in frames]

    def session_audio(self, own: ClientSession, start: int, samples: Any) -> None:
        self.events.append(("audio", (start, samples)))

    def session_cut(self, own: ClientSession, sample: int) -> None:
        self.events.append(("cut", sample))

    def session_ended(self, own: ClientSession, error: Exception | None) -> None:
        self.events.append(("end", error))

    def make(self, **options: Any) -> ClientSession:
        return ClientSession(self, Session(BACKEND), self, clock=self.clock, **options)

    def wait(self, own: ClientSession, seconds: float) -> None:
        for _ in range(round(seconds * 50)):
            self.clock.advance(0.02)
            own.pump()

    @property
    def frames(self) -> list[Frame]:
        return [value for kind, value in self.events if kind == "frame"]

    def player(self) -> tuple[dict[int, Frame], np.ndarray[Any, Any]]:
        """What a client that obeys the protocol holds in the end: frames, and audio."""
        frames: dict[int, Frame] = {}
        audio = np.full(16000 * 100, np.nan, "f4")
        for kind, value in self.events:
            if kind == "frame":
                assert value.sample not in frames and value.sample % 640 == 0
                frames[value.sample] = value
            elif kind == "audio":
                start, samples = value
                assert np.isnan(audio[start : start + len(samples)]).all()
                audio[start : start + len(samples)] = samples
            elif kind == "cut":
                frames = {at: frame for at, frame in frames.items() if at < value}
                audio[value:] = np.nan
        return frames, audio[: int(np.flatnonzero(~np.isnan(audio))[-1]) + 1]


def test_pushed_speech_becomes_frames_at_once_and_they_are_those_of_a_plain_session() -> None:
    desk = Desk()
    own = desk.make()
    assert own.push(SPEECH)
    assert len(desk.frames) >= 148  # of 150 and the cushion; no time has passed
    own.flush()
    frames, audio = desk.player()
    assert [frame.sequence for frame in frames.values()] == list(range(len(frames)))
    assert np.array_equal(audio[640 : 640 + len(SPEECH)], SPEECH)
    plain = Session(BACKEND).feed(audio)
    assert len(plain) == len(frames) >= 150
    for mine, its in zip(frames.values(), plain, strict=True):
        assert mine.sample == its.sample and np.array_equal(mine.motion, its.motion)


def test_a_live_session_never_runs_ahead_of_time() -> None:
    desk = Desk()
    own = desk.make(fast=False)
    own.push(SPEECH)
    for _ in range(40):
        desk.wait(own, 0.1)
        assert all(frame.sample + own.lookahead <= own.now for frame in desk.frames)
    assert len(desk.frames) >= 95  # of 100


def test_in_silence_time_goes_on_and_speech_later_lies_where_the_clock_is() -> None:
    desk = Desk()
    own = desk.make()
    desk.wait(own, 3.0)
    assert len(desk.frames) == pytest.approx(75, abs=4)
    own.push(SPEECH[:8000])
    _, audio = desk.player()
    assert int(np.flatnonzero(audio)[0]) == pytest.approx(48000 + 640, abs=2)
    desk.wait(own, 3.0)
    assert len(desk.frames) == pytest.approx(150, abs=4)


def test_a_session_that_is_not_alive_sleeps_until_it_is_spoken_to() -> None:
    desk = Desk()
    own = desk.make(alive=False)
    own.push(SPEECH[:16000])
    desk.wait(own, 10.0)
    assert len(desk.frames) == pytest.approx(75, abs=4)  # a second, and two of silence
    own.push(SPEECH[:16000])
    own.flush()
    frames, audio = desk.player()
    late = [at for at in frames if at > 16000 * 9]
    assert min(late) == pytest.approx(16000 * 10, abs=3000) and len(frames) < 110
    spoken = np.flatnonzero(np.nan_to_num(audio[16000 * 9 :]))[0] + 16000 * 9
    assert spoken == pytest.approx(16000 * 10 + 640, abs=700)
    jaws = {at: float(frame.motion[JAW]) for at, frame in frames.items()}
    assert max(jaws[at] for at in late) > 0.05, "it speaks again, in its frames' own time"
    opened = min(at for at in late if jaws[at] > 0.02)
    assert opened == pytest.approx(spoken, abs=1280)


@pytest.mark.parametrize("at", [None, 20_000])
def test_an_interruption_takes_back_what_lies_ahead_and_eases_to_rest(at: int | None) -> None:
    desk = Desk()
    own = desk.make()
    own.push(SPEECH)
    desk.wait(own, 1.5)  # the clock is at 24000, the frames are at six seconds
    before = {frame.sample: frame for frame in desk.frames}
    own.interrupt(at)
    cut = next(value for kind, value in desk.events if kind == "cut")
    assert cut == -(-(24_000 if at is None else at) // 640) * 640
    desk.wait(own, 1.5)
    frames, audio = desk.player()
    assert sorted(frames) == list(range(0, max(frames) + 1, 640)), "none is missing"
    numbers = [frame.sequence for frame in desk.frames]
    assert numbers == list(range(len(numbers)))
    assert all(frames[sample] is before[sample] for sample in range(0, cut, 640))
    assert not np.nan_to_num(audio[cut:]).any() and not np.isnan(audio).any()
    jaws = [float(frames[sample].motion[JAW]) for sample in range(cut - 640, max(frames), 640)]
    assert jaws[0] > 0.05, "it was cut in mid-speech"
    assert max(abs(np.diff(jaws))) < 0.05, "no jump"
    assert max(jaws[EASE_FRAMES + 2 :]) < 0.005, "closed, and it stays so"
    assert max(frames) >= 16000 * 3 - 6 * 640, "time has gone on"
    own.push(SPEECH[:3200])
    own.flush()
    _, audio = desk.player()
    assert int(np.flatnonzero(audio[cut:])[0]) + cut == pytest.approx(16000 * 3 + 640, abs=700)


def test_interruptions_at_any_time_lose_nothing() -> None:
    random = np.random.default_rng(5)
    desk = Desk()
    own = desk.make()
    for _ in range(60):
        what = random.integers(4)
        if what == 0:
            own.push(SPEECH[: random.integers(1, 40000)])
        elif what == 1:
            own.interrupt(None if random.random() < 0.5 else int(random.integers(-(2**40), 2**40)))
        elif what == 2:
            own.flush()
        desk.scheduled.paused = bool(random.random() < 0.3)
        desk.wait(own, float(random.uniform(0, 0.8)))
        desk.scheduled.paused = False
        desk.scheduled.run()
    own.interrupt()
    desk.wait(own, 2.0)
    frames, audio = desk.player()
    assert sorted(frames) == list(range(0, max(frames) + 1, 640))
    assert not np.isnan(audio).any()
    assert own.now - 6 * 640 <= max(frames) <= own.now


def test_a_machine_that_cannot_follow_leaves_silence_out() -> None:
    desk = Desk()
    own = desk.make(fast=False)
    desk.wait(own, 1.0)
    desk.scheduled.paused = True
    desk.wait(own, 10.0)
    desk.scheduled.paused = False
    desk.scheduled.run()
    desk.wait(own, 1.0)
    assert max(frame.sample for frame in desk.frames) > own.now - 5 * 640
    assert len(desk.frames) < 150


# --- over the socket, with the real scheduler --------------------------------------------------
@pytest.fixture
def server() -> Iterator[Server]:
    sessions = SessionFactory(lambda: Scheduler(BACKEND, 3), BACKEND)
    hello = make_hello(HEAD, style="neutral", styles=["neutral"])
    with Server(HEAD, hello, port=0, sessions=sessions) as running:
        yield running


def read(socket: ClientConnection) -> Any:
    data = socket.recv(timeout=PATIENCE)
    return codec.parse(data) if isinstance(data, bytes) else codec.parse_text(data)


def until(socket: ClientConnection, kind: Any) -> Any:
    while not isinstance(message := read(socket), kind):
        pass
    return message


@contextlib.contextmanager
def opened(server: Server, **wish: Any) -> Iterator[ClientConnection]:
    """A client that has asked for its own session."""
    with connect(server.url, compression=None, max_size=None, close_timeout=0.5) as socket:
        assert "open" in (until(socket, messages.Hello).accepts or [])
        socket.send(codec.serialise_text(messages.Subscribe("flame", audio=True)))
        socket.send(codec.serialise_text(messages.Open(**wish)))
        yield socket


def pcm(samples: Any, number: int = 0) -> bytes:
    return codec.serialise(
        codec.Message(Kind.PCM, number, 0, np.int16(samples * 32767), Flag.INT16)
    )


def test_speech_pushed_faster_than_time_comes_back_as_frames_and_sound(server: Server) -> None:
    with opened(server) as socket:
        told = until(socket, messages.Opened)
        assert abs(told.time - time.time()) < 5 and told.ahead == 960_000
        assert (told.lookahead, told.hop) == (1280, 1280)
        began = time.monotonic()
        at = 0
        for size in (1, 7, 160, 30000, 5000, 60832):  # any sizes: 96000 samples, 6 s
            socket.send(pcm(SPEECH[at : at + size]))
            at += size
        assert at == len(SPEECH)
        socket.send('{"type":"flush"}')
        frames: list[codec.Message] = []
        heard: list[Any] = []
        while not frames or frames[-1].sample < len(SPEECH):
            message = read(socket)
            if isinstance(message, codec.Message):
                (frames if message.kind == Kind.FLAME else heard).append(message)
        assert time.monotonic() - began < 5.0, "as fast as they can be made: six seconds of it"
        assert [m.sequence for m in frames] == list(range(len(frames)))
        assert [m.sample for m in frames] == [640 * k for k in range(len(frames))]
        assert [m.sequence for m in heard] == list(range(len(heard)))
        audio = np.concatenate([m.payload for m in heard])
        begin = int(np.flatnonzero(audio)[0])
        same = audio[begin : begin + len(SPEECH)]
        assert np.abs(same - SPEECH[: len(same)]).max() < 1e-3
        jaws = np.array([m.payload[JAW] for m in frames])
        assert jaws[begin // 640 + 3 : 140].min() > 0.05


def test_an_interruption_over_the_socket(server: Server) -> None:
    with opened(server) as socket:
        until(socket, messages.Opened)
        socket.send(pcm(SPEECH))
        held: dict[int, float] = {}
        while len(held) < 100:
            message = read(socket)
            if isinstance(message, codec.Message) and message.kind == Kind.FLAME:
                held[message.sample] = float(message.payload[JAW])
        socket.send('{"type":"interrupt","at":32000}')
        cut = until(socket, messages.Interrupted).sample
        assert cut == 32000
        held = {sample: jaw for sample, jaw in held.items() if sample < cut}
        while len(held) < 75:
            message = read(socket)
            if isinstance(message, codec.Message) and message.kind == Kind.FLAME:
                assert message.sample not in held
                held[message.sample] = float(message.payload[JAW])
        assert sorted(held) == [640 * k for k in range(75)]
        assert held[31360] > 0.05 and max(held[640 * k] for k in range(65, 75)) < 0.005


def test_own_sessions_do_not_see_each_other_nor_the_servers_frames(server: Server) -> None:
    with opened(server) as one, opened(server, pace="live", seed=3) as other:
        until(one, messages.Opened)
        until(other, messages.Opened)
        one.send(pcm(SPEECH[:16000]))
        server.on_frame(Frame(0, 0, np.full(54, 0.5, "f4")))
        loud = [until(one, codec.Message) for _ in range(30)]
        quiet = [until(other, codec.Message) for _ in range(30)]
        mouths = [
            [float(m.payload[JAW]) for m in got if m.kind == Kind.FLAME] for got in (loud, quiet)
        ]
        assert max(mouths[0]) > 0.05 and max(mouths[1]) < 0.01 and max(map(max, mouths)) < 0.4
        one.send('{"type":"close"}')
        assert until(one, messages.Closed).frames > 0
        server.on_frame(Frame(7, 4480, np.full(54, 0.25, "f4")))
        while (message := until(one, codec.Message)).kind != Kind.FLAME or message.sequence != 7:
            pass
        assert message.payload[0] == 0.25


def test_beyond_the_capacity_there_is_a_clear_refusal_until_one_leaves(server: Server) -> None:
    with contextlib.ExitStack() as rest, contextlib.ExitStack() as first:
        sockets = [first.enter_context(opened(server))]
        sockets += [rest.enter_context(opened(server)) for _ in range(3)]
        for socket in sockets[:3]:
            until(socket, messages.Opened)
        error = until(sockets[3], messages.Error)
        assert (error.code, error.fatal) == ("capacity", False) and "3" in error.message
        first.close()
        for _ in range(50):
            sockets[3].send('{"type":"open"}')
            answer = until(sockets[3], messages.Opened | messages.Error)
            if isinstance(answer, messages.Opened):
                break
            time.sleep(0.1)
        assert isinstance(answer, messages.Opened)


@pytest.mark.parametrize(
    "wish",
    [
        {"head": "somebody"},
        {"style": "drunken"},
        {"pace": "slow"},
        {"shape": [1e30] * 100},
        {"shape": [1.0]},
        {"audio_guidance": -1.0},
    ],
)
def test_sessions_that_cannot_be_are_refused(server: Server, wish: dict[str, Any]) -> None:
    with opened(server, **wish) as socket:
        error = until(socket, messages.Error)
        assert (error.code, error.fatal) == ("open", False) and error.message
        socket.send('{"type":"flush"}')
        assert until(socket, messages.Error).code == "no_session"


def test_a_session_is_steered_by_its_client(server: Server) -> None:
    with opened(server, seed=-5, shape=[0.5] * 100) as socket:
        until(socket, messages.Opened)
        socket.send('{"type":"guidance","style_guidance":2}')
        assert until(socket, messages.Guidance) == messages.Guidance(1.0, 2.0)
        socket.send('{"type":"guidance","style_guidance":-2}')
        assert until(socket, messages.Error).code == "guidance"
        socket.send('{"type":"style","name":"neutral"}')
        assert until(socket, messages.Style).name == "neutral"
        socket.send('{"type":"style","name":"drunken"}')
        assert until(socket, messages.Error).code == "no_such_style"
        socket.send('{"type":"open"}')
        assert until(socket, messages.Closed).reason == "opened again"
        until(socket, messages.Opened)


def test_a_session_has_its_time() -> None:
    sessions = SessionFactory(lambda: Scheduler(BACKEND, 1), BACKEND)
    limits = Limits(session_seconds=0.3)
    with (
        Server(HEAD, make_hello(HEAD), port=0, sessions=sessions, limits=limits) as server,
        opened(server) as socket,
    ):
        until(socket, messages.Opened)
        assert until(socket, messages.Closed).reason == "too long"


def test_what_does_not_fit_is_refused_whole_and_may_come_again(server: Server) -> None:
    with opened(server) as socket:
        until(socket, messages.Opened)
        minute = np.resize(SPEECH, 16000 * 30)
        for _ in range(3):
            socket.send(pcm(minute))
        assert until(socket, messages.Error).code == "audio_full"
        socket.send('{"type":"interrupt"}')
        until(socket, messages.Interrupted)
        socket.send(pcm(SPEECH[:16000]))
        socket.send('{"type":"ping","id":9}')
        while not isinstance(message := read(socket), messages.Pong):
            assert not isinstance(message, messages.Error)


def test_threads_end_with_the_server() -> None:
    before = {thread.name for thread in threading.enumerate()}
    sessions = SessionFactory(lambda: Scheduler(BACKEND, 1), BACKEND)
    with (
        Server(HEAD, make_hello(HEAD), port=0, sessions=sessions) as server,
        opened(server) as socket,
    ):
        until(socket, messages.Opened)
        assert "scheduler" in {thread.name for thread in threading.enumerate()}
    left = {thread.name for thread in threading.enumerate()} - before
    assert not {name for name in left if name in ("scheduler", "websocket-server")}
