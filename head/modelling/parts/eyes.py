"""The left eyeball with iris and pupil, and the lashes."""

from __future__ import annotations

import numpy as np

from head.modelling.parts import lids
from head.modelling.parts.part import Part, fan, strip
from head.modelling.surface.field import EYE, EYE_RADIUS, Points

SEGMENTS = 24
CONVERGE = 0.035
"""Radians inward at rest: the eyes meet about a metre in front."""
SUNK = (
    *((0.0, 0.0), (0.12, 0.05), (0.235, 0.2), (0.38, 0.52), (0.485, 0.85), (0.525, 0.95)),
    *((0.75, 0.45), (1.1, 0.0)),
)
"""By angle, millimetres by which the ball is sunk: a cornea, and a furrow where it meets the white.
What is mirrored in it goes along with the gaze, and lids still slide over a round ball."""
RINGS = (0.12, 0.235, 0.38, 0.485, 0.525, 0.75, 1.10, 1.65)
COLOURS = ("pupil", "iris", "iris", "limbus", "sclera")


def ball() -> Part:
    """Rings about the forward axis; the first vertex is the middle of the pupil."""
    turn = 2 * np.pi * np.arange(SEGMENTS) / SEGMENTS
    rings = [
        np.stack(
            [np.sin(a) * np.cos(turn), np.sin(a) * np.sin(turn), np.full(SEGMENTS, np.cos(a))], -1
        )
        for a in RINGS
    ]
    unit = np.concatenate([[[0.0, 0.0, 1.0]], *rings])
    c, s = np.cos(CONVERGE), np.sin(CONVERGE)
    unit = np.stack(
        [c * unit[:, 0] - s * unit[:, 2], unit[:, 1], s * unit[:, 0] + c * unit[:, 2]], -1
    )
    angle = np.array([0.0, *np.repeat(RINGS, SEGMENTS)])
    sunk = np.interp(angle, *np.transpose(SUNK))
    vertices = EYE + (EYE_RADIUS - sunk)[:, None] * unit
    faces = [fan(np.arange(1, SEGMENTS + 1), 0, closed=True)]
    faces.append(strip(len(RINGS), SEGMENTS, closed=True, flip=True) + 1)
    material = ["pupil"] * SEGMENTS
    for i in range(len(RINGS) - 1):
        material += [COLOURS[min(i, len(COLOURS) - 1)]] * (2 * SEGMENTS)
    return Part("eye", vertices, np.concatenate(faces), material)


def lashes(loops: Points, closed: float = 0.0, long: float = 1.0) -> Part:
    """A dark, tapered ridge along the upper margin of the lid loops (loops, AROUND, 3), that ends
    in a wing at the outer corner.

    `closed` is how far the lid is, `long` a factor on the lashes' length.
    """
    k = np.arange(lids.INNER, lids.OUTER + 1)
    s = lids.along()[0][k]
    inner, outer = loops[1, k], loops[lids.MARGIN, k]
    grown = np.clip((s + 1.0) / 1.7, 0, 1) ** 1.2 * np.clip((1.06 - s) / 0.25, 0, 1) ** 0.5
    wing = np.exp(-(((s - 0.86) / 0.16) ** 2))
    shut = np.clip(closed, 0, 1)  # then a fine line is left
    length = 0.2 + long * (2.3 * (1 - 0.4 * shut) * grown + 1.1 * (1 - shut) * wing)
    reach = np.stack([0.35 * s, np.full_like(s, 0.55 - 1.15 * closed), np.full_like(s, 0.8)], -1)
    reach[:, 0] += 0.25 * np.clip(s, 0, 1) ** 2 + 0.45 * wing
    reach /= np.linalg.norm(reach, axis=1, keepdims=True)
    tip = (inner + outer) / 2 + length[:, None] * reach
    root = outer + (outer - inner) * 0.25
    root[:, 1] += 0.55 * (1 - 0.7 * closed)
    root[:, 2] += 0.25
    base = inner.copy()
    base[:, 1] -= 0.15
    base[:, 2] += 0.35
    faces = strip(3, len(k), closed=False, flip=True)
    return Part("lash", np.concatenate([root, tip, base]), faces, ["lashes"] * len(faces))
