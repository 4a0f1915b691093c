"""An Audio2Face-3D service that runs, and clients that ask it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
from nvidia_ace import audio_pb2
from nvidia_audio2face_3d import audio2face_pb2_grpc
from nvidia_audio2face_3d.messages_pb2 import (
    AudioWithEmotion,
    AudioWithEmotionStream,
    AudioWithEmotionStreamHeader,
    EmotionWithTimeCode,
)
from patience import PATIENCE

from head.rig import builtin_head
from stream.backends.registry import load_backend
from stream.run.push.factory import SessionFactory
from stream.run.scheduler import Scheduler
from stream.serve.a2f.admission import Door
from stream.serve.a2f.server import A2FServer
from stream.serve.a2f.service import ServiceContext
from stream.serve.client.pushed_audio import Filters
from stream.serve.limits import Limits

HEAD = builtin_head()


BACKEND = load_backend("fake")


RNG = np.random.default_rng(0)


SPEECH = RNG.normal(0, 4000, 16000 * 3 + 123).clip(-32768, 32767).astype("<i2")


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
