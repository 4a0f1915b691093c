"""NVIDIA's Audio2Face-3D service: whole clips and streams become animations."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from a2f_service import (
    BACKEND,
    END,
    HEAD,
    RNG,
    SPEECH,
    Answer,
    Request,
    Served,
    ask,
    header,
    pieces,
    sound,
)
from nvidia_audio2face_3d import audio2face_pb2_grpc
from nvidia_audio2face_3d.messages_pb2 import EmotionWithTimeCode
from patience import PATIENCE

from head.arkit.weights import arkit_weights
from head.skinning import motion_to_parameters
from stream.core.session import Session
from stream.run.scheduled_session import ScheduledSession
from stream.serve.a2f import server, service
from stream.serve.a2f.animation import MOST_AHEAD, MOST_EMOTIONS
from stream.serve.a2f.server import IDLE_SECONDS, MESSAGE_BYTES, MOST_CONNECTIONS, OPTIONS
from stream.serve.a2f.service import ServiceContext
from stream.serve.a2f.shaping import MOST, NAMES
from stream.serve.limits import Limits

pytestmark = pytest.mark.extra("a2f")


def test_the_page_has_its_limits() -> None:
    page = (Path(__file__).parents[4] / "docs" / "security.md").read_text()
    limits, own = Limits(), "from one address other than this machine's own"
    waits = (service.HEADER_SECONDS, service.IDLE_SECONDS, ServiceContext.read_timeout)
    for row in (
        f"| {limits.clients}; {limits.peer_clients} {own}; each holds one of the own sessions |",
        f"| {MOST_CONNECTIONS}; without a call, {IDLE_SECONDS} s |",
        f"| {MESSAGE_BYTES >> 20} MiB; numbers up to {MOST:g}, {MOST_EMOTIONS} emotions ahead",
        f"on its way through the model and back | {MOST_AHEAD / 16_000:g} s;",
        "| {:g} s, {:g} s, {:g} s, then".format(*waits),
    ):
        assert row in page, row


def test_idle_connections_are_bounded_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """They came before any token, and took every file that the process may have."""
    options = [(key, 2_000 if key.endswith("idle_ms") else value) for key, value in OPTIONS]
    monkeypatch.setattr(server, "OPTIONS", tuple(options))
    opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"  # and settings
    with Served() as served, contextlib.ExitStack() as closing:
        links = []
        for _ in range(MOST_CONNECTIONS + 60):
            link = socket.create_connection(("127.0.0.1", served.server.port), timeout=PATIENCE)
            closing.callback(link.close)
            link.sendall(opening)
            links.append(link)
        held = psutil.Process().net_connections()
        ours = [each for each in held if each.laddr and each.laddr.port == served.server.port]
        assert len(ours) <= MOST_CONNECTIONS + 1  # and the one that listens
        for link in links:  # all of them are closed in the end
            with contextlib.suppress(ConnectionError):
                while link.recv(4096):
                    pass
        answer = ask(served, header(), *pieces(SPEECH), END)
        assert answer.code == grpc.StatusCode.OK


def test_a_clip_is_the_animation_of_its_sound(served: Served) -> None:
    answer = ask(served, header(), *pieces(SPEECH), END)
    assert answer.parts[0] == "animation_data_stream_header"
    assert answer.parts.count("animation_data_stream_header") == 1
    assert answer.parts[-2:] == ["event", "status"] and answer.statuses[0][0] == 0
    assert tuple(answer.names) == NAMES
    assert answer.header.audio_header.samples_per_second == 16000
    assert abs(answer.header.start_time_code_since_epoch - time.time()) < 60
    np.testing.assert_allclose(answer.times, np.arange(len(answer.frames)) / 25, atol=1e-9)
    assert answer.sound == SPEECH.tobytes()
    assert [frame.audio.time_code for frame in answer.frames] == list(answer.times)
    session = Session(BACKEND)
    padded = np.zeros(-(-len(SPEECH) // 640) * 640, "f4")
    padded[: len(SPEECH)] = SPEECH.astype("f4") / 32768
    frames = session.feed(padded) + session.finish()
    expression, _, jaw = motion_to_parameters(np.stack([frame.motion for frame in frames]))
    np.testing.assert_allclose(answer.weights, arkit_weights(HEAD, expression, jaw), atol=1e-6)
    assert answer.weights.std(axis=0).max() > 0.01, "it moves"
    assert served.free()


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 1), (48000, 2), (12025, 1)])
def test_other_rates(served: Served, rate: int, channels: int) -> None:
    samples = RNG.integers(-3000, 3000, rate * channels, np.int16)
    answer = ask(served, header(rate, channels), *pieces(samples, 999 * channels), END)
    assert answer.code == grpc.StatusCode.OK and len(answer.frames) == 25
    assert answer.sound == samples.tobytes()
    assert answer.header.audio_header.samples_per_second == rate
    assert answer.header.audio_header.channel_count == channels


def test_a_clip_longer_than_what_may_be_on_its_way_in_one_message(served: Served) -> None:
    long = np.tile(SPEECH, 8)
    answer = ask(served, header(), sound(long.tobytes()), END)
    assert answer.sound == long.tobytes() and (np.diff(answer.times) > 0).all()


def test_frames_come_before_the_sound_has_ended(served: Served) -> None:
    came = threading.Event()

    def requests() -> Iterator[Request]:
        yield header()
        yield from pieces(SPEECH)
        assert came.wait(PATIENCE), "a frame of what was sent"
        yield END

    with served.channel() as channel:
        stub = audio2face_pb2_grpc.A2FControllerServiceStub(channel)
        for message in stub.ProcessAudioStream(requests(), timeout=PATIENCE):
            if message.WhichOneof("stream_part") == "animation_data":
                came.set()
    assert came.is_set()


def test_a_stream_that_ends_without_saying_so_is_finished_with_a_warning(served: Served) -> None:
    answer = ask(served, header(), *pieces(SPEECH))
    assert answer.code == grpc.StatusCode.OK and answer.sound == SPEECH.tobytes()
    assert answer.statuses[-1][0] == 2 and "end_of_audio" in answer.statuses[-1][1]


def test_clips_at_once_do_not_mix(served: Served) -> None:
    answers: dict[int, Answer] = {}

    def talk(number: int) -> None:
        own = np.roll(SPEECH, 5000 * number)
        answers[number] = ask(served, header(), *pieces(own), END)

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, answer in answers.items():
        assert answer.sound == np.roll(SPEECH, 5000 * number).tobytes()


def test_parameters_are_honoured_or_named(served: Served) -> None:
    plain = ask(served, header(), *pieces(SPEECH), END)
    asked = header(
        blendshape_params={"bs_weight_multipliers": {"JawOpen": 0.5, "Ears": 2.0}},
        face_params={"float_params": {"faceMaskSoftness": 1.0}, "integer_params": {"x": 1}},
        emotion_post_processing_params={"emotion_contrast": 2.0},
    )
    answer = ask(served, asked, *pieces(SPEECH), END)
    np.testing.assert_allclose(answer.weights[:, 17], plain.weights[:, 17] / 2, atol=1e-6)
    code, sentence = answer.statuses[0]
    assert code == 2
    for name in ("faceMaskSoftness", "Ears", "x", "emotion_contrast"):
        assert name in sentence
    assert plain.statuses == [(0, "all frames were sent")]


def test_emotions_are_styles_from_their_moment_on(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = list(BACKEND.styles)[-1]
    given: list[tuple[int, Any]] = []
    original = ScheduledSession.set_style

    def note(self: ScheduledSession, style: Any) -> None:
        given.append((self.counts.frames, np.asarray(style)))
        original(self, style)

    monkeypatch.setattr(ScheduledSession, "set_style", note)
    felt = EmotionWithTimeCode(time_code=1.0, emotion={name: 1.0, "outofbreath": 0.5})
    asked = header(
        emotion_post_processing_params={"emotion_strength": 1.0, "preferred_emotion_strength": 1.0}
    )
    first, *rest = pieces(SPEECH)
    answer = ask(served, asked, sound(first.audio_with_emotion.audio_buffer, felt), *rest, END)
    assert answer.statuses[0] == (2, "no style here shows: outofbreath")
    assert len(given) == 2 and given[1][0] >= 25, "of the beginning, and after a second"
    np.testing.assert_allclose(given[1][1], BACKEND.styles[name], atol=1e-6)
