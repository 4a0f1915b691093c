"""What clients may ask of the server, and what it answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from websockets.sync.client import connect
from wire_clients import HEAD, HELLO, client, frame, settled, until

from stream.serve.server import Server
from stream.sources.pcm import LiveResampler
from stream.sources.pushed import PushedSource
from stream.wire import codec, messages
from stream.wire.codec import Kind


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(HEAD, HELLO, port=0) as running:
        yield running


def test_pushed_audio_of_another_rate_arrives_at_16_khz(server: Server) -> None:
    source = PushedSource()
    server.controls.push = source.push
    tone = np.sin(2 * np.pi * 300 * np.arange(48000) / 48000)
    with client(server) as connection:
        connection.send(codec.serialise_text(messages.AudioFormat(48000)))
        for number, part in enumerate(np.split(np.int16(tone * 30000), 10)):
            message = codec.Message(Kind.PCM, number, 0, part, codec.Flag.INT16)
            connection.send(codec.serialise(message))
        settled(connection)
    assert source.waiting == pytest.approx(16000, abs=40)
    heard = np.concatenate(list(source._pieces))
    expected = np.sin(2 * np.pi * 300 * np.arange(len(heard)) / 16000) * 30000 / 32768
    assert np.abs(heard - expected)[100:].max() < 1e-3


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_audio_that_is_refused_and_pushed_again_arrives_whole(server: Server, rate: int) -> None:
    taken: list[np.ndarray] = []
    asked = 0

    def take(samples: np.ndarray) -> bool:
        nonlocal asked
        asked += 1
        if asked % 3:  # two refusals before each block is taken
            return False
        taken.append(samples)
        return True

    server.controls.push = take
    speech = np.random.default_rng(0).uniform(-1, 1, rate).astype("f4")
    with client(server) as connection:
        connection.send(codec.serialise_text(messages.AudioFormat(rate)))
        for number, part in enumerate(np.split(speech, 10)):
            data = codec.serialise(codec.Message(Kind.PCM, number, 0, part))
            for _ in range(2):
                connection.send(data)
                assert until(connection, messages.Error).code == "audio_full"
            connection.send(data)
        settled(connection)
    assert asked == 30
    assert np.array_equal(np.concatenate(taken), LiveResampler(rate).feed(speech))


def test_one_client_at_a_time_pushes_audio(server: Server) -> None:
    pcm = codec.serialise(codec.Message(Kind.PCM, 0, 0, np.zeros(320, np.float32)))
    with client(server) as first, client(server) as second:
        first.send(pcm)
        assert until(first, messages.Error).code == "audio_not_accepted"
        server.controls.push = lambda samples: True
        first.send(pcm)
        settled(first)
        second.send(pcm)
        assert until(second, messages.Error).code == "audio_busy"
        server.controls.push = lambda samples: False
        first.send(pcm)
        assert until(first, messages.Error) == messages.Error(
            "audio_full", "too much audio waits: push this again later", fatal=False
        )
        settled(first)  # none of these closes anybody
        settled(second)


def test_interrupt_and_style(server: Server) -> None:
    seen: list[str] = []

    def speak(style: str) -> None:
        if style == "drunken":
            raise ValueError("no such style")
        seen.append(style)

    server.controls.interrupt = lambda: seen.append("interrupt")
    server.controls.set_style = speak
    with client(server) as connection:
        connection.send(codec.serialise_text(messages.Interrupt()))
        connection.send(codec.serialise_text(messages.Style("lively")))
        connection.send(codec.serialise_text(messages.Style("drunken")))
        error = until(connection, messages.Error)
        assert (error.code, error.fatal) == ("no_such_style", False)
        server.on_interrupt(3200)
        assert until(connection, messages.Interrupted).sample == 3200
        server.style_changed("lively")
        assert until(connection, messages.Style).name == "lively"
        connection.send(codec.serialise_text(messages.Style("calm*0.7+lively*0.3")))
        settled(connection)
    assert seen == ["interrupt", "lively", "calm*0.7+lively*0.3"]
    with connect(server.url) as late:
        assert '"style":"lively"' in str(late.recv(timeout=10))


def test_nobody_is_greeted_before_it_is_known_what_may_be_asked_for() -> None:
    server = Server(HEAD, HELLO, port=0)
    server.hold()
    with server, connect(server.url, compression=None) as early:
        with pytest.raises(TimeoutError):
            early.recv(timeout=0.2)
        server.controls.interrupt = lambda: None
        server.welcome()
        hello = codec.parse_text(early.recv(timeout=10))
        assert isinstance(hello, messages.Hello) and hello.accepts == ["interrupt"]
        with connect(server.url) as later:
            assert isinstance(codec.parse_text(later.recv(timeout=10)), messages.Hello)
    server = Server(HEAD, HELLO, port=0)
    server.hold()
    with server, connect(server.url, compression=None):
        server.close()
    assert not any(thread.name == "websocket-server" for thread in threading.enumerate())


def test_strengths_are_asked_for_and_told(server: Server) -> None:
    seen: list[tuple[float | None, float | None]] = []

    def guide(audio: float | None, style: float | None) -> None:
        if audio is not None and audio > 20:
            raise ValueError("audio guidance 99: choose a number from 0 to 20")
        seen.append((audio, style))

    server.controls.set_guidance = guide
    with client(server) as connection:
        connection.send('{"type":"guidance","audio_guidance":1.5}')
        connection.send('{"type":"guidance","audio_guidance":99}')
        error = until(connection, messages.Error)
        assert (error.code, error.fatal) == ("guidance", False) and "0 to 20" in error.message
        server.guidance_changed(1.5, 1.0)
        assert until(connection, messages.Guidance) == messages.Guidance(1.5, 1.0)
    assert seen == [(1.5, None)]
    with connect(server.url) as late:
        hello = codec.parse_text(late.recv(timeout=10))
        assert isinstance(hello, messages.Hello)
        assert hello.guidance == {"audio": 1.5, "style": 1.0} and hello.accepts == ["guidance"]


def test_a_set_the_head_cannot_give_is_refused_politely(server: Server) -> None:
    with client(server) as connection:
        connection.send(codec.serialise_text(messages.Subscribe("metahuman")))
        assert until(connection, messages.Error).code == "no_such_set"
        settled(connection)


def test_motion_can_be_paused(server: Server) -> None:
    with client(server) as connection:
        connection.send(codec.serialise_text(messages.Subscribe("")))
        settled(connection)
        server.on_frame(frame(0))
        settled(connection)
        connection.send(codec.serialise_text(messages.Subscribe("flame")))
        settled(connection)
        server.on_frame(frame(1))
        assert until(connection, Kind.FLAME).sequence == 1
