"""The fence at the model: what is no motion never becomes a stream's past, and nobody sees it.

A face whose model fails comes to rest within a few frames, and goes over into what the model makes
once that is motion again.  Frames keep their indices all the while.
"""

from __future__ import annotations

import copy
from typing import Self

import numpy as np

from stream.backends.protocol import FloatArray

MOST_MOTION = 1_000.0
"""Standard deviations; a motion is within a few."""
EASE_FRAMES = 10


def is_motion(rows: FloatArray) -> bool:
    """Whether normalised motion, (n, D), can be one."""
    # A comparison with what is not a number is false.
    return bool((np.abs(rows) < MOST_MOTION).all())


class Fence:
    """What one stream has shown last, and how it comes from there to what it shows next.

    Attributes:
        broken: outputs of the model that were no motion.
        shown: (D,) the last frame, raw; None before the first.
    """

    def __init__(self) -> None:
        self.broken = 0
        self.shown: FloatArray | None = None
        self._from: FloatArray | None = None  # None: nothing is eased
        self._eased = 0
        self._resting = False

    @property
    def calm(self) -> bool:
        """Whether frames are shown as they are."""
        return self._from is None and not self._resting

    def rest(self, count: int, channels: int) -> FloatArray:
        """The next frames, (count, channels) in raw units, in place of such an output."""
        self.broken += 1
        if not self._resting:
            self._ease_away()
        self._resting = True
        return self._pass(np.zeros((count, channels), np.float32))

    def show(self, raw: FloatArray) -> FloatArray:
        """The next frames, (n, D) in raw units, as they are to be shown."""
        if self._resting:
            self._ease_away()
            self._resting = False
        return self._pass(raw)

    def copy(self) -> Self:
        """The same, which goes its own way from here."""
        return copy.copy(self)  # rows are replaced, never written into

    def _ease_away(self) -> None:
        self._from, self._eased = self.shown, 0

    def _pass(self, raw: FloatArray) -> FloatArray:
        if self._from is not None:
            raw = raw.copy()
            for row in raw:
                self._eased += 1
                share = min(1.0, self._eased / (EASE_FRAMES + 1))
                row += (1.0 - share * share * (3.0 - 2.0 * share)) * (self._from - row)
                if self._eased > EASE_FRAMES:
                    self._from = None
                    break
        if len(raw):
            self.shown = raw[-1].copy()
        return raw
