"""Samples in memory as a source: for Python callers and for tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from head.errors import WrongValue
from stream.audio import SAMPLE_RATE, Block
from stream.clock import Clock, MonotonicClock
from stream.sources.channel_choice import Channel, Meter, fixed, tell
from stream.sources.pacing import Blocks, Pace
from stream.sources.pcm import LiveResampler, mono, to_float

MOST_CHANNELS = 256
LISTEN_SECONDS = 300
"""So much is heard before one of several channels is chosen."""


class ArraySource:
    """An array as a source.

    Args:
        samples: (n,) or (n, channels): floats in [-1, 1], or integers of 8, 16 or 32 bits.
        rate: samples per second.
        pace: `realtime` as a microphone would deliver it, or `fast` as soon as it is asked for.
        channel: which of several channels is heard; `auto` listens for the speech.
        clock: for the stamps and the waiting.

    Raises:
        ValueError: no array of samples, or no such rate or channel; one line.
    """

    name = "samples"
    kind = "file"
    device_latency = 0.0
    dropped = 0

    def __init__(
        self,
        samples: ArrayLike,
        rate: int = SAMPLE_RATE,
        *,
        pace: Pace = "fast",
        channel: Channel = "auto",
        clock: Clock | None = None,
    ) -> None:
        self.realtime = pace == "realtime"
        self._resampler = LiveResampler(rate)
        self._samples = _one_channel(to_float(samples), rate, channel)
        self._closed = threading.Event()
        self._blocks = Blocks(clock or MonotonicClock(), pace, self._closed)

    def __iter__(self) -> Iterator[Block]:
        yield from self._blocks.cut(self._resampler.feed(self._samples))
        yield from self._blocks.cut(self._resampler.finish(), last=True)

    def interrupt(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        self._closed.set()


def _one_channel(samples: NDArray[np.float32], rate: int, channel: Channel) -> NDArray[np.float32]:
    """(n,) or (n, channels) -> (n,)."""
    if samples.ndim == 1:
        samples = samples[:, None]
    if samples.ndim != 2 or not 1 <= samples.shape[1] <= MOST_CHANNELS:
        turned = " (transpose it?)" if samples.ndim == 2 and samples.shape[1] else ""
        raise WrongValue(f"samples are (n,) or (n, channels), this is {samples.shape}{turned}")
    channels = samples.shape[1]
    try:
        choice = fixed(channel, channels)
    except ValueError as error:
        raise WrongValue(f"the array {error}") from None
    if choice is None:
        meter = Meter(rate, channels)
        meter.add(samples[: LISTEN_SECONDS * rate])
        choice = meter.choose()
        tell("samples", choice)
    return choice(samples) if channels > 1 else mono(samples[:, 0])
