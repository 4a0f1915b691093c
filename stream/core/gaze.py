"""Eyes that come back to whom they speak to.

What the starter imitates knows no look aside or up that stays (`training.labels.gestures.gaze`;
some styles do look down), but a model that goes on from its own past drifts into one.  So a shown
gaze is the model's without what is slow in it: quick looks, and the eyes' turn against the head's,
stay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from head.eye_turns import AXES

_LEFT, _RIGHT = (list(ends) for ends in zip(*AXES[:2], strict=True))
_UP, _DOWN = (list(ends) for ends in zip(*AXES[2:], strict=True))


class Gaze:
    """The gaze of one stream.

    Args:
        frames: over so many a look aside or up fades; 0 leaves every look as it is.
    """

    def __init__(self, frames: float) -> None:
        self._frames = frames
        self._slow = np.zeros(2)  # to the left, up

    def settle(self, raw: NDArray[np.floating]) -> None:
        """Take what is slow out of new frames (n, D) in raw units, in place."""
        if not self._frames:
            return
        for row in raw:
            looks = np.array(
                [row[_LEFT].mean() - row[_RIGHT].mean(), row[_UP].mean() - row[_DOWN].mean()]
            )
            self._slow += (looks - self._slow) / self._frames
            aside, up = looks - self._slow
            row[_LEFT], row[_RIGHT] = max(aside, 0.0), max(-aside, 0.0)
            if self._slow[1] > 0.0:
                row[_UP], row[_DOWN] = max(up, 0.0), max(-up, 0.0)
