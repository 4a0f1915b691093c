"""Many clients' own sessions over one server's sockets, with the real scheduler."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE
from websockets.sync.client import ClientConnection, connect

from head.rig import builtin_head
from stream.backends.registry import load_backend
from stream.frames import Frame
from stream.run.push.factory import SessionFactory
from stream.run.scheduler import Scheduler
from stream.serve.limits import Limits
from stream.serve.server import Server
from stream.wire import codec, messages, session_messages
from stream.wire.channels import make_hello
from stream.wire.codec import Flag, Kind

HEAD = builtin_head()
BACKEND = load_backend("fake")
SPEECH = np.random.default_rng(0).normal(0, 0.15, 16000 * 6).clip(-1, 1).astype("f4")
JAW = 53


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
def opened(server: Server, **asked: Any) -> Iterator[ClientConnection]:
    """A client that has asked for its own session."""
    with connect(server.url, compression=None, max_size=None, close_timeout=0.5) as socket:
        assert "open" in (until(socket, messages.Hello).accepts or [])
        socket.send(codec.serialise_text(messages.Subscribe("flame", audio=True)))
        socket.send(codec.serialise_text(session_messages.Open(**asked)))
        yield socket


def pcm(samples: Any, number: int = 0) -> bytes:
    return codec.serialise(
        codec.Message(Kind.PCM, number, 0, np.int16(samples * 32767), Flag.INT16)
    )


def test_speech_pushed_faster_than_time_comes_back_as_frames_and_sound(server: Server) -> None:
    with opened(server) as socket:
        told = until(socket, session_messages.Opened)
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
        until(socket, session_messages.Opened)
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
        until(one, session_messages.Opened)
        until(other, session_messages.Opened)
        one.send(pcm(SPEECH[:16000]))
        server.on_frame(Frame(0, 0, np.full(54, 0.5, "f4")))
        loud = [until(one, codec.Message) for _ in range(30)]
        quiet = [until(other, codec.Message) for _ in range(30)]
        mouths = [
            [float(m.payload[JAW]) for m in got if m.kind == Kind.FLAME] for got in (loud, quiet)
        ]
        assert max(mouths[0]) > 0.05 and max(mouths[1]) < 0.01 and max(map(max, mouths)) < 0.4
        one.send('{"type":"close"}')
        assert until(one, session_messages.Closed).frames > 0
        server.on_frame(Frame(7, 4480, np.full(54, 0.25, "f4")))
        while (message := until(one, codec.Message)).kind != Kind.FLAME or message.sequence != 7:
            pass
        assert message.payload[0] == 0.25


def test_beyond_the_capacity_there_is_a_clear_refusal_until_one_leaves(server: Server) -> None:
    with contextlib.ExitStack() as rest, contextlib.ExitStack() as first:
        sockets = [first.enter_context(opened(server))]
        sockets += [rest.enter_context(opened(server)) for _ in range(3)]
        for socket in sockets[:3]:
            until(socket, session_messages.Opened)
        error = until(sockets[3], messages.Error)
        assert (error.code, error.fatal) == ("capacity", False) and "3" in error.message
        first.close()
        for _ in range(50):
            sockets[3].send('{"type":"open"}')
            answer = until(sockets[3], session_messages.Opened | messages.Error)
            if isinstance(answer, session_messages.Opened):
                break
            time.sleep(0.1)
        assert isinstance(answer, session_messages.Opened)


@pytest.mark.parametrize(
    "asked",
    [
        {"head": "somebody"},
        {"style": "drunken"},
        {"pace": "slow"},
        {"shape": [1e30] * 100},
        {"shape": [1.0]},
        {"audio_guidance": -1.0},
    ],
)
def test_sessions_that_cannot_be_are_refused(server: Server, asked: dict[str, Any]) -> None:
    with opened(server, **asked) as socket:
        error = until(socket, messages.Error)
        assert (error.code, error.fatal) == ("open", False) and error.message
        socket.send('{"type":"flush"}')
        assert until(socket, messages.Error).code == "no_session"


def test_a_session_is_steered_by_its_client(server: Server) -> None:
    with opened(server, seed=-5, shape=[0.5] * 100) as socket:
        until(socket, session_messages.Opened)
        socket.send('{"type":"guidance","style_guidance":2}')
        assert until(socket, session_messages.Guidance) == session_messages.Guidance(1.0, 2.0)
        socket.send('{"type":"guidance","style_guidance":-2}')
        assert until(socket, messages.Error).code == "guidance"
        socket.send('{"type":"style","name":"neutral"}')
        assert until(socket, session_messages.Style).name == "neutral"
        socket.send('{"type":"style","name":"drunken"}')
        assert until(socket, messages.Error).code == "no_such_style"
        socket.send('{"type":"open"}')
        assert until(socket, session_messages.Closed).reason == "opened again"
        until(socket, session_messages.Opened)


def test_a_session_has_its_time() -> None:
    sessions = SessionFactory(lambda: Scheduler(BACKEND, 1), BACKEND)
    limits = Limits(session_seconds=0.3)
    with (
        Server(HEAD, make_hello(HEAD), port=0, sessions=sessions, limits=limits) as server,
        opened(server) as socket,
    ):
        until(socket, session_messages.Opened)
        assert until(socket, session_messages.Closed).reason == "too long"


def test_what_does_not_fit_is_refused_whole_and_may_come_again(server: Server) -> None:
    with opened(server) as socket:
        until(socket, session_messages.Opened)
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
        until(socket, session_messages.Opened)
        assert "scheduler" in {thread.name for thread in threading.enumerate()}
    left = {thread.name for thread in threading.enumerate()} - before
    assert not {name for name in left if name in ("scheduler", "websocket-server")}
