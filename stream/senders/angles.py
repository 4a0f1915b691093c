"""Angles of head and eyes, as tools that know nothing of axis-angle want them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.channels import ARKIT_52
from head.skinning import rotation_matrices

Floats = NDArray[np.float32]

LOOK_DOWN, LOOK_UP, LOOK_ASIDE = 0.46, 0.42, 0.55
"""Radians that an eye turns at weight 1, as the built-in head's eyes do."""

_AT: Final = {name: index for index, name in enumerate(ARKIT_52)}


def yaw_pitch_roll(rotation: Floats) -> Floats:
    """Axis-angle (..., 3) to (..., 3) yaw, pitch, roll in radians: R = Ry(yaw) Rx(pitch) Rz(roll).

    Axes as everywhere here (x to the head's left, y up, z forward): yaw > 0 turns to the head's
    left, pitch > 0 looks down, roll > 0 tips the crown to the head's right.
    """
    matrix = rotation_matrices(np.asarray(rotation, np.float64))
    pitch = np.arcsin(np.clip(-matrix[..., 1, 2], -1, 1))
    yaw = np.arctan2(matrix[..., 0, 2], matrix[..., 2, 2])
    roll = np.arctan2(matrix[..., 1, 0], matrix[..., 1, 1])
    return np.stack([yaw, pitch, roll], axis=-1).astype(np.float32)


def eye_angles(weights: Floats) -> Floats:
    """ARKit weights (..., 52) to (..., 2, 2): left and right eye, each yaw and pitch in radians.

    Yaw > 0 looks to the head's left, pitch > 0 looks down.
    """

    def weight(name: str) -> Floats:
        return np.asarray(weights, np.float32)[..., _AT[name]]

    sides = []
    for side, towards_left in (("Left", "Out"), ("Right", "In")):
        away = "In" if towards_left == "Out" else "Out"
        yaw = LOOK_ASIDE * (weight(f"eyeLook{towards_left}{side}") - weight(f"eyeLook{away}{side}"))
        pitch = LOOK_DOWN * weight(f"eyeLookDown{side}") - LOOK_UP * weight(f"eyeLookUp{side}")
        sides.append(np.stack([yaw, pitch], axis=-1))
    return np.stack(sides, axis=-2).astype(np.float32)


def quaternion(rotation: Floats) -> Floats:
    """Axis-angle (..., 3) to unit quaternions (..., 4): x, y, z, w."""
    vector = np.asarray(rotation, np.float64)
    angle = np.linalg.norm(vector, axis=-1, keepdims=True)
    # sin(a / 2) / a, smooth through zero.
    factor = 0.5 * np.sinc(angle / (2 * np.pi))
    return np.concatenate([vector * factor, np.cos(angle / 2)], axis=-1).astype(np.float32)
