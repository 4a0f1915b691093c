"""Eyes that come back to whom they speak to.

What the starter imitates knows no look aside that stays (`training.gestures.gaze`), but a model
that goes on from its own past drifts into one.  So a shown gaze is the model's without what is slow
in it, sideways: quick looks, and the eyes' turn against the head's, stay as they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from head.channels import CHANNELS

_LEFT, _RIGHT = (
    [CHANNELS.index(name) for name in names]
    for names in (("eyeLookOutLeft", "eyeLookInRight"), ("eyeLookInLeft", "eyeLookOutRight"))
)


class Gaze:
    """The gaze of one stream.

    Args:
        frames: over so many a look aside fades; 0 leaves every look as it is.
    """

    def __init__(self, frames: float) -> None:
        self._frames = frames
        self._slow = 0.0

    def settle(self, raw: NDArray[np.floating]) -> None:
        """Take what is slow out of new frames (n, D) in raw units, in place."""
        if not self._frames:
            return
        for row in raw:
            aside = float(row[_LEFT].mean() - row[_RIGHT].mean())
            self._slow += (aside - self._slow) / self._frames
            aside -= self._slow
            row[_LEFT], row[_RIGHT] = max(aside, 0.0), max(-aside, 0.0)
