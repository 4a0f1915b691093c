"""Where the camera stands: a portrait of any head, FLAME-sized or not, from its own eyes.

Pure numpy. Poses are 4x4 matrices from camera to world, OpenGL convention (the camera looks along
its own -z); y up, x to the subject's left, z out of the face.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from head.model import Head

FIELD_OF_VIEW_DEGREES = 22.0  # as with a portrait lens: little perspective, but not none
CAMERAS = ("head", "bust", "profile")
"""Where a camera may stand: before the face, farther off with the shoulders, at its side."""


@dataclass(frozen=True)
class Framing:
    """A camera that stays `distance` metres from `target` (3,) and shows `height` metres.

    Attributes:
        turn: degrees that it stands round the face at yaw 0.
        slender: width by height of what must be seen; a picture that is more slender shows more
            height.
    """

    target: tuple[float, float, float]
    height: float
    distance: float
    near: float
    far: float
    turn: float = 0.0
    slender: float = 0.74

    def within(self, width: int, height: int) -> Framing:
        """The same for a picture of this size: farther off where it is slender."""
        farther = max(1.0, self.slender * height / width)
        distance = self.distance * farther
        spread = distance - self.distance
        return replace(self, distance=distance, near=self.near + spread, far=self.far + spread)

    def pose(self, yaw: float = 0.0, pitch: float = 0.0, zoom: float = 1.0) -> NDArray[np.float64]:
        """Camera pose (4, 4); yaw and pitch in degrees turn the camera round the face.

        A positive yaw moves the camera to the subject's left, a positive pitch moves it up.
        """
        y, p = np.radians([yaw + self.turn, pitch])
        about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
        about_x = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
        pose = np.eye(4)
        pose[:3, :3] = about_y @ about_x
        pose[:3, 3] = np.array(self.target) + pose[:3, :3] @ (0, 0, self.distance / zoom)
        return pose


def frame_head(head: Head, camera: str = "head") -> Framing:
    """Put the face in the picture as one of CAMERAS does.

    `head` and `profile` show it from crown to upper neck, eyes a little above the middle; `bust`
    the shoulders, too.

    The distance between the eye joints is the ruler, so shoulders or a long neck change nothing;
    a head without two apart eye joints is framed by its bounding box.
    """
    template = np.asarray(head.template, np.float64)
    low, high = template.min(axis=0), template.max(axis=0)
    middle = (low + high) / 2
    eyes = _eyes(head, template)
    if eyes is None:
        top, bottom = high[1], low[1]
    else:
        centre, apart = eyes
        top = min(high[1], centre[1] + 2.7 * apart) + 0.32 * apart
        bottom = max(low[1], centre[1] - 2.6 * apart)
        middle = centre
    slender = 0.74
    if camera == "bust":
        tall = high[1] - low[1]
        top, bottom = high[1] + 0.05 * tall, low[1] + 0.07 * tall  # where it was cut is not seen
        slender = float(max(0.74, 1.04 * (high[0] - low[0]) / (top - bottom)))
    elif camera == "profile":
        middle = np.array([middle[0], middle[1], (low[2] + high[2]) / 2])
    height = float(top - bottom)
    size = float(np.linalg.norm(high - low))
    distance = height / 2 / np.tan(np.radians(FIELD_OF_VIEW_DEGREES / 2))
    target = (float(middle[0]), float(top + bottom) / 2, float(middle[2]))
    near = max(distance - 2 * size, distance / 50)
    turn = 90.0 if camera == "profile" else 0.0
    return Framing(target, height, distance, near, distance + 2 * size, turn, slender)


def _eyes(head: Head, template: NDArray[np.float64]) -> tuple[NDArray[np.float64], float] | None:
    """Point between the eye joints (3,) and their distance, or None where there is no such pair."""
    names = tuple(head.joint_names)
    if "eye_left" not in names or "eye_right" not in names:
        return None
    joints = np.asarray(head.joint_regressor, np.float64) @ template
    left, right = joints[names.index("eye_left")], joints[names.index("eye_right")]
    apart = float(np.linalg.norm(left - right))
    size = float(np.linalg.norm(np.ptp(template, axis=0)))
    return ((left + right) / 2, apart) if apart > 0.02 * size else None
