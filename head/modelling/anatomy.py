"""Where a vertex is on the face: the masks that weights and channels are made of.

All arrays are per vertex of the whole model; millimetres. Masks are 0..1 and smooth on the skin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from head.modelling.assemble import Index, Surface
from head.modelling.parts import lips
from head.modelling.surface.field import Points


def ramp(value: Points, start: float, end: float) -> Points:
    """0 at `start`, 1 at `end`, smooth in between (either order)."""
    t = np.clip((value - start) / (end - start), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def bump(distance: Points, radius: float) -> Points:
    """1 at 0, falling to 0 at `radius`."""
    return np.asarray((1 - np.clip(distance / radius, 0, 1) ** 2) ** 2)


def blob(
    p: Points, centre: tuple[float, float, float], radii: tuple[float, float, float]
) -> Points:
    """A smooth ellipsoidal mask."""
    return bump(np.linalg.norm((p - centre) / radii, axis=1), 1.0)


@dataclass(frozen=True)
class Anatomy:
    """Masks of one model."""

    surface: Surface
    p: Points
    skin: Points
    """1 on skin, lips, lids and bag."""
    loop: Index
    """Number of the lip loop, -1 elsewhere."""
    column: Points
    """0 in the middle of the mouth, 1 at its corner, by the columns of the lips or by x."""
    upper: Points
    """Above the line of the lips (exact on the lips)."""
    lower: Points
    lips: Points
    """1 on the lips, fading over about 2 cm of skin around them and into the bag."""
    left: Points
    """Share of the left side across the middle of the face; left + right = 1."""

    def face(self) -> Points:
        """Skin of the front of the head, and the brows on it."""
        mask = self.skin.copy()
        for side in ("left", "right"):
            mask[self.surface.parts[f"brow_{side}"]] = 1
        return mask * ramp(self.p[:, 2], -5, 20)


def survey(surface: Surface) -> Anatomy:
    """The masks of `surface`."""
    p = surface.vertices
    n = len(p)
    skin = np.zeros(n)
    skin[surface.parts["skin"]] = 1
    loop = np.full(n, -1)
    column = np.clip(np.abs(p[:, 0]) / lips.WIDTH, 0, 1.6)
    line = lips.line(np.clip(column, 0, 1))
    beyond = np.maximum(np.abs(p[:, 0]) - lips.WIDTH, 0)
    soft = 2 + 0.5 * beyond
    upper = np.clip((p[:, 1] - line) / (2 * soft) + 0.5, 0, 1)
    s, up = lips.along()
    rows = np.arange(len(surface.lips))[:, None]
    sharp = np.broadcast_to(up * ramp(s, 1.0, 0.82), surface.lips.shape)
    for index in (surface.lips, surface.mirror[surface.lips]):
        loop[index] = np.broadcast_to(rows, index.shape)
        column[index] = np.broadcast_to(s, index.shape)
        upper[index] = 0.5 + 0.5 * sharp
    inside = np.setdiff1d(surface.parts["bag"], np.flatnonzero(loop >= 0))
    upper[inside] = ramp(p[inside, 1], -42, -30)
    ellipse = np.linalg.norm((p[:, :2] - (0, -34)) / (27.5, 12.5), axis=1)
    outside = np.maximum(ellipse - 1, 0) * np.where(
        ellipse > 0, np.linalg.norm(p[:, :2] - (0, -34), axis=1) / np.maximum(ellipse, 1e-9), 0
    )
    near = bump(outside, 27.0) * skin * ramp(p[:, 2], 35, 60)
    near[inside] = 0.0
    for index in (surface.lips, surface.mirror[surface.lips]):
        near[index[0]], near[index[1]] = 0.35, 0.8
        near[index[2 : lips.BORDER + 2]] = 1.0
    side = ramp(p[:, 0], -10, 10)
    return Anatomy(surface, p, skin, loop, column, upper, 1 - upper, near, side)
