"""Short hair, swept back: a thick cap with locks that run from the hairline to the crown."""

from __future__ import annotations

import numpy as np

from head.modelling.chart import smooth_curve
from head.modelling.field import Points, cast, normal, skin
from head.modelling.part import Part, fan, strip

COLUMNS, ROWS = 72, 13
CENTRE = np.array([0.0, 62.0, -14.0])
CROWN = np.array([-6.0, 136.0, -62.0])
# Hairline, left side from the forehead to the nape, and how thick the hair is there.
LINE = np.array([
    (0, 101, 78, 7.5), (16, 103, 75, 8.0), (33, 101, 66, 7.5), (45, 92, 55, 6.0), (50, 80, 48, 4.5),
    (55, 66, 40, 3.6), (62, 54, 26, 3.0), (66, 36, 12, 2.6), (68, 24, 7, 2.0), (69, 40, -2, 2.8), (69, 56, -12, 3.8),
    (69, 50, -30, 4.2), (68, 28, -36, 4.0), (62, 2, -44, 3.6), (52, -18, -56, 3.0), (34, -32, -70, 2.4), (0, -38, -78, 2.2),
], dtype=float)  # fmt: skip


def hair() -> Part:
    """Rows from the crown to the hairline and under it; columns all around."""
    right = LINE[-2:0:-1] * [-1, 1, 1, 1]
    ring = np.concatenate([LINE, right])
    wrapped = np.concatenate([ring[-2:], ring, ring[:3]])
    fine = smooth_curve(wrapped, 2 + np.linspace(0, len(ring), 2000, endpoint=False))
    run = np.append(0, np.linalg.norm(np.diff(fine[:, :3], axis=0), axis=1).cumsum())
    at = (np.arange(COLUMNS) + 0.5) / COLUMNS * run[-1]
    line = np.stack([np.interp(at, run, fine[:, i]) for i in range(4)], -1)
    edge, thick = line[:, :3], line[:, 3]
    start = (CROWN - CENTRE) / np.linalg.norm(CROWN - CENTRE)
    goal = edge - CENTRE
    goal /= np.linalg.norm(goal, axis=1, keepdims=True)
    rows = []
    top = np.clip((edge[:, 1] - 40) / 60, 0, 1) * np.clip((edge[:, 2] + 10) / 70, 0, 1)
    for r in range(1, ROWS + 1):
        q = (r / (ROWS - 1)) ** 0.85 if r < ROWS else 1.0
        p = _onto_skin(_between(start, goal, min(q, 1.0)))
        n = normal(skin, p, 0.5)
        full = 9.5 + 7.5 * top * np.clip(q * 1.6 - 0.35, 0, 1)
        body = np.clip((1 - q) / 0.30, 0, 1)
        height = full * body + thick * (1 - body)
        height = height * np.sqrt(np.clip((1.04 - q) / 0.10, 0.0, 1))
        height = height + _locks(q, r) * np.clip(q / 0.35, 0, 1) * np.clip((1.12 - q) / 0.3, 0, 1)
        if r == ROWS:
            height = np.full(COLUMNS, -1.5)
        rows.append(p + height[:, None] * n)
    crown = _onto_skin(start[None])[0]
    crown = crown + 8.5 * normal(skin, crown[None], 0.5)[0]
    vertices = np.concatenate([crown[None], *rows])
    faces = np.concatenate(
        [fan(np.arange(1, COLUMNS + 1), 0, closed=True), strip(ROWS, COLUMNS, closed=True, flip=True) + 1]
    )
    outward = vertices[faces].mean(1) - CENTRE
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    if (np.cross(b - a, c - a) * outward).sum() < 0:
        faces = faces[:, ::-1]
    return Part("hair", vertices, faces, ["hair"] * len(faces))


def _locks(q: float, row: int) -> Points:
    """Ridges that drift sideways as they run back, in millimetres."""
    j = np.arange(COLUMNS)
    wave = 9 * 2 * np.pi * j / COLUMNS + 1.5 * q
    fine = 18 * 2 * np.pi * j / COLUMNS - 1.1 * q + 0.9
    return np.asarray(1.3 * (np.abs(np.cos(wave)) - 0.6) * 1.4 + 0.5 * np.cos(fine))


def _between(start: Points, goal: Points, q: float) -> Points:
    """Great circle from one direction to many."""
    angle = np.arccos(np.clip(goal @ start, -1, 1))
    s = np.sin(angle)
    out = (np.sin((1 - q) * angle) / s)[:, None] * start + (np.sin(q * angle) / s)[:, None] * goal
    return np.asarray(out)


def _onto_skin(direction: Points) -> Points:
    return cast(skin, CENTRE + 190 * direction, -direction, 185)
