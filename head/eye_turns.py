"""How far the eyeLook channels turn the eye joints."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.channels import CHANNELS, INDEX

GAZE_RADIANS: Final = {"LookUp": 0.42, "LookDown": 0.46, "LookIn": 0.55, "LookOut": 0.55}
"""The eye's turn at full weight."""

_PAIRS: Final = (
    ("LookOutLeft", "LookInLeft"),
    ("LookInRight", "LookOutRight"),
    ("LookUpLeft", "LookDownLeft"),
    ("LookUpRight", "LookDownRight"),
)
AXES: Final = tuple((INDEX[f"eye{toward}"], INDEX[f"eye{away}"]) for toward, away in _PAIRS)
"""Channel pairs of one signed angle each, toward and away: both eyes to the left, then up."""

_AXES = np.array(AXES)
_RADIANS = np.array(
    [[GAZE_RADIANS[end.removesuffix("Left").removesuffix("Right")] for end in p] for p in _PAIRS]
)
_ANGLE_OF, _SIGNS = np.array([0, 0, 1, 1]), np.array([1.0, -1.0])


def gaze() -> NDArray[np.float64]:
    """(15, 50) axis-angle of the five joints per unit of a channel."""
    turn = np.zeros((15, len(CHANNELS)))
    for joint, side, inward in ((3, "Left", -1.0), (4, "Right", 1.0)):
        turn[3 * joint, INDEX[f"eyeLookDown{side}"]] = GAZE_RADIANS["LookDown"]
        turn[3 * joint, INDEX[f"eyeLookUp{side}"]] = -GAZE_RADIANS["LookUp"]
        turn[3 * joint + 1, INDEX[f"eyeLookIn{side}"]] = inward * GAZE_RADIANS["LookIn"]
        turn[3 * joint + 1, INDEX[f"eyeLookOut{side}"]] = -inward * GAZE_RADIANS["LookOut"]
    return turn


def looks(weights: NDArray[np.floating]) -> NDArray[np.floating]:
    """Where the eyes of (n, >= 50) channel weights look: (n, 4) radians, in the order of `AXES`."""
    ends = weights[:, _AXES] * _RADIANS  # (n, 4, 2)
    return ends[..., 0] - ends[..., 1]


def eye_weights(angles: NDArray[np.floating]) -> NDArray[np.floating]:
    """Weights that let both eyes look `angles` (n, 2) to the left and up, radians.

    Returns:
        (n, 4, 2), at most 1, for the channels of `AXES`.
    """
    ways = angles[:, _ANGLE_OF, None] * _SIGNS / _RADIANS
    return np.minimum(np.maximum(ways, 0.0), 1.0)
