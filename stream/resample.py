"""A step after the session: its motion at another frame rate, for films, files and senders.

Frame k belongs to the time k / fps. In between, motion is interpolated linearly; after the last
frame it stays. A rotation vector may be interpolated so, as heads turn by small angles.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from stream.frames import FPS

Floats = NDArray[np.float32]

FILM_RATES = (24, 25, 30, 50, 60)
"""Frames a second that a film may have."""


def count_at_rate(frames: int, old: int, new: int) -> int:
    """So many frames at `new` are as long as `frames` at `old`."""
    return -(-frames * new // old)


def at_rate(rows: Floats, old: int, new: int) -> Floats:
    """(L, d) at `old` frames per second -> (n, d) at `new`: as long in time, row 0 at time 0."""
    if old == new or not len(rows):
        return rows
    count = count_at_rate(len(rows), old, new)
    before, now = np.arange(len(rows)) / old, np.arange(count) / new
    columns = [np.interp(now, before, column) for column in rows.T]
    return np.stack(columns, axis=-1).astype(np.float32)


class Resampler:
    """The same frame by frame, for motion that is still being made.

    Args:
        fps: frames per second of what comes out.
        source: of what goes in.
    """

    def __init__(self, fps: int, source: int = FPS) -> None:
        self._new, self._old = fps, source
        self._last: Floats | None = None
        self._in = self._out = 0

    @property
    def made(self) -> int:
        """The number of the row that comes out next: it belongs to the time `made / fps`."""
        return self._out

    def skip(self, frames: int) -> None:
        """So many rows never came: the last one stays, and no row is made for that time."""
        self._in += frames
        after = (self._in - 1) * self._new // self._old + 1  # the first that is later
        self._out = max(self._out, after)

    def feed(self, rows: Iterable[Floats]) -> list[Floats]:
        """Take the next rows (d,); gives those whose time lies before the last one's."""
        made: list[Floats] = []
        for row in rows:
            row = np.asarray(row, np.float32)
            self._in += 1
            # In units of 1 / (old * new) seconds, so that nothing is rounded.
            while self._out * self._old <= (self._in - 1) * self._new:
                past = (self._in - 1) * self._new - self._out * self._old
                if past == 0 or self._last is None:
                    made.append(row)
                else:
                    share = np.float32(past / self._new)
                    made.append((row + share * (self._last - row)).astype(np.float32))
                self._out += 1
            self._last = row
        return made

    def finish(self) -> list[Floats]:
        """What is left: the last row stays until its time is over."""
        left = count_at_rate(self._in, self._old, self._new) - self._out
        self._out += max(0, left)
        return [] if self._last is None else [self._last] * max(0, left)
