"""The left eyeball with iris and pupil, and the lashes."""

from __future__ import annotations

import numpy as np

from head.modelling.parts import lids
from head.modelling.parts.part import Part, Triangles, fan, strip
from head.modelling.surface.field import EYE, EYE_RADIUS, Points

SEGMENTS = 24
CONVERGE = 0.035
"""Radians inward at rest: the eyes meet about a metre in front."""
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
    vertices = EYE + EYE_RADIUS * unit
    faces = [fan(np.arange(1, SEGMENTS + 1), 0, closed=True)]
    faces.append(strip(len(RINGS), SEGMENTS, closed=True, flip=True) + 1)
    material = ["pupil"] * SEGMENTS
    for i in range(len(RINGS) - 1):
        material += [COLOURS[min(i, len(COLOURS) - 1)]] * (2 * SEGMENTS)
    return Part("eye", vertices, np.concatenate(faces), material)


LASHES = np.array([-0.62, -0.42, -0.22, -0.02, 0.16, 0.33, 0.49, 0.64, 0.79, 0.93])
"""Places of single ones along the lid, -1 at the inner corner, 1 at the outer."""


def lashes(loops: Points, closed: float = 0.0, long: float = 1.0) -> Part:
    """A dark line along the upper margin of the lid loops (loops, AROUND, 3), and single lashes.

    `closed` is how far the lid is, `long` a factor on the lashes' length.
    """
    line, faces = _line(loops, closed)
    spikes = _spikes(loops, closed, long)
    number = np.arange(len(spikes))
    one = np.array([(0, 1, 3), (1, 2, 3), (2, 0, 3)])
    every = np.concatenate([faces, (4 * number[:, None, None] + one).reshape(-1, 3) + len(line)])
    vertices = np.concatenate([line, spikes.reshape(-1, 3)])
    return Part("lash", vertices, every, ["lashes"] * len(every))


def _line(loops: Points, closed: float) -> tuple[Points, Triangles]:
    """A tapered ridge along the upper margin, thicker towards the outer corner."""
    k = np.arange(lids.INNER, lids.OUTER + 1)
    s = lids.along()[0][k]
    inner, outer = loops[1, k], loops[lids.MARGIN, k]
    grown = np.clip((s + 1.0) / 1.7, 0, 1) ** 1.2 * np.clip((1.06 - s) / 0.25, 0, 1) ** 0.5
    length = 0.2 + 1.7 * grown
    tip = (inner + outer) / 2 + length[:, None] * _reach(s, closed)
    root = outer + (outer - inner) * 0.25
    root[:, 1] += 0.55 * (1 - 0.7 * closed)
    root[:, 2] += 0.25
    base = inner.copy()
    base[:, 1] -= 0.15
    base[:, 2] += 0.35
    return np.concatenate([root, tip, base]), strip(3, len(k), closed=False, flip=True)


def _reach(s: Points, closed: float) -> Points:
    """Unit directions (n, 3) of upper lashes at places -1 (inner corner) to 1: out, and upwards."""
    reach = np.stack([0.35 * s, np.full_like(s, 0.55 - 1.15 * closed), np.full_like(s, 0.8)], -1)
    reach[:, 0] += 0.25 * np.clip(s, 0, 1) ** 2
    return np.asarray(reach / np.linalg.norm(reach, axis=1, keepdims=True))


def _spikes(loops: Points, closed: float, long: float) -> Points:
    """(n, 4, 3) single lashes: three roots in the line, and a tip that curls up and outwards."""
    s, up = lids.along()
    on = np.flatnonzero(up > 0)
    on = on[np.argsort(s[on])]

    def at(loop: int, places: Points) -> Points:
        return np.stack([np.interp(places, s[on], loops[loop, on, k]) for k in range(3)], -1)

    left, right = at(lids.MARGIN, LASHES - 0.055), at(lids.MARGIN, LASHES + 0.055)
    behind = at(1, LASHES)
    grown = np.clip((LASHES + 1.0) / 1.8, 0, 1) ** 1.3
    uneven = np.array([1.0, 0.86])[np.arange(len(LASHES)) % 2]
    fan = np.stack([0.55 * LASHES, np.full(len(LASHES), 0.25 * (1 - 1.6 * closed)), 0 * LASHES], -1)
    length = long * uneven * (1.4 + 2.5 * grown)
    tip = (left + right + behind) / 3 + length[:, None] * (_reach(LASHES, closed) + fan)
    return np.stack([left, right, behind, tip], axis=1)
