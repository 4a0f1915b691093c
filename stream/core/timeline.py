"""The audio that has arrived, addressed by absolute sample index.

Time is the signed sample index; there are no seconds here.  Reads before 0 and after the end of a
closed timeline are zeros; reading what has not arrived, or what was dropped, is a mistake of the
caller and raises.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from head.errors import WrongValue

ROOM = 4096
"""Samples that there is room for at first: a quarter of a second, as of many streams the buffers
are to stay in a cache together."""


class Timeline:
    """Append-only audio with a bounded past.

    Invariant: samples [start, end) are held, in one buffer, compacted as the past is dropped.
    """

    __slots__ = ("_buffer", "_first", "closed", "end", "start")  # half as many lines of a cache

    def __init__(self) -> None:
        self._buffer = np.zeros(ROOM, np.float32)
        self._first = 0  # absolute index of _buffer[0]
        self.start = 0
        self.end = 0
        self.closed = False

    def append(self, block: NDArray[np.float32]) -> None:
        """Append a block: (n,) samples in [-1, 1]; what is not a number is read as 0.

        Raises:
            ValueError: the block is not one-dimensional, or the timeline is closed.
        """
        if self.closed:
            raise WrongValue("audio after finish(): call reset() to begin a new stream")
        samples = np.asarray(block, np.float32)
        if samples.ndim != 1:
            raise WrongValue(f"a block is (n,) mono samples, got shape {samples.shape}")
        count = len(samples)
        if self.start == self.end:  # nothing is held: the same memory again, while a cache has it
            self._first = self.end
        if self.end - self._first + count > len(self._buffer):
            self._make_room(count)
        at = self.end - self._first
        self._buffer[at : at + count] = samples
        self.end += count

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Samples [start, stop), a copy; zeros before 0 and, once closed, after the end.

        Raises:
            IndexError: part of the range was dropped, or has not arrived yet.
        """
        out = np.empty(stop - start, np.float32)
        self.read_into(out, start)
        to_full_scale(out)
        return out

    def read_into(self, out: NDArray[np.float32], start: int) -> None:
        """As many samples as `out` is long, from `start` on, as they came, see `read`."""
        stop = start + len(out)
        if self.start <= start and stop <= self.end:  # nearly always
            out[...] = self._buffer[start - self._first : stop - self._first]
            return
        if stop > self.end and not self.closed:
            raise IndexError(f"samples up to {stop} asked for, {self.end} have arrived")
        if max(start, 0) < self.start and stop > max(start, 0):
            raise IndexError(f"samples from {start} asked for, those before {self.start} are gone")
        out[...] = 0.0
        low, high = max(start, 0), min(stop, self.end)
        if high > low:
            out[low - start : high - start] = self._buffer[low - self._first : high - self._first]

    def drop_before(self, sample: int) -> None:
        """Let go of everything before `sample`; memory stays bounded."""
        if sample > self.start:
            self.start = min(sample, self.end)

    def close(self) -> None:
        """No more audio will come: reads past the end are zeros from now on."""
        self.closed = True

    def _make_room(self, count: int) -> None:
        """Compact, and grow if need be, so that `count` more samples fit."""
        held, first = self.end - self.start, self.start - self._first
        kept = self._buffer[first : first + held]
        # Half empty after compaction, so that appending stays cheap on average.
        wanted = 2 * (held + count)
        if wanted > len(self._buffer):
            self._buffer = np.zeros(wanted, np.float32)
        self._buffer[:held] = kept
        self._first = self.start


def to_full_scale(samples: NDArray[np.float32]) -> None:
    """Bring samples (...) into [-1, 1], in place; what is not a number becomes 0."""
    # A comparison with what is not a number is false.
    if samples.size and not (samples.max() <= 1.0 and samples.min() >= -1.0):
        np.nan_to_num(samples, copy=False, nan=0.0, posinf=1.0, neginf=-1.0)
        np.clip(samples, -1.0, 1.0, out=samples)
