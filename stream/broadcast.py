"""What everybody sees who has no session of their own: the server's stream, and what it is now.

Everything here runs in the server's event loop, but for reading `hello`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stream import wire
from stream.clock import Clock, unix_time
from stream.connection import Connection
from stream.encoder import Encoder
from stream.frames import Frame
from stream.owners import ServerCounts
from stream.sink import FrameTiming

CLOCK_STEP = 0.005
"""Seconds by which the estimate of the stream's start must move to be told again."""


class Broadcast:
    """Hands the server's stream to its viewers.

    Args:
        hello: what newcomers are told.
        encoder: of audio.
        clients: all who are connected, now; those with sessions of their own are passed over.
        counts: where to count.
        clock: of the frames' timings.
    """

    def __init__(
        self,
        hello: wire.Hello,
        encoder: Encoder,
        clients: Collection[Connection],
        counts: ServerCounts,
        clock: Clock,
    ) -> None:
        self.hello = hello
        self._encoder, self._clients, self._counts = encoder, clients, counts
        self._clock = clock

    def frame(self, frame: Frame, timing: FrameTiming | None) -> None:
        """A frame for every viewer."""
        if timing is not None:
            self._tell_time(frame, timing)
        for client in self._viewers():
            self._counts.dropped += client.motion(frame)
        self._counts.sent += 1

    def audio(self, start: int, samples: NDArray[np.float32]) -> None:
        """Sound for the viewers that asked for it."""
        data = self._encoder.audio(start, samples)
        for client in self._viewers():
            client.pcm(data)

    def text(self, message: wire.Text) -> None:
        """A control message for every viewer."""
        for client in self._viewers():
            client.text(message)

    def _viewers(self) -> list[Connection]:
        return [client for client in self._clients if client.own is None]

    def _tell_time(self, frame: Frame, timing: FrameTiming) -> None:
        """Say when sample 0 was captured, at first and whenever the estimate moves."""
        rate = self.hello.sample_rate
        middle = frame.sample + rate / self.hello.fps / 2
        start = unix_time(self._clock, timing.captured) - middle / rate
        known = self.hello.start_time
        if known is None or abs(start - known) > CLOCK_STEP:
            self.hello = replace(self.hello, start_time=start)
            self.text(wire.ClockInfo(0, start))
