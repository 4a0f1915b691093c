"""NVIDIA's own stubs as the client of `serve --a2f`: whole clips, wrong ones, and bad clients."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from certificates import make_certificate
from cli import finish, start, wait_for_line
from nvidia_ace import audio_pb2
from nvidia_audio2face_3d import audio2face_pb2_grpc
from nvidia_audio2face_3d.messages_pb2 import (
    AudioWithEmotion,
    AudioWithEmotionStream,
    AudioWithEmotionStreamHeader,
    EmotionWithTimeCode,
)
from patience import PATIENCE

from head.arkit.weights import arkit_weights
from head.rig import builtin_head
from head.skinning import motion_to_parameters
from stream.backends.registry import load_backend
from stream.core.session import Session
from stream.run.push.factory import SessionFactory
from stream.run.scheduled_session import ScheduledSession
from stream.run.scheduler import Scheduler
from stream.serve.a2f import server, service
from stream.serve.a2f.admission import Door, address_of
from stream.serve.a2f.animation import MOST_AHEAD, MOST_EMOTIONS
from stream.serve.a2f.server import (
    IDLE_SECONDS,
    MESSAGE_BYTES,
    MOST_CONNECTIONS,
    OPTIONS,
    A2FServer,
    TlsFiles,
)
from stream.serve.a2f.service import ServiceContext
from stream.serve.a2f.shaping import MOST, NAMES
from stream.serve.limits import Limits
from stream.serve.listener import ServerError
from stream.serve.pushed_audio import Filters

pytestmark = pytest.mark.extra("a2f")

HEAD = builtin_head()
BACKEND = load_backend("fake")
RNG = np.random.default_rng(0)
SPEECH = RNG.normal(0, 4000, 16000 * 3 + 123).clip(-32768, 32767).astype("<i2")
TOKEN = "a token that is long enough"
Request = AudioWithEmotionStream


class Served:
    """A server in this process and what runs its sessions."""

    def __init__(self, *, capacity: int = 4, token: str | None = None, **more: Any) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self.scheduler = Scheduler(BACKEND, capacity)
        self.worker = ThreadPoolExecutor(1)
        factory = SessionFactory(lambda: self.scheduler, BACKEND)
        limits = Limits()
        door = Door(token, None, limits)
        read_timeout = more.pop("read_timeout", 10.0)
        host = ServiceContext(factory, HEAD, door, Filters(self.worker), limits, read_timeout)
        self.server = A2FServer(host, port=more.pop("port", 0), **more)
        self.counts = host.counts

    def __enter__(self) -> Served:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()
        self.scheduler.close()
        self.worker.shutdown()

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(f"127.0.0.1:{self.server.port}")

    def free(self) -> bool:
        """Whether every session is given back, within a second or so."""
        return soon(lambda: not (self.scheduler.sessions or self.counts.sessions))


def soon(done: Callable[[], bool]) -> bool:
    until = time.monotonic() + PATIENCE
    while not done() and time.monotonic() < until:
        time.sleep(0.01)
    return done()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served() as served:
        yield served


def header(rate: int = 16000, channels: int = 1, bits: int = 16, **more: Any) -> Request:
    audio = audio_pb2.AudioHeader(
        audio_format=audio_pb2.AudioHeader.AUDIO_FORMAT_PCM,
        channel_count=channels,
        samples_per_second=rate,
        bits_per_sample=bits,
    )
    return Request(audio_stream_header=AudioWithEmotionStreamHeader(audio_header=audio, **more))


def sound(data: bytes, *emotions: EmotionWithTimeCode) -> Request:
    return Request(audio_with_emotion=AudioWithEmotion(audio_buffer=data, emotions=emotions))


END = Request(end_of_audio=Request.EndOfAudio())


def pieces(samples: np.ndarray[Any, Any], length: int = 1600) -> Iterator[Request]:
    for at in range(0, len(samples), length):
        yield sound(samples[at : at + length].tobytes())


class Answer:
    """All that came back, by kind; `code` is gRPC's status."""

    def __init__(self, channel: grpc.Channel, requests: Iterator[Request], **more: Any) -> None:
        self.parts: list[str] = []
        self.names: list[str] = []
        self.frames: list[Any] = []
        self.statuses: list[tuple[int, str]] = []
        self.code, self.details = grpc.StatusCode.OK, ""
        stub = audio2face_pb2_grpc.A2FControllerServiceStub(channel)
        try:
            for message in stub.ProcessAudioStream(requests, timeout=PATIENCE, **more):
                self._take(message)
        except grpc.RpcError as error:
            self.code, self.details = error.code(), error.details()

    def _take(self, message: Any) -> None:
        part = message.WhichOneof("stream_part")
        self.parts.append(part)
        if part == "animation_data_stream_header":
            self.header = message.animation_data_stream_header
            self.names = list(self.header.skel_animation_header.blend_shapes)
        elif part == "animation_data":
            self.frames.append(message.animation_data)
        elif part == "status":
            self.statuses.append((message.status.code, message.status.message))

    @property
    def times(self) -> np.ndarray[Any, Any]:
        return np.array([f.skel_animation.blend_shape_weights[0].time_code for f in self.frames])

    @property
    def weights(self) -> np.ndarray[Any, Any]:
        return np.array([f.skel_animation.blend_shape_weights[0].values for f in self.frames])

    @property
    def sound(self) -> bytes:
        return b"".join(frame.audio.audio_buffer for frame in self.frames)


def ask(served: Served, *requests: Request, **more: Any) -> Answer:
    with served.channel() as channel:
        return Answer(channel, iter(requests), **more)


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


# --- whole clips -------------------------------------------------------------------------------
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


# --- parameters --------------------------------------------------------------------------------
def test_parameters_are_honoured_or_named(served: Served) -> None:
    plain = ask(served, header(), *pieces(SPEECH), END)
    wished = header(
        blendshape_params={"bs_weight_multipliers": {"JawOpen": 0.5, "Ears": 2.0}},
        face_params={"float_params": {"faceMaskSoftness": 1.0}, "integer_params": {"x": 1}},
        emotion_post_processing_params={"emotion_contrast": 2.0},
    )
    answer = ask(served, wished, *pieces(SPEECH), END)
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
    wished = header(
        emotion_post_processing_params={"emotion_strength": 1.0, "preferred_emotion_strength": 1.0}
    )
    first, *rest = pieces(SPEECH)
    answer = ask(served, wished, sound(first.audio_with_emotion.audio_buffer, felt), *rest, END)
    assert answer.statuses[0] == (2, "no style here shows: outofbreath")
    assert len(given) == 2 and given[1][0] >= 25, "of the beginning, and after a second"
    np.testing.assert_allclose(given[1][1], BACKEND.styles[name], atol=1e-6)


# --- clients that do wrong ---------------------------------------------------------------------
HALF = SPEECH[:8000].tobytes()
WRONG = {
    "sound before the header": ([sound(HALF)], "audio_stream_header"),
    "an empty message": ([Request()], "audio_stream_header"),
    "eight bits": ([header(bits=8)], "16 bits"),
    "no rate": ([header(rate=0)], "samples_per_second"),
    "no channels": ([header(channels=0)], "channel_count"),
    "two headers": ([header(), sound(HALF), header()], "audio_with_emotion"),
    "half a sample": ([header(), sound(HALF + b"x")], "whole samples"),
    "no sound": ([header(), END], "no sound"),
    "an emotion of 2": (
        [header(), sound(HALF, EmotionWithTimeCode(time_code=0, emotion={"joy": 2.0}))],
        "0 to 1",
    ),
    "an emotion before the beginning": (
        [header(), sound(HALF, EmotionWithTimeCode(time_code=-1, emotion={"joy": 1.0}))],
        "time codes",
    ),
    "a multiplier that is no number": (
        [header(blendshape_params={"bs_weight_multipliers": {"JawOpen": float("nan")}})],
        "JawOpen",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_streams_get_a_sentence(served: Served, what: str) -> None:
    requests, word = WRONG[what]
    answer = ask(served, *requests)
    assert answer.code == grpc.StatusCode.INVALID_ARGUMENT
    assert word in answer.details and answer.statuses[-1] == (3, answer.details)
    assert served.free()


def test_no_message_at_all(served: Served) -> None:
    assert ask(served).code == grpc.StatusCode.INVALID_ARGUMENT


def test_a_stream_that_is_cut_gives_its_place_back(served: Served) -> None:
    go = threading.Event()

    def requests() -> Iterator[Request]:
        yield header()
        yield from pieces(SPEECH)
        go.wait(10)

    with served.channel() as channel:
        stub = audio2face_pb2_grpc.A2FControllerServiceStub(channel)
        call = stub.ProcessAudioStream(requests())
        next(iter(call))
        assert served.scheduler.sessions == 1
        call.cancel()
        go.set()
        assert served.free()
    assert ask(served, header(), *pieces(SPEECH), END).sound == SPEECH.tobytes()


def test_a_client_that_falls_silent_is_let_go(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "IDLE_SECONDS", 0.2)
    go = threading.Event()

    def requests() -> Iterator[Request]:
        yield header()
        yield from pieces(SPEECH)
        go.wait(10)

    with served.channel() as channel:
        answer = Answer(channel, requests())
        go.set()
    assert answer.code == grpc.StatusCode.DEADLINE_EXCEEDED and "0.2 s" in answer.details
    assert served.free()


def test_a_client_that_does_not_read_is_let_go_and_holds_nobody_up() -> None:
    long, sent = np.tile(SPEECH, 100), []

    def requests() -> Iterator[Request]:
        yield header()
        for request in pieces(long, 16000):
            sent.append(request)
            yield request
        yield END

    with Served(read_timeout=1.5) as served, served.channel() as channel:
        stub = audio2face_pb2_grpc.A2FControllerServiceStub(channel)
        call = stub.ProcessAudioStream(requests())
        assert soon(lambda: served.scheduler.sessions == 1)
        assert ask(served, header(), *pieces(SPEECH), END).sound == SPEECH.tobytes()
        assert soon(lambda: served.counts.let_go == 1) and served.free()
        assert len(sent) < 250, "what was not read was not taken in either"
        call.cancel()


def test_a_full_server_says_so_and_has_room_afterwards() -> None:
    go = threading.Event()

    def requests() -> Iterator[Request]:
        yield header()
        yield from pieces(SPEECH)
        go.wait(10)
        yield END

    with Served(capacity=1) as served, served.channel() as channel:
        stub = audio2face_pb2_grpc.A2FControllerServiceStub(channel)
        call = iter(stub.ProcessAudioStream(requests()))
        next(call)
        answer = ask(served, header(), *pieces(SPEECH), END)
        assert answer.code == grpc.StatusCode.RESOURCE_EXHAUSTED and "1 session" in answer.details
        go.set()
        assert len(list(call)) == -(-len(SPEECH) // 640) + 2
        assert served.free()
        assert ask(served, header(), *pieces(SPEECH), END).code == grpc.StatusCode.OK


# --- the door ----------------------------------------------------------------------------------
def test_a_token_is_needed_where_there_is_one() -> None:
    clip = [header(), *pieces(SPEECH), END]
    with Served(token=TOKEN) as served:
        assert ask(served, *clip).code == grpc.StatusCode.UNAUTHENTICATED
        for value, code in ((TOKEN, "OK"), (TOKEN + "x", "UNAUTHENTICATED")):
            metadata = [("authorization", f"Bearer {value}")]
            assert ask(served, *clip, metadata=metadata).code == grpc.StatusCode[code]
        assert served.counts.refusals["token"] == 2
        bad = [("authorization", "Bearer guess")]
        codes = {ask(served, *clip, metadata=bad).code for _ in range(12)}
        assert grpc.StatusCode.RESOURCE_EXHAUSTED in codes, "guesses are slowed down"


def test_tls_and_certificates_of_clients(tmp_path: Path) -> None:
    (tmp_path / "client").mkdir()
    certificate, key = make_certificate(tmp_path)
    own, own_key = make_certificate(tmp_path / "client")
    trust = certificate.read_bytes()
    clip = [header(), *pieces(SPEECH), END]

    def asked(served: Served, *pair: bytes) -> grpc.StatusCode:
        credentials = grpc.ssl_channel_credentials(trust, *pair)
        with grpc.secure_channel(f"localhost:{served.server.port}", credentials) as channel:
            return Answer(channel, iter(clip)).code

    with Served(tls=TlsFiles(certificate, key)) as served:
        assert served.server.url.startswith("https://")
        assert asked(served) == grpc.StatusCode.OK
        assert ask(served, *clip).code == grpc.StatusCode.UNAVAILABLE, "plain"
    with Served(tls=TlsFiles(certificate, key, own)) as served:
        assert asked(served) == grpc.StatusCode.UNAVAILABLE
        assert asked(served, own_key.read_bytes(), own.read_bytes()) == grpc.StatusCode.OK


def test_health_is_told_without_a_token() -> None:
    with Served(token=TOKEN) as served, served.channel() as channel:
        assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=5) == b"\x08\x01"


def test_a_port_that_is_taken_is_one_line(served: Served) -> None:
    with pytest.raises(ServerError, match="is the port in use"):
        Served(port=served.server.port).__enter__()


def test_addresses() -> None:
    assert address_of("ipv4:10.0.0.7:1234") == ("10.0.0.7", 1234)
    assert address_of("ipv6:%5B2001:db8::1%5D:99") == ("2001:db8::1", 99)


def test_the_command(tmp_path: Path) -> None:
    options = ("--backend", "fake", "--source", "none", "--port", "0", "--a2f", "0")
    process = start("serve", *options, cwd=tmp_path)
    try:
        found = re.search(r"127\.0\.0\.1:(\d+)", wait_for_line(process, "serving Audio2Face"))
        assert found is not None
        with grpc.insecure_channel(f"127.0.0.1:{found[1]}") as channel:
            answer = Answer(channel, iter([header(), *pieces(SPEECH), END]))
        assert answer.sound == SPEECH.tobytes() and answer.statuses[-1][0] == 0
        process.send_signal(signal.SIGINT)
        assert finish(process)[0] == 130
    finally:
        process.kill()
        process.communicate()
