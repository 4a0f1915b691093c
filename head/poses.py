"""Named poses of the built-in head: the ones on its model sheet, and recipes for sounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from head.channels import INDEX
from head.model import Floats, Head
from head.skinning import skin


@dataclass(frozen=True)
class Pose:
    """Channel weights (a name without Left or Right stands for both sides) and the jaw's angle."""

    channels: Mapping[str, float] = field(default_factory=dict)
    jaw: float = 0.0
    """Radians about +x; 0.35 is wide open."""
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Axis-angle of the neck."""

    def expression(self) -> Floats:
        """(50,) weights.

        Raises:
            KeyError: a name is not a channel of the built-in head.
        """
        out = np.zeros(len(INDEX), dtype=np.float32)
        for name, weight in self.channels.items():
            names = [name] if name in INDEX else [f"{name}Left", f"{name}Right"]
            out[[INDEX[each] for each in names]] = weight
        return out

    def vertices(self, head: Head) -> Floats:
        """(V, 3) metres."""
        posed: Floats = skin(
            head,
            self.expression(),
            jaw_pose=np.array([self.jaw, 0, 0], dtype=np.float32),
            neck_pose=np.array(self.turn, dtype=np.float32),
        )
        return posed


POSES: Final[dict[str, Pose]] = {
    "neutral": Pose(),
    "jaw open": Pose(jaw=0.35),
    "smile": Pose(
        {
            "mouthSmile": 1.0,
            "mouthUpperUp": 0.35,
            "cheekSquint": 0.6,
            "eyeSquint": 0.25,
            "browOuterUp": 0.15,
        },
        jaw=0.03,
    ),
    "blink": Pose({"eyeBlink": 1.0}),
    "pucker": Pose({"mouthPucker": 1.0}),
    "F and V": Pose({"mouthRollLower": 0.95, "mouthUpperUp": 0.35}, jaw=0.035),
    "TH": Pose({"tongueOut": 0.6, "mouthUpperUp": 0.25, "mouthLowerDown": 0.05}, jaw=0.055),
    "pressed lips": Pose({"mouthPress": 1.0, "mouthRollLower": 0.3, "mouthRollUpper": 0.3}),
    "three quarters": Pose(),
    "surprise": Pose(
        {"browInnerUp": 1.0, "browOuterUp": 1.0, "eyeWide": 1.0, "mouthFunnel": 0.25}, jaw=0.22
    ),
    "anger": Pose(
        {"browDown": 1.0, "eyeSquint": 0.3, "noseSneer": 0.5, "mouthFrown": 0.6, "mouthPress": 0.6}
    ),
    "profile": Pose(),
}
"""The poses, in the order of the model sheet."""

YAW_DEGREES: Final[dict[str, float]] = {"three quarters": -35.0, "profile": -80.0}
"""Where the camera stands for a pose, if not in front."""
