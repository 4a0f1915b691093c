"""What is seen between the lips: the bag of the mouth, teeth with gums, tongue (left halves)."""

from __future__ import annotations

import numpy as np

from head.modelling.parts.part import Part, fan, strip
from head.modelling.surface.field import Points

TEETH = (5.0, 4.0, 4.4, 4.4, 5.5, 6.5)
"""Widths along the arch from the middle."""
EDGE_UPPER, EDGE_LOWER = -36.6, -35.0
TONGUE_ROWS, TONGUE_COLUMNS = 9, 9


def bag(first: Points) -> Part:
    """The inside, from the innermost loop of the lips (N, 3), its first row, to the throat."""
    up = np.sign(first[:, 1] - first[len(first) // 2, 1])
    share = np.linspace(0, 1, len(first))
    rows = [first]
    for depth, half_height, half_width in ((60, 18.0, 31.0), (42, 19.0, 30.0), (26, 14.0, 22.0)):
        angle = np.pi * share
        x = half_width * np.sin(angle) ** 0.8
        y = -39.0 + half_height * np.cos(angle)
        z = np.full(len(first), float(depth)) - 4 * np.sin(angle)
        rows.append(np.stack([x, np.where(up == 0, -36.5, y), z], -1))
    tip = np.array([[0.0, -36.5, 20.0]])
    n = len(first)
    faces = np.concatenate(
        [strip(len(rows), n, closed=False), fan(np.arange(3 * n, 4 * n), 4 * n, closed=False)]
    )
    vertices = np.concatenate([*rows, tip])
    vertices[np.abs(vertices[:, 0]) < 1e-9, 0] = 0.0
    return Part("bag", vertices, faces, ["mouth"] * len(faces))


def _arch(length: Points, width: float, front: float) -> tuple[Points, Points]:
    """(x, z) and outward direction at a length along half a dental arch from the middle."""
    a = np.linspace(0, 1, 400)
    x = width * np.sin(a * np.pi / 2)
    z = front - 30 * (1 - np.cos(a * np.pi / 2)) ** 1.45
    run = np.append(0, np.hypot(np.diff(x), np.diff(z)).cumsum())
    p = np.stack([np.interp(length, run, x), np.interp(length, run, z)], -1)
    q = np.stack([np.interp(length + 0.1, run, x), np.interp(length + 0.1, run, z)], -1)
    d = (q - p) / np.maximum(np.linalg.norm(q - p, axis=-1, keepdims=True), 1e-9)
    return p, np.stack([-d[:, 1], d[:, 0]], -1)


def teeth(upper: bool) -> Part:
    """Half a row of teeth on its gum."""
    sign = 1.0 if upper else -1.0
    edge = EDGE_UPPER if upper else EDGE_LOWER
    front, width = (80.6, 25.0) if upper else (77.8, 23.5)
    scale = 1.0 if upper else 0.88
    lengths, groove, drop = [0.0], [1.0], [0.3]
    end = 0.0
    for i, w in enumerate(TEETH):
        w *= scale
        lengths += [end + 0.16 * w, end + 0.84 * w, end + w]
        groove += [0.0, 0.0, 1.0]
        low = ((0.0, 0.4, 0.1, 0.5, 0.8, 1.0) if upper else (0.0, 0.2, 0.3, 0.9, 1.8, 2.8))[i]
        drop += [low, low, low + 0.35]
        end += w
    at, out = _arch(np.array(lengths), width, front)
    g, short = np.array(groove), np.array(drop)
    height = 9.6 if upper else 8.4
    rows = []
    for rise, bulge, dent in (
        (height + 5, -1.5, 0.0),
        (height + 0.6, 1.1, 0.1),
        (height - 0.2, 0.75, 0.6),
        (height * 0.5, 1.5, 1.0),
        (0.3, 0.8, 1.0),
        (2.0, -2.2, 0.3),
    ):
        push = bulge - dent * 0.55 * g
        scallop = -0.7 * g if rise == height - 0.2 or rise == height + 0.6 else 0.0 * g
        y = edge + sign * (rise + scallop + (short if rise < height * 0.6 else 0.0))
        rows.append(np.stack([at[:, 0] + push * out[:, 0], y, at[:, 1] + push * out[:, 1]], -1))
    n = len(lengths)
    faces = strip(len(rows), n, closed=False, flip=upper)
    per_row = 2 * (n - 1)
    material = ["gums"] * (2 * per_row) + ["teeth"] * (3 * per_row)
    vertices = np.concatenate(rows)
    vertices[::n, 0] = 0.0
    return Part("teeth_upper" if upper else "teeth_lower", vertices, faces, material)


def tongue() -> Part:
    """Half a tongue: rows from tip to root, columns from the top middle round to below."""
    t = np.linspace(0, 1, TONGUE_ROWS) ** 1.5
    tip = np.sqrt(np.clip(1 - (1 - np.clip(t / 0.38, 0, 1)) ** 2, 0.04, 1))
    half_width = (11.5 + 7.0 * np.clip(t * 1.6, 0, 1)) * tip
    thick = 3.5 * tip * (1 + 1.0 * t)
    z = 73.0 - 47 * t
    y = -41.0 + 5.5 * np.sin(np.pi * np.clip(t * 1.05, 0, 1)) - 6 * t**2
    angle = np.linspace(0, np.pi, TONGUE_COLUMNS)
    x = half_width[:, None] * np.sin(angle) ** 0.9
    groove = (
        0.9
        * np.clip((t[:, None] - 0.25) / 0.3, 0, 1)
        * np.exp(-((x / 3.5) ** 2))
        * np.clip(np.cos(angle), 0, 1)
        * tip[:, None]
    )
    height = y[:, None] + thick[:, None] * np.cos(angle) - groove
    vertices = np.stack([x, height, np.broadcast_to(z[:, None], x.shape)], -1).reshape(-1, 3)
    vertices[np.abs(vertices[:, 0]) < 1e-6, 0] = 0.0
    tip_ring = np.arange(1, TONGUE_COLUMNS)
    faces = np.concatenate(
        [
            strip(TONGUE_ROWS, TONGUE_COLUMNS, closed=False),
            fan(tip_ring, 0, closed=False, flip=True),
        ]
    )
    return Part("tongue", vertices, faces, ["tongue"] * len(faces))
