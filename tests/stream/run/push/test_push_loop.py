"""The server's own stream from pushed speech: made at once, shown in time, taken back when cut."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import PATIENCE

from head.rig import builtin_head
from posetalk import Client
from stream.backends.registry import load_backend
from stream.clock import FakeClock
from stream.core.session import Session
from stream.frames import FRAME_SAMPLES, Frame
from stream.run.push.loop import PushLoop
from stream.run.sinks import Collected, FrameTiming
from stream.serve.server import Server
from stream.wire import messages
from stream.wire.channels import make_hello

HEAD = builtin_head()
BACKEND = load_backend("fake")
SPEECH = np.random.default_rng(0).normal(0, 0.15, 16000 * 4).clip(-1, 1).astype("f4")
JAW = 53


class AtOnce:
    """A scheduler and its scheduled that computes in the thread that feeds."""

    def open(self, session: Session, deliver: Callable[[list[Frame]], None], **_: Any) -> AtOnce:
        self.session, self.deliver = session, deliver
        self.queue: list[np.ndarray[Any, Any]] = []
        self.busy = False
        return self

    def feed(self, block: np.ndarray[Any, Any]) -> bool:
        self.queue.append(block)
        if not self.busy:
            self.busy = True
            while self.queue:
                self.session.append(self.queue.pop(0))
                while self.session.pending_hops:
                    self.deliver(self.session.step())
            self.busy = False
        return True

    def interrupt(self) -> None:
        self.queue = [np.zeros_like(block) for block in self.queue]

    def close(self) -> None: ...
    def set_style(self, style: Any) -> None: ...
    def set_guidance(self, audio: float | None = None, style: float | None = None) -> None: ...


class Early(Collected):
    """A viewer that wants everything ahead of time, and what it holds after all that was cut."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[int, Frame] = {}
        self.sound = np.zeros(0, np.float32)

    def on_early_frame(self, frame: Frame, timing: FrameTiming) -> None:
        assert frame.sample not in self.held, "nothing comes twice but what was taken back"
        self.held[frame.sample] = frame

    def on_early_audio(self, start: int, samples: Any) -> None:
        assert start == len(self.sound)
        self.sound = np.concatenate([self.sound, samples])

    def on_interrupt(self, sample: int) -> None:
        super().on_interrupt(sample)
        self.held = {at: frame for at, frame in self.held.items() if at < sample}
        self.sound = self.sound[:sample]


def by_hand() -> tuple[PushLoop, Early, FakeClock]:
    clock, sink = FakeClock(), Early()
    loop = PushLoop(Session(BACKEND), [sink], early=sink, clock=clock, start=AtOnce)
    loop.begin()
    return loop, sink, clock


STEP = st.one_of(
    st.tuples(st.just("push"), st.integers(1, 40_000)),
    st.tuples(st.just("wait"), st.integers(1, 60)),  # hundredths of a second
    st.tuples(st.just("interrupt"), st.just(0)),
)


@given(steps=st.lists(STEP, max_size=25))
@settings(max_examples=40)
def test_whatever_is_pushed_and_cut_viewers_in_time_and_ahead_of_it_see_the_same(
    steps: list[tuple[str, int]],
) -> None:
    loop, sink, clock = by_hand()
    for what, size in steps:
        if what == "push":
            loop.push(SPEECH[:size])
        elif what == "interrupt":
            loop.interrupt()
        else:
            for _ in range(size):
                clock.advance(0.01)
                before = len(sink.frames)
                loop.advance()
                due = int(clock.now() * 16000 + 0.5)
                assert all(f.sample + FRAME_SAMPLES <= due for f in sink.frames[before:])
    for _ in range(100):
        clock.advance(0.04)
        loop.advance()
    shown = sink.frames
    assert [frame.sequence for frame in shown] == list(range(len(shown)))
    assert [frame.sample for frame in shown] == [FRAME_SAMPLES * k for k in range(len(shown))]
    now = int(clock.now() * 16000)
    assert len(shown) * FRAME_SAMPLES >= now - 6 * FRAME_SAMPLES, "none is missing"
    for frame in shown:
        assert np.array_equal(sink.held[frame.sample].motion, frame.motion)
    heard = np.concatenate(sink.pieces)
    assert np.array_equal(heard, sink.sound[: len(heard)])


@given(sizes=st.lists(st.integers(1, 30_000), min_size=1, max_size=8))
@settings(max_examples=25)
def test_pushed_faster_than_time_it_is_the_session_of_the_whole_sound(sizes: list[int]) -> None:
    loop, sink, clock = by_hand()
    pieces, at = [], 0
    for size in sizes:
        pieces.append(SPEECH[at : at + size])
        at += size
        loop.push(pieces[-1])
    said = np.concatenate(pieces)
    assert clock.now() == 0.0 and not sink.frames, "no time has passed, so nothing is due"
    cushion = np.zeros(640, np.float32)
    whole = Session(BACKEND).feed(np.concatenate([cushion, said]))
    made = list(sink.held.values())
    assert len(made) == len(whole) and len(whole) * FRAME_SAMPLES > len(said) - 5 * FRAME_SAMPLES
    assert np.array_equal([f.motion for f in made], [f.motion for f in whole])
    assert [f.sample for f in made] == [f.sample for f in whole]


def test_an_interruption_closes_the_mouth_and_nobody_sees_what_was_made() -> None:
    loop, sink, clock = by_hand()
    loop.push(SPEECH)
    for _ in range(100):
        clock.advance(0.01)
        loop.advance()
    assert sink.frames[-1].motion[JAW] > 0.05
    loop.interrupt()
    cut = sink.cuts[-1]
    assert cut <= 16000 + 640
    for _ in range(100):
        clock.advance(0.01)
        loop.advance()
    jaws = {frame.sample: float(frame.motion[JAW]) for frame in sink.frames}
    assert max(jaw for sample, jaw in jaws.items() if sample >= cut + 11 * 640) < 0.005
    steps = np.abs(np.diff([jaw for sample, jaw in jaws.items() if sample >= cut - 640]))
    assert steps.max() < 0.08, "it eases"
    assert not np.concatenate(sink.pieces)[cut:].any()
    assert loop.statistics.interrupts == 1


def test_frames_made_ahead_have_no_latency_and_late_ones_have() -> None:
    loop, sink, clock = by_hand()
    loop.push(SPEECH[:32000])
    for _ in range(150):
        clock.advance(0.01)
        loop.advance()
    for timing in sink.timings:
        moments = (timing.captured, timing.complete, timing.arrived, timing.began, timing.computed)
        assert list(moments) == sorted(moments)
    assert loop.statistics.latency().p99 < 35
    first = sink.timings[0]
    assert first.captured == pytest.approx(0.02)


def test_what_is_pushed_before_it_begins_is_spoken_first() -> None:
    sink, clock = Early(), FakeClock()
    loop = PushLoop(Session(BACKEND), [sink], early=sink, clock=clock, start=AtOnce)
    assert loop.push(SPEECH[:8000]) and loop.push(SPEECH[8000:16000])
    assert not loop.push(np.zeros(960_000, np.float32)), "no more than a minute"
    loop.begin()
    assert np.array_equal(sink.sound[640 : 640 + 9000], SPEECH[:9000])


def test_a_sink_that_fails_is_left_out_and_told_in_the_end() -> None:
    class Broken(Collected):
        def on_frame(self, frame: Frame, timing: FrameTiming) -> None:
            raise OSError("the disk is full")

    good = Collected()
    loop = PushLoop(Session(BACKEND), [Broken(), good])
    with pytest.raises(OSError, match="disk is full"):
        loop.run(seconds=0.4)
    assert len(good.frames) == 10


def test_a_session_that_fails_ends_the_run() -> None:
    class Failing(type(BACKEND)):  # type: ignore[misc]
        def sample(self, call: Any) -> Any:
            raise RuntimeError("out of memory")

    loop = PushLoop(Session(Failing()), [Collected()])
    with pytest.raises(RuntimeError, match="out of memory"):
        loop.run(seconds=20)


# --- over the socket ---------------------------------------------------------------------------
@pytest.fixture
def avatar() -> Any:
    stop = threading.Event()
    with Server(HEAD, make_hello(HEAD), port=0) as server:
        loop = PushLoop(Session(BACKEND), [server], early=server)
        server.controls.push, server.controls.interrupt, server.controls.sends_early = (
            loop.push,
            loop.interrupt,
            True,
        )
        thread = threading.Thread(target=loop.run, kwargs={"stop": stop})
        thread.start()
        yield server
        stop.set()
        thread.join(PATIENCE)


def test_who_wants_frames_ahead_gets_them_at_once_and_the_others_in_time(avatar: Server) -> None:
    with Client(avatar.url, ahead=True) as early, Client(avatar.url) as plain:
        assert "ahead" in (early.hello.accepts or [])
        began = time.monotonic()
        early.push(SPEECH)
        first = [next(early.frames()) for _ in range(90)]  # 3.6 s of speech
        took = time.monotonic() - began
        assert took < 3.0, "as fast as they can be made"
        assert [f.sequence for f in first] == list(range(first[0].sequence, first[0].sequence + 90))
        seen = next(plain.frames())
        while seen.sample < first[20].sample:
            seen = next(plain.frames())
            assert seen.sample < first[89].sample, "not before its time"
        assert np.array_equal(seen.values, first[20].values)
        early.interrupt()
        events = early.events()
        while not isinstance(event := next(events), messages.Interrupted):
            pass
        assert event.sample < first[89].sample, "what was made ahead is taken back"


def test_a_late_comer_gets_what_was_made_before_it_came(avatar: Server) -> None:
    with Client(avatar.url, set="") as pusher:
        pusher.push(SPEECH)
        time.sleep(0.3)  # by now it is made
        with Client(avatar.url, set="arkit52", audio=True, ahead=True) as late:
            frames, sound, began = [], 0, time.monotonic()
            for event in late.events():
                if hasattr(event, "samples"):
                    sound += len(event.samples)
                elif hasattr(event, "values"):
                    frames.append(event)
                if len(frames) == 60:
                    break
            assert time.monotonic() - began < 2.0 and sound > 30_000
            assert np.all(np.diff([frame.sample for frame in frames]) == FRAME_SAMPLES)
            assert max(frame["jawOpen"] for frame in frames) > 0.1
