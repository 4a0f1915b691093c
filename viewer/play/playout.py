"""When to show which frame: a pure play-out buffer on the audio clock.

Frames arrive late, early, in bursts and out of order. Shown at a constant delay behind the clock of
the audio they run evenly:

    play time of a frame  =  sample / rate  +  offset          (seconds on the viewer's own clock)
    transit of a frame    =  arrival - sample / rate

The offset is the least transit plus a fixed delay, or (adaptive) the smallest offset that 99 % of
the recent frames meet. No clock inside: the time is an argument. Nothing raises for being late;
it is counted.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import numpy as np

from head.errors import WrongValue
from stream.frames import SAMPLE_RATE

QUANTILE = 0.99
WINDOW_FRAMES = 250  # 10 s: the past that the adaptive delay looks at
CAPACITY_FRAMES = 500
SETTLE_SECONDS_PER_SECOND = 0.05  # how fast a delay that has become too long shrinks


class Stamped(Protocol):
    """Anything with the absolute index of its first audio sample."""

    @property
    def sample(self) -> int: ...


F = TypeVar("F", bound=Stamped)


@dataclass(frozen=True)
class Counts:
    """What became of the frames pushed so far."""

    pushed: int = 0
    shown: int = 0
    late: int = 0  # came after a newer one had been shown (or was shown itself already)
    skipped: int = 0  # never shown: a newer one was due too, or a new timeline began
    overflowed: int = 0  # pushed out of the full buffer, oldest first


@dataclass(frozen=True)
class Transit:
    """Which share of the recent frames a constant play-out delay would meet."""

    least: float  # seconds: smallest transit seen
    delay: float  # seconds above `least` that 99 % of the frames meet


class PlayoutBuffer(Generic[F]):
    """Bounded, ordered by sample, newest wins. One owner; not thread-safe.

    `delay` seconds above the fastest frame's transit, or None to adapt. `rate` in samples a second.
    """

    def __init__(
        self, rate: int = SAMPLE_RATE, delay: float | None = None, capacity: int = CAPACITY_FRAMES
    ) -> None:
        if delay is not None and not delay >= 0:
            raise WrongValue(f"play-out delay {delay}: must be 0 seconds or more")
        if capacity < 1:
            raise WrongValue(f"play-out capacity {capacity}: must be 1 frame or more")
        self.rate, self.delay, self.capacity = rate, delay, capacity
        self.counts = Counts()
        self._waiting: list[tuple[int, int, F]] = []  # (sample, push number, frame), ascending
        self.reset()

    def reset(self) -> None:
        """Forget all frames and timing, not the counts: the server has begun a new timeline."""
        self.counts = replace(self.counts, skipped=self.counts.skipped + len(self._waiting))
        self._waiting.clear()
        self._transits: deque[float] = deque(maxlen=WINDOW_FRAMES)
        self._last: int | None = None  # sample of the frame shown last
        self._offset: float | None = None
        self._asked: float | None = None

    def push(self, frame: F, now: float) -> None:
        """Take in a frame that arrived at `now` (seconds on the clock that `due` is asked with)."""
        pushed = self.counts.pushed + 1
        self.counts = replace(self.counts, pushed=pushed)
        self._transits.append(now - frame.sample / self.rate)
        known = any(sample == frame.sample for sample, _, _ in self._waiting)
        if known or (self._last is not None and frame.sample <= self._last):
            self.counts = replace(self.counts, late=self.counts.late + 1)
            return
        insort(self._waiting, (frame.sample, pushed, frame), key=lambda item: item[:2])
        if len(self._waiting) > self.capacity:
            del self._waiting[0]
            self.counts = replace(self.counts, overflowed=self.counts.overflowed + 1)

    def due(self, now: float) -> F | None:
        """The frame to show from now on, or None while nothing new is due.

        Where several have become due the newest is returned and the others count as skipped.
        """
        if not self._waiting:
            return None
        edge = now - self._adapt(now) + 0.5 / self.rate  # half a sample: times are rounded
        ready = sum(sample / self.rate <= edge for sample, _, _ in self._waiting)
        if not ready:
            return None
        self._last, _, frame = self._waiting[ready - 1]
        del self._waiting[:ready]
        shown, skipped = self.counts.shown + 1, self.counts.skipped + ready - 1
        self.counts = replace(self.counts, shown=shown, skipped=skipped)
        return frame

    @property
    def waiting(self) -> int:
        """Frames that are not due yet."""
        return len(self._waiting)

    @property
    def transit(self) -> Transit | None:
        """The recent frames' transit, None before the first frame."""
        if not self._transits:
            return None
        least = min(self._transits)
        return Transit(least, smallest_offset(self._transits) - least)

    def position(self, now: float) -> float | None:
        """Sample index (fractional) that is being shown at `now`, None before the first frame."""
        return None if self._offset is None else (now - self._offset) * self.rate

    def _adapt(self, now: float) -> float:
        """Offset of the play times: up at once when frames come late, down slowly."""
        if self.delay is not None:
            self._offset = min(self._transits) + self.delay
            return self._offset
        wanted = smallest_offset(self._transits)
        if self._offset is None or wanted > self._offset or self._asked is None:
            self._offset = wanted
        else:
            step = SETTLE_SECONDS_PER_SECOND * max(now - self._asked, 0.0)
            self._offset = max(wanted, self._offset - step)
        self._asked = now
        return self._offset


def smallest_offset(transits: deque[float] | list[float], share: float = QUANTILE) -> float:
    """Smallest offset that at least `share` of the transits meet (they are not empty)."""
    ordered = np.sort(np.asarray(transits, np.float64))
    return float(ordered[max(int(np.ceil(share * len(ordered))) - 1, 0)])
