"""Hair close to the skull: cropped sides, under longer locks that are swept back or alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from head.modelling.parts.part import Part, Triangles, fan, strip
from head.modelling.surface.chart import smooth_curve
from head.modelling.surface.field import Points, cast, normal, skin

CENTRE = np.array([0.0, 62.0, -14.0])
Height = Callable[[float, Points, Points], Points]
"""(share of the way to the edge, points on the skin, millimetres to the edge) -> thickness."""

# Outlines: left side from the forehead to the back (x, y, z), share of the columns.
SIDES = np.array(
    [
        (0, 108, 72, 0.6),
        (22, 107, 68, 0.6),
        (42, 95, 57, 0.9),
        (50, 81, 48, 1.2),
        (55, 68, 39, 1.3),
        (60, 57, 29, 1.3),
        (64, 47, 20, 1.4),
        (66, 38, 15, 1.4),
        (67, 32, 11, 1.4),  # round in front of the ear, then under its root
        (68, 33, 5, 1.4),
        (69, 41, 0, 1.4),
        (69, 46, -8, 1.2),
        (69, 46, -19, 1.0),
        (69, 38, -29, 1.0),
        (68, 24, -34, 1.0),
        (63, 5, -42, 1.0),
        (53, -11, -56, 1.0),
        (34, -22, -70, 1.0),
        (0, -26, -78, 1.0),
    ],
    dtype=float,
)
TOP = np.array(
    [
        (0, 98, 80, 1.8),
        (11, 99.5, 79, 1.8),
        (22, 100, 75, 1.8),
        (34, 98, 67, 1.7),
        (45, 91, 55, 1.4),
        (54, 85, 40, 1.1),
        (61, 84, 20, 1.0),
        (65, 85, -6, 0.9),
        (65, 84, -34, 0.9),
        (57, 79, -62, 0.9),
        (41, 72, -84, 0.9),
        (20, 67, -97, 0.9),
        (0, 66, -101, 0.9),
    ],
    dtype=float,
)


RECEDING = np.array(
    [
        (0, 117, 65, 1.4),
        (12, 117, 63, 1.4),
        (24, 121, 53, 1.4),
        (36, 121, 42, 1.4),
        (47, 108, 40, 1.4),
        (54, 90, 38, 1.4),
        (59, 70, 30, 1.4),
        (63, 52, 21, 1.4),
        (66, 39, 14, 1.3),
        (67, 34, 10, 1.3),
        (68, 35, 4, 1.3),
        (69, 42, -1, 1.2),
        (69, 46, -9, 1.0),
        (69, 45, -20, 1.0),
        (69, 38, -29, 1.0),
        (68, 25, -35, 1.0),
        (63, 6, -43, 1.0),
        (53, -12, -56, 1.0),
        (34, -25, -70, 1.0),
        (0, -31, -78, 1.0),
    ],
    dtype=float,
)


def hair() -> Part:
    """Both layers."""
    low, low_faces = cap(SIDES, np.array([0.0, 145.0, -18.0]), 80, 6, 0.40, _cropped)
    top, top_faces = cap(TOP, np.array([-7.0, 112.0, -88.0]), 90, 12, 0.0, _swept, 0.42)
    faces = np.concatenate([low_faces, top_faces + len(low)])
    return Part("hair", np.concatenate([low, top]), faces, ["hair"] * len(faces))


def receding() -> Part:
    """Short all over, with a hairline that has gone back."""
    vertices, faces = cap(RECEDING, np.array([0.0, 140.0, -48.0]), 84, 12, 0.0, _short)
    return Part("hair", vertices, faces, ["hair"] * len(faces))


def _short(q: float, p: Points, to_edge: Points) -> Points:
    column = np.arange(len(p))
    uneven = 0.45 * np.sin(2.3 * column) + 0.35 * np.sin(0.9 * column + 7 * q)
    return np.asarray(1.2 + (4.4 + uneven * min(q / 0.4, 1)) * np.clip(to_edge / 20, 0, 1) ** 0.6)


def _cropped(q: float, p: Points, to_edge: Points) -> Points:
    return np.asarray(1.0 + 3.6 * np.clip(to_edge / 26, 0, 1) ** 0.7)


# Across one lock: a sharp valley, then a rounded back that leans to one side.
TIPS = 2.4
"""Millimetres by which the tips of the front locks differ."""
LOCK = np.array([0.0, 0.55, 0.86, 1.0, 0.94, 0.66])


def _swept(q: float, p: Points, to_edge: Points) -> Points:
    front = np.clip((p[:, 2] + 55) / 110, 0, 1)
    front = front * front * (3 - 2 * front)
    high = np.clip((p[:, 1] - 84) / 36, 0, 1)
    full = 6.5 + 3.0 * high + 13.0 * front * high
    rounded = np.sqrt(np.clip(1 - (1 - np.clip(to_edge / 38, 0, 1)) ** 2, 0, 1))
    at_edge = 3.6 + 3.4 * np.clip((p[:, 2] - 25) / 40, 0, 1)
    height = at_edge + (full - at_edge) * rounded
    lock = np.arange(len(p)) // len(LOCK)
    ridge = np.tile(LOCK, len(p) // len(LOCK) + 1)[: len(p)] - 0.75
    uneven = 1.3 * np.sin(2.4 * lock + 4.0 * q) + 0.8 * np.sin(5.1 * lock + 1.3)
    deep = 1.7 + 1.7 * np.clip((p[:, 1] - 80) / 30, 0, 1)
    ends = np.clip(q / 0.3, 0, 1) * (0.12 + 0.88 * np.clip(to_edge / 26, 0, 1))
    return np.asarray(height + (deep * ridge + uneven * rounded) * ends)


def cap(
    outline: Points,
    crown: Points,
    columns: int,
    rows: int,
    start_at: float,
    thickness: Height,
    twist: float = 0.0,
) -> tuple[Points, Triangles]:
    """A shell over the skull from around the crown to its outline, tucked under at the edge."""
    edge = _spread(outline, columns)
    start = (crown - CENTRE) / np.linalg.norm(crown - CENTRE)
    goal = edge - CENTRE
    goal /= np.linalg.norm(goal, axis=1, keepdims=True)
    length = np.arccos(np.clip(goal @ start, -1, 1)) * 92.0
    if twist:  # the tips of the locks over the forehead are not in one line
        lock = np.arange(columns)
        tips = np.resize(LOCK, columns) - 0.6 + 0.5 * np.sin(2.6 * (lock // len(LOCK)) + 0.7)
        goal = _between(
            start, goal, 1 + TIPS * tips * np.clip((edge[:, 2] - 35) / 25, 0, 1) / length
        )
    blocks = []
    for r in range(1, rows + 1):
        share = min((r - 1 if start_at else r) / (rows - 2 if start_at else rows - 1), 1.0)
        q = start_at + (1 - start_at) * (1 - (1 - share) ** 1.2)
        drift = twist * np.sin(np.pi * q) * np.ones(columns)
        p = _onto_skin(_turned(_between(start, goal, q), start, drift))
        height = thickness(q, p, (1 - q) * length)
        if r == rows - 1:
            height = 0.70 * height
        if r == rows:
            height = np.full(columns, -1.5)
        blocks.append(p + height[:, None] * normal(skin, p, 0.5))
    faces = strip(rows, columns, closed=True, flip=True)
    if not start_at:
        tip = _onto_skin(start[None])
        tip = tip + thickness(0.0, tip, length[:1]) * normal(skin, tip, 0.5)
        blocks.append(tip)
        faces = np.concatenate([faces, fan(np.arange(columns), rows * columns, closed=True)])
    vertices = np.concatenate(blocks)
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    if (np.cross(b - a, c - a) * (a - CENTRE)).sum() < 0:
        faces = faces[:, ::-1]
    return vertices, faces


def _spread(outline: Points, columns: int) -> Points:
    """(columns, 3) points all around, mirrored to the right side, by each stretch's share."""
    ring = np.concatenate([outline, outline[-2:0:-1] * [-1, 1, 1, 1]])
    wrapped = np.concatenate([ring[-2:], ring, ring[:3]])
    fine = smooth_curve(wrapped, 2 + np.linspace(0, len(ring), 3000, endpoint=False))
    step = np.linalg.norm(np.diff(fine[:, :3], axis=0, append=fine[:1, :3]), axis=1) * fine[:, 3]
    run = np.append(0, step.cumsum())
    closed = np.concatenate([fine, fine[:1]])
    at = np.arange(columns) / columns * run[-1]
    return np.stack([np.interp(at, run, closed[:, i]) for i in range(3)], -1)


def _between(start: Points, goal: Points, q: Points | float) -> Points:
    """Great circle from one direction to many."""
    angle = np.arccos(np.clip(goal @ start, -1, 1))
    s = np.sin(angle)
    out = (np.sin((1 - q) * angle) / s)[:, None] * start + (np.sin(q * angle) / s)[:, None] * goal
    return np.asarray(out)


def _turned(direction: Points, axis: Points, angle: Points) -> Points:
    """Directions turned about an axis (Rodrigues)."""
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    along = (direction @ axis)[:, None] * axis
    return np.asarray(c * direction + s * np.cross(axis, direction) + (1 - c) * along)


def _onto_skin(direction: Points) -> Points:
    return cast(skin, CENTRE + 190 * direction, -direction, 185)
