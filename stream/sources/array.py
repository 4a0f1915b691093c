"""Samples in memory as a source: for Python callers and for tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stream.audio import SAMPLE_RATE, Block
from stream.clock import Clock, MonotonicClock
from stream.sources.pacing import Blocks, Pace
from stream.sources.pcm import LiveResampler, mono


class ArraySource:
    """An array as a source.

    Args:
        samples: (n,) or (n, channels), in [-1, 1].
        rate: samples per second.
        pace: `realtime` as a microphone would deliver it, or `fast` as soon as it is asked for.
        clock: for the stamps and the waiting.
    """

    name = "samples"
    device_latency = 0.0
    dropped = 0

    def __init__(
        self,
        samples: NDArray[np.floating],
        rate: int = SAMPLE_RATE,
        *,
        pace: Pace = "fast",
        clock: Clock | None = None,
    ) -> None:
        self.realtime = pace == "realtime"
        self._samples, self._resampler = mono(samples), LiveResampler(rate)
        self._closed = threading.Event()
        self._blocks = Blocks(clock or MonotonicClock(), pace, self._closed)

    def __iter__(self) -> Iterator[Block]:
        yield from self._blocks.cut(self._resampler.feed(self._samples))
        yield from self._blocks.cut(self._resampler.finish(), last=True)

    def interrupt(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        self._closed.set()
