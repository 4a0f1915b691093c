"""Other people from the same face: smooth bends of space, in millimetres, that carry it along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from head.modelling.anatomy import Anatomy, bump, ramp
from head.modelling.identity import eye_mask, keep_eyes_round
from head.modelling.surface.field import EYE, Points

NECK_AXIS = (0.0, -28.0)
"""x and z of the line that a neck gets thinner about."""


@dataclass(frozen=True)
class Push:
    """A soft shove of what lies in an ellipsoid, on both sides of the face alike."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    move: tuple[float, float, float]


@dataclass(frozen=True)
class Bend:
    """How a person's proportions differ; heights are those of the first head.

    Attributes:
        width: (height, factor on x) from below to above.
        rise: (height, millimetres upwards) from below to above.
        neck: factor on the neck's thickness.
        pushes: what else is moved.
        eyes: factor on the size of eyes and lids.
    """

    width: Sequence[tuple[float, float]] = ((-220.0, 1.0), (150.0, 1.0))
    rise: Sequence[tuple[float, float]] = ((-220.0, 0.0), (150.0, 0.0))
    neck: float = 1.0
    pushes: Sequence[Push] = ()
    eyes: float = 1.0

    def __call__(self, p: Points) -> Points:
        """Where points (N, 3) go, eyes aside."""
        from scipy.interpolate import PchipInterpolator

        out = p.copy()
        for push in self.pushes:
            for side in (1.0, -1.0):
                mirror = np.array([side, 1, 1])
                near = bump(np.linalg.norm((p - push.centre * mirror) / push.radii, axis=1), 1.0)
                out += near[:, None] * push.move * mirror
        y = np.clip(p[:, 1], self.width[0][0], self.width[-1][0])
        out[:, 0] *= PchipInterpolator(*np.transpose(self.width))(y)
        y = np.clip(p[:, 1], self.rise[0][0], self.rise[-1][0])
        out[:, 1] += PchipInterpolator(*np.transpose(self.rise))(y)
        thin = 1 + (self.neck - 1) * ramp(p[:, 1], -72, -104)
        for axis, middle in zip((0, 2), NECK_AXIS, strict=True):
            out[:, axis] = middle + (out[:, axis] - middle) * thin
        return out


def reshape(a: Anatomy, bend: Bend, shape: Points) -> Points:
    """The vertices (V, 3) of the person: bent, and of the identity `shape` (V, 3) besides."""
    moved = keep_eyes_round(a, bend(a.p) - a.p) + shape
    for side in (1.0, -1.0):
        mask, centre = eye_mask(a, side)[:, None], EYE * [side, 1, 1]
        moved = moved + mask * (bend.eyes - 1) * (a.p - centre)
    return a.p + moved


def carried(a: Anatomy, bend: Bend, delta: Points) -> Points:
    """What a channel's displacements (V, 3) are on the bent face; round the eyes, only larger."""
    bent = bend(a.p + delta) - bend(a.p)
    for side in (1.0, -1.0):
        mask = eye_mask(a, side)[:, None]
        bent = (1 - mask) * bent + mask * bend.eyes * delta
    return np.asarray(bent)
