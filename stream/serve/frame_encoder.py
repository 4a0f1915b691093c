"""Frames, audio and faces as messages, each encoded once for all viewers that want it."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from head.model import Head
from stream.frames import Frame
from stream.wire import codec, messages
from stream.wire.channels import CHANNEL_SETS, channel_values

KEPT = 16  # encoded frames; viewers that keep up ask for the same one within milliseconds
FACES_PER_MESSAGE = 4096  # 48 kB: below the 64 kB that some engines can receive


class Encoder:
    """Encodes for one head; used by one thread.

    Args:
        head: poses `vertices`, and maps to `arkit52`; an attribute, too.
        hello: names the sets and their channels.
    """

    def __init__(self, head: Head, hello: messages.Hello) -> None:
        self.head, self._channels = head, hello.channels
        shape = np.asarray(hello.shape, np.float32)[: head.shape_count]
        self._shape = shape if np.any(shape) else None
        self._frames: OrderedDict[tuple[Frame, str, bool], bytes | str] = OrderedDict()
        self._audio_sequence = 0

    def offers(self, name: str) -> bool:
        """Whether this channel set can be had."""
        return name in self._channels

    def frame(self, frame: Frame, name: str, as_json: bool) -> bytes | str:
        """One frame in the set `name`, binary or as readable text."""
        key = (frame, name, as_json)
        data = self._frames.get(key)
        if data is None:
            values = channel_values(self.head, name, frame, self._shape)
            data = self._frames[key] = (
                self._as_text(frame, name, values)
                if as_json
                else codec.serialise(
                    codec.Message(CHANNEL_SETS[name].kind, frame.sequence, frame.sample, values)
                )
            )
            if len(self._frames) > KEPT:
                self._frames.popitem(last=False)
        return data

    def _as_text(self, frame: Frame, name: str, values: NDArray[np.float32]) -> str:
        names = self._channels[name] or [str(index) for index in range(len(values))]
        readable = {n: round(float(v), 5) for n, v in zip(names, values, strict=True)}
        return codec.serialise_text(
            messages.TextFrame(name, frame.sequence, frame.sample, readable)
        )

    def audio(self, start: int, samples: NDArray[np.float32]) -> bytes:
        """(n,) samples from index `start`."""
        sequence, self._audio_sequence = self._audio_sequence, self._audio_sequence + 1
        return codec.serialise(codec.Message(codec.Kind.PCM, sequence, start, samples))

    def faces(self) -> list[bytes]:
        """The triangles, in messages that small receive buffers can take."""
        corners = np.ascontiguousarray(self.head.faces, np.uint32).ravel()
        step = 3 * FACES_PER_MESSAGE
        return [
            codec.serialise(codec.Message(codec.Kind.FACES, number, at, corners[at : at + step]))
            for number, at in enumerate(range(0, len(corners), step))
        ]
