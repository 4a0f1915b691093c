"""The server: what its viewers get, and its own life, over real sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from patience import PATIENCE
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from wire_clients import HEAD, HELLO, client, frame, receive, settled, until

from head.channels import ARKIT_52
from stream.clock import MonotonicClock
from stream.run.sinks import FrameTiming
from stream.serve.server import Server
from stream.wire import codec, messages
from stream.wire.codec import Kind


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(HEAD, HELLO, port=0) as running:
        yield running


# --- what viewers get --------------------------------------------------------------------------
def test_hello_comes_first_and_says_everything(server: Server) -> None:
    with connect(server.url) as connection:
        hello = codec.parse_text(connection.recv(timeout=PATIENCE))
        assert connection.response is not None
        assert "Sec-WebSocket-Extensions" not in connection.response.headers  # no compression
    assert hello == HELLO
    assert isinstance(hello, messages.Hello)
    assert (hello.fps, hello.sample_rate, hello.synthetic) == (25, 16000, True)
    assert hello.channels["arkit52"][:52] == list(ARKIT_52)
    assert [len(hello.channels[name]) for name in ("flame", "arkit52")] == [56, 55]


def test_flame_parameters_come_without_asking(server: Server) -> None:
    with client(server) as connection:
        settled(connection)
        for number in range(3):
            server.on_frame(frame(number))
        for number in range(3):
            message = until(connection, Kind.FLAME)
            assert (message.sequence, message.sample) == (number, 640 * number)
            motion = frame(number).motion
            expected = np.concatenate([motion[:53], motion[53:], [0, 0]])
            assert np.array_equal(message.payload, expected.astype("f4"))


def test_arkit_weights(server: Server) -> None:
    with client(server) as connection:
        connection.send(codec.serialise_text(messages.Subscribe("arkit52")))
        settled(connection)
        server.on_frame(frame(4))
        message = until(connection, Kind.ARKIT52)
    motion = frame(4).motion
    assert len(message.payload) == 55
    assert message.payload[ARKIT_52.index("jawOpen")] == pytest.approx(motion[53] / 0.35)
    assert message.payload[ARKIT_52.index("eyeBlinkLeft")] == motion[0]
    assert message.payload[ARKIT_52.index("tongueOut")] == motion[49]
    assert np.array_equal(message.payload[52:], motion[50:53])


def test_vertices_come_after_the_faces(server: Server) -> None:
    faces: list[int] = []
    with client(server) as connection:
        connection.send(codec.serialise_text(messages.Subscribe("vertices")))
        connection.send(codec.serialise_text(messages.Ping()))
        while True:
            message = receive(connection)
            if isinstance(message, messages.Pong):
                server.on_frame(frame(4))
            elif isinstance(message, codec.Message) and message.kind == Kind.VERTICES:
                break
            elif isinstance(message, codec.Message):
                assert codec.HEADER.size + message.payload.nbytes < 65536  # small engines' buffers
                assert (message.kind, message.sample) == (Kind.FACES, len(faces))
                faces += message.payload.tolist()
    assert np.array_equal(faces, HEAD.faces.ravel())
    assert len(message.payload) == 3 * len(HEAD.template)
    assert 1e-4 < np.abs(message.payload.reshape(-1, 3) - HEAD.template).max() < 0.1


def test_audio_comes_back_with_its_sample_index(server: Server) -> None:
    block = np.linspace(-1, 1, 320, dtype=np.float32)
    with client(server) as quiet, client(server) as listening:
        listening.send(codec.serialise_text(messages.Subscribe("flame", audio=True)))
        settled(listening)
        settled(quiet)
        server.on_audio(6400, block)
        message = until(listening, Kind.PCM)
        assert message.sample == 6400
        assert np.array_equal(message.payload, block)
        server.on_frame(frame(0))
        assert receive(quiet).kind == Kind.FLAME  # type: ignore[union-attr]


def test_json_text_mode(server: Server) -> None:
    with client(server) as connection:
        connection.send(codec.serialise_text(messages.Subscribe("flame", json=True)))
        settled(connection)
        server.on_frame(frame(1))
        message = until(connection, messages.TextFrame)
    assert message.values["jawX"] == pytest.approx(frame(1).motion[53], abs=1e-5)


def test_clients_are_told_when_sample_zero_was_captured(server: Server) -> None:
    clock = MonotonicClock()
    with client(server) as connection:
        settled(connection)
        middle, now = clock.now() - 0.1, time.time()
        server.on_frame(frame(25), FrameTiming(middle, middle, middle, middle, middle))
        told = until(connection, messages.ClockInfo)
    assert told.time == pytest.approx(now - 0.1 - 1.02, abs=0.1)
    with connect(server.url) as late:
        hello = codec.parse_text(late.recv(timeout=PATIENCE))
        assert isinstance(hello, messages.Hello) and hello.start_time == told.time


def test_end_is_announced_after_the_last_frame(server: Server) -> None:
    with client(server) as connection:
        settled(connection)
        for number in range(50):
            server.on_frame(frame(number))
        server.close()
        seen = 0
        while not isinstance(message := receive(connection), messages.End):
            seen += isinstance(message, codec.Message)
        assert (seen, message.frames) == (50, 50)
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=PATIENCE)


# --- its own life ------------------------------------------------------------------------------
def test_closing_takes_little_time_even_with_a_stuck_viewer() -> None:
    server = Server(HEAD, HELLO, port=0).start()
    with client(server) as connection:
        connection.send(codec.serialise_text(messages.Subscribe("vertices")))
        settled(connection)
        for number in range(200):
            server.on_frame(frame(number))
        before = time.monotonic()
        server.close(deadline=1.0)
        assert time.monotonic() - before < 5.0  # it gives up after 2 s; machines are busy
    server.close()
    server.on_frame(frame(0))  # late notes are harmless
    assert not any(thread.name == "websocket-server" for thread in threading.enumerate())


def test_many_viewers_get_every_frame(server: Server) -> None:
    counts: list[int] = []

    def view(name: str, ready: threading.Barrier) -> None:
        with client(server) as connection:
            connection.send(codec.serialise_text(messages.Subscribe(name)))
            settled(connection)
            ready.wait()
            seen = [until(connection, codec.KIND_OF_SET[name]).sequence for _ in range(60)]
            assert seen == list(range(60))
            counts.append(len(seen))

    ready = threading.Barrier(13)
    threads = [
        threading.Thread(target=view, args=(name, ready))
        for name in ("flame", "arkit52", "vertices") * 4
    ]
    for thread in threads:
        thread.start()
    ready.wait()
    for number in range(60):
        server.on_frame(frame(number))
        time.sleep(0.01)
    for thread in threads:
        thread.join(PATIENCE)
    assert counts == [60] * 12
    assert server.counts.dropped == 0
