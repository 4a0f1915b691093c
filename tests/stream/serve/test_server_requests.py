"""What clients may ask of the server, and what it answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE
from websockets.sync.client import connect
from wire_clients import HEAD, HELLO, client, frame, settled, until

from stream.serve.server import Server
from stream.sources.pcm import LiveResampler
from stream.sources.pushed import PushedSource
from stream.wire import codec, messages, session_messages
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
            "audio_full", "too much audio waits: push this again later", fatal=False, sequence=0
        )
        settled(first)  # none of these closes anybody
        settled(second)


def test_interrupt_and_style(server: Server) -> None:
    seen: list[str] = []

    def speak(request: session_messages.Condition) -> None:
        style = request.asked()["style"]
        if style == "drunken":
            raise ValueError("no such style")
        seen.append(style)

    server.controls.interrupt = lambda: seen.append("interrupt")
    server.controls.change = speak
    with client(server) as connection:
        connection.send(codec.serialise_text(messages.Interrupt()))
        connection.send(codec.serialise_text(session_messages.Style("lively")))
        connection.send(codec.serialise_text(session_messages.Style("drunken")))
        error = until(connection, messages.Error)
        assert (error.code, error.fatal) == ("no_such_style", False)
        server.on_interrupt(3200)
        assert until(connection, messages.Interrupted).sample == 3200
        server.changed(session_messages.Style("lively"))
        assert until(connection, session_messages.Style).name == "lively"
        connection.send(codec.serialise_text(session_messages.Style("calm*0.7+lively*0.3")))
        settled(connection)
    assert seen == ["interrupt", "lively", "calm*0.7+lively*0.3"]
    with connect(server.url) as late:
        assert '"style":"lively"' in str(late.recv(timeout=PATIENCE))


def test_nobody_is_greeted_before_it_is_known_what_may_be_asked_for() -> None:
    server = Server(HEAD, HELLO, port=0)
    server.hold()
    with server, connect(server.url, compression=None) as early:
        with pytest.raises(TimeoutError):
            early.recv(timeout=0.2)
        server.controls.interrupt = lambda: None
        server.welcome()
        hello = codec.parse_text(early.recv(timeout=PATIENCE))
        assert isinstance(hello, messages.Hello) and hello.accepts == ["interrupt"]
        with connect(server.url) as later:
            assert isinstance(codec.parse_text(later.recv(timeout=PATIENCE)), messages.Hello)
    server = Server(HEAD, HELLO, port=0)
    server.hold()
    with server, connect(server.url, compression=None):
        server.close()
    assert not any(thread.name == "websocket-server" for thread in threading.enumerate())


def test_strengths_are_asked_for_and_told(server: Server) -> None:
    seen: list[dict[str, Any]] = []

    def guide(request: session_messages.Condition) -> None:
        asked = request.asked()
        if asked["audio_guidance"] > 20:
            raise ValueError("audio guidance 99: choose a number from 0 to 20")
        seen.append(asked)

    server.controls.change = guide
    with client(server) as connection:
        connection.send('{"type":"guidance","audio_guidance":1.5}')
        connection.send('{"type":"guidance","audio_guidance":99}')
        error = until(connection, messages.Error)
        assert (error.code, error.fatal) == ("guidance", False) and "0 to 20" in error.message
        server.changed(session_messages.Guidance(1.5, 1.0))
        assert until(connection, session_messages.Guidance) == session_messages.Guidance(1.5, 1.0)
    assert seen == [{"audio_guidance": 1.5, "style_guidance": None}]
    with connect(server.url) as late:
        hello = codec.parse_text(late.recv(timeout=PATIENCE))
        assert isinstance(hello, messages.Hello)
        assert hello.guidance == {"audio": 1.5, "style": 1.0} and hello.accepts == [
            "style",
            "guidance",
            "life",
        ]


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


# --- what is answered, and to which request ----------------------------------------------------
def pushed(sequence: int, samples: np.ndarray, **kind: int) -> bytes:
    return codec.serialise(codec.Message(Kind.PCM, sequence, 0, samples, **kind))


def listening(server: Server) -> list[np.ndarray]:
    """What the server's own stream hears from now on."""
    heard: list[np.ndarray] = []

    def hear(samples: np.ndarray) -> bool:
        heard.append(samples)
        return True

    server.controls.push = hear
    return heard


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"audio_format","sample_rate":"48k","request":5}',
        '{"type":"audio_format","sample_rate":24000.5,"request":5}',
        '{"type":"audio_format","sample_rate":null,"request":5}',
        '{"type":"audio_format","sample_rate":1,"request":5}',
        '{"type":"audio_format","sample_rate":48000,"channels":0,"request":5}',
        '{"type":"audio_format","sample_rate":48000,"channels":9,"request":5.0}',
        '{"type":"audio_format","sample_rate":48000,"channels":"two","request":5}',
    ],
)
def test_a_format_that_cannot_be_is_answered_and_lets_no_sound_in(
    server: Server, text: str
) -> None:
    heard = listening(server)
    with client(server) as connection:
        connection.send(text)
        error = until(connection, messages.Error)
        assert error.code in ("field", "audio_format") and not error.fatal
        assert (error.request, error.sequence) == (5, None)
        assert "must be" in error.message, "in words, not in Python's types"
        connection.send(pushed(3, np.zeros(320)))
        error = until(connection, messages.Error)
        assert (error.code, error.fatal, error.sequence) == ("audio_format", False, 3)
        connection.send('{"type":"audio_format","sample_rate":16000}')
        connection.send(pushed(4, np.full(320, 0.25)))
        settled(connection)
    assert [len(part) for part in heard] == [320]


@pytest.mark.parametrize("text", ["24000.0", "24000", "2.4e4"])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_rates_with_a_point_and_interleaved_channels(
    server: Server, text: str, channels: int
) -> None:
    heard = listening(server)
    said = 0.3 * np.sin(np.arange(24000) * 0.1).astype(np.float32)
    sound = np.stack([said * (1 + k) / channels for k in range(channels)], axis=1)
    expected = LiveResampler(24000).feed(sound.mean(axis=1))
    with client(server) as connection:
        connection.send(
            f'{{"type":"audio_format","sample_rate":{text},"channels":{float(channels)}}}'
        )
        connection.send(pushed(0, sound.ravel()))
        settled(connection)
    np.testing.assert_allclose(np.concatenate(heard), expected, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 5.0, 32000.0])
def test_sound_that_is_no_sound_is_refused_whole(server: Server, bad: float) -> None:
    heard = listening(server)
    samples = np.full(320, 0.25, np.float32)
    samples[100] = bad
    with client(server) as connection:
        connection.send(pushed(11, samples))
        error = until(connection, messages.Error)
        assert (error.code, error.fatal, error.sequence) == ("audio_samples", False, 11)
        assert error.request is None
        connection.send(pushed(12, np.full(320, 3.0, np.float32)))  # loud, and clipped
        settled(connection)
    assert len(heard) == 1 and np.array_equal(heard[0], np.ones(320))


def test_samples_of_one_channel_too_few_are_refused(server: Server) -> None:
    heard = listening(server)
    with client(server) as connection:
        connection.send('{"type":"audio_format","sample_rate":16000,"channels":2}')
        connection.send(pushed(1, np.zeros(321)))
        assert until(connection, messages.Error).code == "audio_samples"
        connection.send(pushed(2, np.int16([8192, 0] * 160), flags=int(codec.Flag.INT16)))
        settled(connection)
    assert np.array_equal(np.concatenate(heard), np.full(160, 0.125))


def test_errors_have_the_number_of_the_request_that_they_answer(server: Server) -> None:
    requests = {
        1: '{"type":"subscribe","set":"nobody","request":1}',
        2: '{"type":"subscribe","audio":1,"request":2}',
        3: '{"type":"flush","request":3}',
        4: '{"type":"close","request":4}',
        5: '{"type":"open","request":5}',
        6: '{"type":"style","name":"drunken","request":6}',
        7: '{"type":"guidance","audio_guidance":3,"request":7}',
        8: '{"type":"interrupt","at":"now","request":8}',
        9: '{"type":"subscribe","set":5}',
        10: '{"type":"subscribe","set":5,"request":"ten"}',
    }
    with client(server) as connection:
        for number, text in requests.items():
            connection.send(text)
            error = until(connection, messages.Error)
            assert error.request == (number if number < 9 else None) and not error.fatal, text
        connection.send('{"type":"subscribe","set":"arkit52"}')  # without `protocol`: this one
        connection.send('{"type":"interrupt"}')
        settled(connection)
        server.on_frame(frame(0))
        assert until(connection, Kind.ARKIT52).sequence == 0


def test_what_is_not_looked_at_of_pushed_sound(server: Server) -> None:
    """Its `sample`, and the order of `sequence`: the clock is the server's."""
    heard = listening(server)
    with client(server) as connection:
        for sequence, sample in ((7, -5), (7, 2**62), (0, 0), (2**32 - 1, 1)):
            message = codec.Message(Kind.PCM, sequence, sample, np.full(320, 0.5))
            connection.send(codec.serialise(message))
        settled(connection)
    assert np.array_equal(np.concatenate(heard), np.full(1280, 0.5, np.float32))
