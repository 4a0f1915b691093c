"""Colours of the built-in head: one material per part, and soft shades per vertex."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from head.model import Material
from head.modelling.anatomy import Anatomy, blob
from head.modelling.parts import eyes
from head.modelling.surface.field import Points

MATERIALS = (
    Material("skin", (0.78, 0.50, 0.37), 0.52),
    Material("lid_edge", (0.66, 0.37, 0.30), 0.45),
    Material("lips", (0.60, 0.215, 0.18), 0.42),
    Material("mouth", (0.10, 0.015, 0.015), 0.8),
    Material("gums", (0.55, 0.19, 0.19), 0.4),
    Material("teeth", (0.93, 0.90, 0.83), 0.25),
    Material("tongue", (0.85, 0.32, 0.33), 0.42),
    Material("sclera", (0.86, 0.85, 0.83), 0.25),
    Material("iris", (0.20, 0.40, 0.40), 0.2),
    Material("limbus", (0.03, 0.07, 0.08), 0.2),
    Material("pupil", (0.004, 0.004, 0.005), 0.15),
    Material("catchlight", (1.0, 1.0, 1.0), 0.9),
    Material("lashes", (0.02, 0.012, 0.01), 0.8),
    Material("brow", (0.05, 0.027, 0.018), 0.8),
    Material("hair", (0.055, 0.028, 0.018), 0.5),
    Material("collar", (0.035, 0.09, 0.11), 0.85),
    Material("shirt", (0.045, 0.125, 0.155), 0.85),
)


def tint(a: Anatomy) -> NDArray[np.uint8]:
    """(V, 3) factors: warmth on cheeks, nose and ears, shade in the sockets, lips and nostrils."""
    p = a.p * [1, 1, 1]
    q = np.abs(p) * [1, 0, 0] + p * [0, 1, 1]
    colour = np.ones_like(p)

    def shade(mask: Points, rgb: tuple[float, float, float]) -> None:
        colour[:] *= 1 - mask[:, None] * (1 - np.array(rgb))

    face = a.face()
    shade(blob(q, (40, 2, 62), (26, 22, 34)) * face, (1.0, 0.86, 0.84))
    shade(blob(q, (0, 0, 100), (16, 14, 18)) * face, (1.0, 0.87, 0.85))
    shade(blob(q, (30, 36, 66), (24, 15, 26)) * face, (0.95, 0.86, 0.85))
    shade(blob(q, (6.4, -8.0, 90), (4.6, 4.6, 6.5)) * a.skin, (0.34, 0.22, 0.20))
    shade(blob(q, (0, -60, 82), (20, 14, 22)) * face, (1.0, 0.94, 0.93))
    seal = np.isin(a.loop, (2, 3)).astype(float)
    shade(seal * a.skin, (0.45, 0.35, 0.35))
    for side in ("left", "right"):
        shade_ear = np.zeros(len(p))
        shade_ear[a.surface.parts[f"ear_{side}"]] = 1.0
        shade(shade_ear, (1.0, 0.90, 0.88))
        eye = a.surface.parts[f"eye_{side}"]
        white = np.zeros(len(p))
        white[eye] = (
            np.clip((p[eye, 1] - 36.5) / 8, 0, 1) + np.clip((72 - p[eye, 2]) / 14, 0, 0.6) * 0.5
        )
        shade(np.clip(white, 0, 1), (0.72, 0.70, 0.72))
        ring = eye[1 + eyes.SEGMENTS : 1 + 4 * eyes.SEGMENTS]  # iris: dark above, lit from within
        iris = np.zeros(len(p))
        iris[ring] = np.clip(0.5 + (p[ring, 1] - p[eye, 1].mean()) / 13, 0, 1)
        shade(iris, (0.06, 0.09, 0.11))
        rim = np.zeros(len(p))
        rim[eye[1 + 3 * eyes.SEGMENTS : 1 + 4 * eyes.SEGMENTS]] = 1.0
        shade(rim, (0.45, 0.45, 0.48))
    for name in ("teeth_upper", "teeth_lower"):
        index = a.surface.parts[name]
        deep = np.zeros(len(p))
        deep[index] = np.clip((79 - p[index, 2]) / 12, 0, 1)
        shade(deep, (0.15, 0.11, 0.10))
    back = np.zeros(len(p))
    back[a.surface.parts["tongue"]] = np.clip((66 - p[a.surface.parts["tongue"], 2]) / 26, 0, 1)
    shade(back, (0.45, 0.38, 0.38))
    return np.asarray((colour.clip(0, 1) * 255).round(), dtype=np.uint8)
