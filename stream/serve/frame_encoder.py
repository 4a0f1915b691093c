"""Frames, audio and faces as messages, each encoded once for all viewers that want it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from head.model import Head
from stream.frames import FRAME_SAMPLES, Frame
from stream.wire import codec, messages
from stream.wire.channels import CHANNEL_SETS, channel_values

KEPT = 96  # encoded frames: more than a viewer's queue, so that each is encoded once for all
KEPT_BYTES = 8 << 20
FACES_PER_MESSAGE = 4096  # 48 kB: below the 64 kB that some engines can receive
SLOW_TEXT_FRAMES = 25  # of vertices as text, which is for debugging, one in so many is sent

EASE_FRAMES = 5  # 0.2 s

Data = bytes | str


@dataclass(frozen=True, eq=False)
class Sound:
    """Audio on its way: (n,) samples from index `start`; encoded when it is sent."""

    sequence: int
    start: int
    samples: NDArray[np.float32]

    @property
    def bytes(self) -> int:
        """That it holds."""
        return int(self.samples.nbytes)

    @cached_property
    def data(self) -> Data:
        """The message."""
        return codec.serialise(
            codec.Message(codec.Kind.PCM, self.sequence, self.start, self.samples)
        )


class Encoder:
    """Encodes for one head; used by one event loop.

    Args:
        head: poses `vertices`, and maps to `arkit52`; an attribute, too.
        hello: names the sets and their channels.
        worker: poses and solves beside the event loop; None: in it.
    """

    def __init__(self, head: Head, hello: messages.Hello, worker: Executor | None = None) -> None:
        self.head, self._channels, self._worker = head, hello.channels, worker
        shape = np.asarray(hello.shape, np.float32)[: head.shape_count]
        self._shape = shape if np.any(shape) else None
        self._frames: OrderedDict[tuple[Frame, str, bool], Data] = OrderedDict()
        self._making: dict[tuple[Frame, str, bool], asyncio.Future[Data]] = {}
        self._kept_bytes = 0
        self._audio_sequence = 0

    def offers(self, name: str) -> bool:
        """Whether this channel set can be had."""
        return name in self._channels

    def sends(self, frame: Frame, name: str, as_json: bool) -> bool:
        """Whether this frame is sent in this form at all."""
        slow = as_json and name == messages.VERTICES
        return not slow or frame.sequence % SLOW_TEXT_FRAMES == 0

    async def encoded(self, frame: Frame, name: str, as_json: bool) -> Data:
        """One frame in the set `name`, binary or as readable text; made once for all who ask."""
        key = (frame, name, as_json)
        data = self._frames.get(key)
        if data is not None:
            return data
        if self._worker is None or (name == messages.FLAME and not as_json):
            return self.frame(frame, name, as_json)
        making = self._making.get(key)
        if making is None:
            loop = asyncio.get_running_loop()
            making = loop.run_in_executor(self._worker, self._encode, frame, name, as_json)
            self._making[key] = making
            making.add_done_callback(lambda done: self._made(key, done))
        return await asyncio.shield(making)

    def frame(self, frame: Frame, name: str, as_json: bool) -> Data:
        """The same at once."""
        key = (frame, name, as_json)
        data = self._frames.get(key)
        if data is None:
            data = self._encode(frame, name, as_json)
            self._keep(key, data)
        return data

    def _made(self, key: tuple[Frame, str, bool], done: asyncio.Future[Data]) -> None:
        self._making.pop(key, None)
        if not done.cancelled() and done.exception() is None:
            self._keep(key, done.result())

    def _keep(self, key: tuple[Frame, str, bool], data: Data) -> None:
        self._frames[key] = data
        self._kept_bytes += len(data)
        while len(self._frames) > KEPT or (self._kept_bytes > KEPT_BYTES and len(self._frames) > 1):
            self._kept_bytes -= len(self._frames.popitem(last=False)[1])

    def _values(self, frame: Frame, name: str) -> NDArray[np.float32]:
        """The payload of a frame in the set `name`."""
        return channel_values(self.head, name, frame, self._shape)

    def _encode(self, frame: Frame, name: str, as_json: bool) -> Data:
        """Pure: may run in any thread."""
        values = self._values(frame, name)
        if as_json:
            return self._as_text(frame, name, values)
        return codec.serialise(
            codec.Message(CHANNEL_SETS[name].kind, frame.sequence, frame.sample, values)
        )

    def _as_text(self, frame: Frame, name: str, values: NDArray[np.float32]) -> str:
        names = self._channels[name] or [str(index) for index in range(len(values))]
        readable = {n: round(float(v), 5) for n, v in zip(names, values, strict=True)}
        return codec.serialise_text(
            messages.TextFrame(name, frame.sequence, frame.sample, readable)
        )

    def audio(self, start: int, samples: NDArray[np.float32]) -> Sound:
        """(n,) samples from index `start`, the same for all."""
        sequence, self._audio_sequence = self._audio_sequence, self._audio_sequence + 1
        return Sound(sequence, start, samples)

    @cached_property
    def faces(self) -> list[bytes]:
        """The triangles, in messages that small receive buffers can take."""
        corners = np.ascontiguousarray(self.head.faces, np.uint32).ravel()
        step = 3 * FACES_PER_MESSAGE
        return [
            codec.serialise(codec.Message(codec.Kind.FACES, number, at, corners[at : at + step]))
            for number, at in enumerate(range(0, len(corners), step))
        ]


class EasingEncoder(Encoder):
    """Eases from the frame that a client has to those of a session that goes on with its own.

    Args:
        head, hello, worker: as of any encoder.
        name: the channel set of `values`.
        values: (n,) of the last frame that it has.
        first: the sample of the frame that comes next.
    """

    def __init__(
        self,
        head: Head,
        hello: messages.Hello,
        worker: Executor | None,
        name: str,
        values: NDArray[np.float32],
        first: int,
    ) -> None:
        super().__init__(head, hello, worker)
        self._name, self._from, self._first = name, values, first

    def _values(self, frame: Frame, name: str) -> NDArray[np.float32]:
        values = super()._values(frame, name)
        number = (frame.sample - self._first) // FRAME_SAMPLES
        if name != self._name or not 0 <= number < EASE_FRAMES or len(self._from) != len(values):
            return values
        share = (number + 1) / (EASE_FRAMES + 1)
        share = share * share * (3 - 2 * share)
        return (self._from + np.float32(share) * (values - self._from)).astype(np.float32)
