"""Lids that fall in time: a shown face that has stared for long blinks.

A model samples its blinks, one frame in a hundred begins one, and a few network calls from its own
past can miss that for a minute.  A blink of its own always counts; one is added where none comes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from head.channels import LIDS

_LIDS = list(LIDS)
SHUT = 0.5
"""Lids further down than this have blinked."""
BLINK = (0.6, 1.0, 0.95, 0.4, 0.1)
"""How far they are down in the frames of a blink, 0.2 s."""
SPREAD = 0.3
"""Of the stares' lengths, as of a logarithm: nobody blinks by the clock."""


class Lids:
    """The lids of one stream.

    Args:
        frames: a stare lasts about so long; 0 leaves the lids as they are.
        seed: of the stares' lengths.
    """

    def __init__(self, frames: float, seed: int) -> None:
        self._frames = frames
        self._rng = np.random.default_rng([seed & 0xFFFF_FFFF_FFFF_FFFF, 0x11D5])
        # A stream begins somewhere in a stare: short ones have their blinks, too.
        self._left = math.ceil(self._rng.random() * self._stare())

    def settle(self, raw: NDArray[np.floating]) -> None:
        """Let the lids of new frames (n, D) in raw units fall where they must, in place."""
        if not self._frames:
            return
        for row in raw:
            if row[_LIDS].mean() > SHUT:
                self._left = self._stare()
            if self._left <= 0:
                row[_LIDS] = np.maximum(row[_LIDS], BLINK[-self._left])
                if self._left == 1 - len(BLINK):
                    self._left = self._stare() + 1
            self._left -= 1

    def _stare(self) -> int:
        """Frames until the lids must fall."""
        return max(1, round(self._frames * float(np.exp(SPREAD * self._rng.standard_normal()))))
