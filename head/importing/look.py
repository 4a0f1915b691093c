"""Colours for heads that come without: one material per part, and soft shades per vertex."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.geometry.mesh import Bools, Points
from head.geometry.survey import Surveyed
from head.model import Material

MATERIALS: Final = (
    Material("skin", (0.74, 0.47, 0.36), 0.52),
    Material("lips", (0.60, 0.25, 0.21), 0.42),
    Material("mouth", (0.16, 0.03, 0.03), 0.7),
    Material("gums", (0.55, 0.19, 0.19), 0.4),
    Material("teeth", (0.93, 0.90, 0.83), 0.25),
    Material("tongue", (0.80, 0.30, 0.31), 0.42),
    Material("sclera", (0.86, 0.85, 0.83), 0.25),
    Material("iris", (0.20, 0.33, 0.36), 0.2),
    Material("pupil", (0.004, 0.004, 0.005), 0.15),
    Material("lashes", (0.02, 0.012, 0.01), 0.8),
)
NAMES: Final = tuple(material.name for material in MATERIALS)
LIP_RGB: Final = (0.80, 0.50, 0.55)
BROW_RGB: Final = (0.20, 0.15, 0.12)
LASH_RGB: Final = (0.10, 0.07, 0.06)
FLUSH_RGB: Final = (1.0, 0.88, 0.86)
GUMS_ON_TONGUE_RGB: Final = (0.72, 0.66, 0.64)
IRIS_RGB: Final = (0.26, 0.40, 0.44)
LIMBUS_RGB: Final = (0.10, 0.12, 0.14)
PUPIL_RGB: Final = (0.01, 0.01, 0.012)
IRIS_RADIANS, PUPIL_RADIANS = 0.50, 0.20
"""Half the angle at an eye's centre that its iris and its pupil fill."""


def shade(tint: Points, share: Points, rgb: tuple[float, float, float]) -> None:
    """Darken `tint` (V, 3) in place towards `rgb` by `share` (V,)."""
    tint *= 1 - share[:, None] * (1 - np.array(rgb))


def stroke(points: Points, line: Points, width: float) -> Points:
    """(V,) 1 on the polyline `line` (N, 3), smoothly 0 from `width` on, seen from the front."""
    nearest = np.full(len(points), np.inf)
    for a, b in zip(line[:-1, :2], line[1:, :2], strict=True):
        along = np.clip((points[:, :2] - a) @ (b - a) / max(float((b - a) @ (b - a)), 1e-12), 0, 1)
        nearest = np.minimum(
            nearest, np.linalg.norm(points[:, :2] - a - along[:, None] * (b - a), axis=1)
        )
    t = np.clip(1 - nearest / width, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def face_tint(p: Points, found: Surveyed) -> Points:
    """(V, 3) red lips, lashes along the lids, a little flush on cheeks and nose."""
    r, tint = found.ruler, np.ones_like(p)
    skin = np.zeros(len(p))
    skin[found.regions["skin"]] = 1.0
    shade(tint, found.lips, LIP_RGB)
    for side in ("left", "right"):
        rim = p[found.regions[f"lid_edge_{side}"]]
        upper = rim[: len(rim) // 2 + 1]
        shade(tint, stroke(p, upper, 0.045 * r) * skin * 0.95, LASH_RGB)
        shade(tint, stroke(p, rim, 0.03 * r) * skin * 0.25, LASH_RGB)
        cheek = np.linalg.norm(p - p[found.landmarks[f"cheek_{side}"]], axis=1) / (0.4 * r)
        shade(tint, np.clip(1 - cheek**2, 0, 1) * skin, FLUSH_RGB)
    nose = np.linalg.norm(p - p[found.landmarks["nose_tip"]], axis=1) / (0.25 * r)
    shade(tint, np.clip(1 - nose**2, 0, 1) * skin, FLUSH_RGB)
    return tint


def paint_eye(tint: Points, p: Points, ball: Bools, centre: Points) -> None:
    """Iris, its dark rim and the pupil, in place, on the front of the eyeball `ball` (V,)."""
    offset = p - centre
    off_axis = np.arctan2(np.hypot(offset[:, 0], offset[:, 1]), offset[:, 2])
    for angle, rgb in (
        (IRIS_RADIANS, LIMBUS_RGB),
        (0.85 * IRIS_RADIANS, IRIS_RGB),
        (PUPIL_RADIANS, PUPIL_RGB),
    ):
        inside = ball & (off_axis < angle)
        tint[inside] = rgb


def brow_line(p: Points, found: Surveyed, side: str) -> Points:
    """(5, 3) where a brow would be, from the nose outwards, by proportion over the eye."""
    r = found.ruler
    inner, outer = (p[found.landmarks[f"eye_{which}_{side}"]] for which in ("inner", "outer"))
    share = np.linspace(-0.22, 1.42, 5)[:, None]
    height = np.array([0.38, 0.42, 0.43, 0.40, 0.28])[:, None] * r
    return np.asarray(inner + share * (outer - inner) + height * np.array([0.0, 1.0, 0.0]))


def as_bytes(tint: Points) -> NDArray[np.uint8]:
    """Factors in 0..1 as a head keeps them."""
    return np.asarray((tint.clip(0, 1) * 255).round(), dtype=np.uint8)
