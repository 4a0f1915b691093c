"""What is seen between the lips: the bag of the mouth, teeth with gums, tongue (left halves)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from head.modelling.parts.part import Part, fan, strip
from head.modelling.surface.field import Points

UPPER = (8.2, 6.4, 7.2, 6.6, 6.4, 8.6)
LOWER = (5.4, 5.8, 6.6, 6.8, 6.8, 10.0)
"""Widths along the arch from the middle: two incisors, a canine, two premolars, a molar."""
UPPER_BACK = (0.0, 0.55, 0.0, 0.6, 0.9, 1.2)
LOWER_BACK = (0.0, 0.1, 0.3, 1.1, 2.1, 3.0)
"""Millimetres by which their edges stand back from the line of the bite."""
ACROSS = (
    (0.0, 1.0, 0.9),
    (0.07, 0.5, 0.3),
    (0.26, 0.06, 0.0),
    (0.5, 0.0, 0.0),
    (0.74, 0.06, 0.0),
    (0.93, 0.5, 0.3),
)
"""Columns of a tooth: share of its width, nearness to the gap, millimetres that corners round."""
EDGE_UPPER, EDGE_LOWER = -36.6, -36.2
TONGUE_ROWS, TONGUE_COLUMNS = 13, 11


def bag(first: Points) -> Part:
    """The inside, from the innermost loop of the lips (N, 3), its first row, to the throat."""
    up = np.sign(first[:, 1] - first[len(first) // 2, 1])
    share = np.linspace(0, 1, len(first))
    rows = [first]
    for depth, half_height, half_width in ((60, 17.0, 29.0), (42, 18.0, 28.5), (26, 14.0, 21.0)):
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


@dataclass(frozen=True)
class Row:
    """One line along a row of teeth, from the gum over the edge to the back."""

    rise: float
    """Share of a tooth's height over its edge, 1 where gum and tooth meet."""
    bulge: float
    """Millimetres before the arch in the middle of a tooth."""
    dent: float
    """How much less between two teeth."""
    scallop: float
    """Millimetres that it runs farther from the edge in the middle of a tooth."""


ROWS = (
    Row(1.70, -2.0, 0.0, 0.0),
    Row(1.22, 1.25, 0.25, 0.3),  # the gum over a root
    Row(0.99, 1.05, 0.35, 0.9),
    Row(0.93, 0.55, 0.45, 0.9),  # the neck of the tooth, just under the gum
    Row(0.60, 1.50, 1.25, 0.3),
    Row(0.22, 1.30, 1.05, 0.0),
    Row(0.0, 0.55, 0.65, 0.0),
    Row(0.30, -1.9, -0.5, 0.0),
    Row(1.30, -3.8, 0.0, 0.0),  # the gum behind: a wall of bare tooth looks like a lump
)
GUM_ROWS = 3
"""Strips of gum before the crown; behind it there is one."""


def columns(upper: bool) -> tuple[Points, Points, Points]:
    """Of half a row of teeth: length along the arch, 1 between two teeth (0 at their middles), and
    how far the edge stands back."""
    widths, back = (UPPER, UPPER_BACK) if upper else (LOWER, LOWER_BACK)
    end, out = 0.0, []
    for width, low in zip(widths, back, strict=True):
        for share, gap, corner in ACROSS:
            out.append((end + share * width, gap, low + corner))
        end += width
    length, gap, drop = np.array([*out, (end, 1.0, back[-1] + 0.9)]).T
    drop[0] = back[0] + 0.35  # the middle two stand close
    return length, gap, drop


def teeth(upper: bool) -> Part:
    """Half a row of teeth on its gum."""
    sign = 1.0 if upper else -1.0
    edge, height = (EDGE_UPPER, 10.0) if upper else (EDGE_LOWER, 8.6)
    front, width = (80.6, 25.0) if upper else (77.8, 23.5)
    length, gap, drop = columns(upper)
    at, out = _arch(length, width, front)
    molar = np.clip((length - 20) / 12, 0, 1)
    lines = []
    for row in ROWS:
        push = row.bulge - row.dent * gap + np.where(row.bulge < -1, -1.4 * molar, 0.0)
        rise = row.rise * height + row.scallop * (1 - gap) ** 0.7
        y = edge + sign * (rise + drop * np.clip(1 - row.rise / 0.6, 0, 1))
        lines.append(np.stack([at[:, 0] + push * out[:, 0], y, at[:, 1] + push * out[:, 1]], -1))
    n = len(length)
    faces = strip(len(lines), n, closed=False, flip=upper)
    per_row = 2 * (n - 1)
    strips = ["gums"] * GUM_ROWS + ["teeth"] * (len(ROWS) - 2 - GUM_ROWS) + ["gums"]
    material = [name for name in strips for _ in range(per_row)]
    vertices = np.concatenate(lines)
    vertices[::n, 0] = 0.0
    return Part("teeth_upper" if upper else "teeth_lower", vertices, faces, material)


def tongue() -> Part:
    """Half a tongue: rows from tip to root, columns from the top middle round to below.

    Thin and narrow at its tip, which lies behind the lower teeth; broad and high in the middle.
    """
    t = np.linspace(0, 1, TONGUE_ROWS) ** 1.6
    tip = np.sqrt(np.clip(1 - (1 - np.clip(t / 0.20, 0, 1)) ** 2, 0.05, 1))
    wide = np.clip(t / 0.55, 0, 1)
    half_width = (9.0 + 9.5 * wide**0.8) * tip
    thick = (2.7 + 2.7 * wide) * tip**0.8
    z = 73.5 - 47.5 * t
    y = -41.4 + 1.8 * np.sin(np.pi * np.clip(t * 1.02, 0, 1)) - 5 * t**2 + 0.6 * (1 - t) ** 6
    angle = np.linspace(0, np.pi, TONGUE_COLUMNS)
    x = half_width[:, None] * np.sin(angle) ** 0.85
    groove = (
        1.3
        * np.clip((t[:, None] - 0.06) / 0.25, 0, 1)
        * np.exp(-((x / 3.0) ** 2))
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
