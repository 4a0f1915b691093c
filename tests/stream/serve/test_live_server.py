"""Source, session, server and client together, as a text-to-speech program would use them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from patience import PATIENCE
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from head.rig import builtin_head
from stream.backends.registry import load_backend
from stream.core.session import Session
from stream.run.live_loop import LiveLoop
from stream.serve.server import Server
from stream.sources.pushed import PushedSource
from stream.wire import codec, messages
from stream.wire.channels import make_hello
from stream.wire.codec import Flag, Kind

HEAD = builtin_head()
SPEECH = np.random.default_rng(0).normal(0, 0.15, 16000 * 5).clip(-1, 1).astype("f4")


@pytest.fixture
def avatar() -> Iterator[Server]:
    """A running avatar that says what clients push."""
    source = PushedSource()
    stop = threading.Event()
    with Server(HEAD, make_hello(HEAD), port=0) as server:
        loop = LiveLoop(source, Session(load_backend("fake")), [server])
        server.controls.push = source.push
        server.controls.interrupt = loop.interrupt
        worker = threading.Thread(target=loop.run, kwargs={"stop": stop})
        worker.start()
        yield server
        stop.set()
        worker.join(PATIENCE)
        assert not worker.is_alive()


def read(socket: ClientConnection) -> codec.Message | codec.Text | messages.Unknown:
    data = socket.recv(timeout=PATIENCE)
    return codec.parse(data) if isinstance(data, bytes) else codec.parse_text(data)


def test_pushed_speech_is_spoken_and_cut(avatar: Server) -> None:
    audio: list[np.ndarray[tuple[int], np.dtype[np.float32]]] = []
    start = jaws = None
    opened: dict[int, float] = {}
    cut = None
    with connect(avatar.url, compression=None) as socket:
        hello = read(socket)
        assert isinstance(hello, messages.Hello)
        jaw = hello.channels["flame"].index("jawX")
        socket.send(codec.serialise_text(messages.Subscribe("flame", audio=True)))
        for number, part in enumerate(np.split(np.int16(SPEECH * 32767), 5)):  # all of it at once
            socket.send(codec.serialise(codec.Message(Kind.PCM, number, 0, part, Flag.INT16)))
        while cut is None or max(opened) < cut // 640 + 15:
            message = read(socket)
            if isinstance(message, messages.Interrupted):
                cut = message.sample
            elif isinstance(message, codec.Message) and message.kind == Kind.PCM:
                start = message.sample if start is None else start
                assert message.sample == start + sum(map(len, audio))
                audio.append(message.payload)
            elif isinstance(message, codec.Message):
                opened[message.sample // 640] = float(message.payload[jaw])
                if jaws is None and opened[message.sample // 640] > 0.05:
                    jaws = message.sample
                    socket.send(codec.serialise_text(messages.Interrupt()))
    heard = np.concatenate(audio)
    begin = int(np.flatnonzero(heard)[0])
    spoken = int(np.flatnonzero(heard)[-1]) + 1
    assert start is not None and jaws is not None
    # What came back is what was pushed, at the index where the jaw opens.
    assert np.abs(heard[begin:spoken] - SPEECH[: spoken - begin]).max() < 1e-4
    assert jaws == pytest.approx(start + begin, abs=1280)
    # Most of it was never said: the cut came within a hop, the mouth is shut soon after.
    assert spoken - begin < 16000
    assert start + spoken <= cut + 640
    assert opened[cut // 640 + 12] < 0.01
    assert sorted(opened) == list(range(min(opened), max(opened) + 1))


def test_a_viewer_that_comes_back_finds_the_stream_going_on(avatar: Server) -> None:
    samples = []
    for _ in range(2):
        with connect(avatar.url, compression=None) as socket:
            while not isinstance(message := read(socket), codec.Message):
                pass
            samples.append(message.sample)
    assert samples[1] >= samples[0]


def test_when_it_ends_viewers_are_told(avatar: Server) -> None:
    with connect(avatar.url, compression=None) as socket:
        while not isinstance(read(socket), codec.Message):
            pass
        avatar.close()
        with pytest.raises(ConnectionClosed):
            while not isinstance(message := read(socket), messages.End):
                pass
            assert message.frames > 0
            read(socket)
