"""A face to which nothing comes any more goes to rest softly. No clock inside: time is given."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

HOLD_SECONDS = 0.6
"""A face without frames holds still for so long; as `viewer/web/face/face.js` has it."""
REST_SECONDS = 0.7
"""Then it takes so long to come to rest."""


class Resting:
    """What is shown between two frames, and after the last one.

    `rest` gives values of the kind that it is given, of the head at rest.
    """

    def __init__(self, rest: Callable[[Floats], Floats]) -> None:
        self._rest = rest
        self._values: Floats | None = None
        self._begin = 0.0  # seconds: when it starts to go to rest
        self._left = 0.0  # of the motion in what is shown

    def shown(self, values: Floats | None, now: float, *, over: bool = False) -> Floats | None:
        """The values (n,) to show from `now` on, in seconds; None where the picture stays.

        Args:
            values: of the frame that is due now; None where there is no new one.
            over: whether no other will come: then it does not hold still before.
        """
        if values is not None:
            self._values, self._begin, self._left = values, now + HOLD_SECONDS, 1.0
            return values
        if over:
            self._begin = min(self._begin, now)
        if self.at_rest or self._values is None:
            return None
        left = 1.0 - min(max((now - self._begin) / REST_SECONDS, 0.0), 1.0)
        if left == self._left:
            return None
        self._left = left
        rest = self._rest(self._values)
        eased = np.float32(left * left * (3.0 - 2.0 * left))
        return rest + eased * (self._values - rest)

    @property
    def at_rest(self) -> bool:
        """Whether nothing of any motion is left in what is shown."""
        return self._left == 0.0
