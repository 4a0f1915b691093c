"""Raw PCM from a pipe: `arecord -t raw -f S16_LE -r 16000 | posetalk live --source -`."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO, Literal, TypeAlias

import numpy as np

from stream.audio import SAMPLE_RATE, Block, SourceError
from stream.clock import Clock, MonotonicClock
from stream.sources.capture_clock import CaptureClock
from stream.sources.pcm import LiveResampler, from_int16, mono

SampleFormat: TypeAlias = Literal["s16le", "f32le"]

# How far a writer may run ahead of time before it is made to wait: enough for the bursts of a live
# one, little enough that a file piped in is still played at the pace of time.
AHEAD_SECONDS = 0.2
READ_SECONDS = {"realtime": 0.02, "fast": 0.25}


class RawSource:
    """Headerless little-endian PCM from a file descriptor, mono or interleaved.

    Args:
        stream: a binary stream with a file descriptor; default standard input.
        rate: samples per second of the input.
        channels: interleaved channels, averaged.
        sample_format: `s16le` or `f32le`.
        pace: `realtime` makes a writer that is faster than time wait; `fast` takes all at once.
        clock: for the stamps and the waiting.

    Raises:
        SourceError: standard input is a terminal, or a setting makes no sense.
    """

    device_latency = 0.0
    dropped = 0

    def __init__(
        self,
        stream: BinaryIO | None = None,
        *,
        rate: int = SAMPLE_RATE,
        channels: int = 1,
        sample_format: SampleFormat = "s16le",
        pace: Literal["realtime", "fast"] = "realtime",
        clock: Clock | None = None,
    ) -> None:
        self._stream = sys.stdin.buffer if stream is None else stream
        self.name = "standard input"
        self.realtime = pace == "realtime"
        self._clock = clock or MonotonicClock()
        self._closed = threading.Event()
        if self._stream.isatty():
            raise SourceError(
                "standard input is a terminal: pipe raw PCM into it (16 kHz mono, 16 bit)"
            )
        if channels < 1:
            raise SourceError(f"{channels} channels: there must be at least one")
        try:
            self._resampler = LiveResampler(rate)
        except ValueError as error:
            raise SourceError(str(error)) from None
        self._channels = channels
        self._dtype = np.dtype("<i2" if sample_format == "s16le" else "<f4")
        self._unit = self._dtype.itemsize * channels
        self._read_bytes = self._unit * max(1, int(rate * READ_SECONDS[pace]))

    def __iter__(self) -> Iterator[Block]:
        capture = CaptureClock(SAMPLE_RATE)
        rest, end, first = b"", 0, None
        while not self._closed.is_set():
            data = self._read()
            if data is None:
                continue
            rest += data
            whole = len(rest) // self._unit * self._unit
            values = np.frombuffer(rest[:whole], self._dtype)
            rest = rest[whole:]
            if self._dtype.kind == "i":
                values = from_int16(values)
            samples = self._resampler.feed(mono(values.reshape(-1, self._channels)))
            if not data:
                samples = np.concatenate([samples, self._resampler.finish()])
            if len(samples):
                arrival = self._clock.now()
                start, end = end, end + len(samples)
                yield Block(start, samples, arrival, capture.update(end, arrival))
                first = arrival if first is None else first
                ahead = first + end / SAMPLE_RATE - self._clock.now() - AHEAD_SECONDS
                if self.realtime and ahead > 0:
                    self._clock.wait(self._closed, ahead)
            if not data:
                if end == 0:
                    raise SourceError("standard input ended without any audio")
                return

    def _read(self) -> bytes | None:
        """What the pipe holds; b"" at its end, None when nothing came for a moment."""
        descriptor = self._stream.fileno()
        if sys.platform != "win32":
            # Never block for good, so that close() ends the iteration even if nobody writes.
            readable, _, _ = select.select([descriptor], [], [], 0.1)
            if not readable:
                return None
        return os.read(descriptor, self._read_bytes)

    def interrupt(self) -> None:
        """What a pipe holds belongs to its writer."""

    def close(self) -> None:
        self._closed.set()
