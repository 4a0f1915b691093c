"""The left eyebrow: a raised, tapered ridge on the skin, and strands of hair that stand off it."""

from __future__ import annotations

import numpy as np

from head.modelling.parts.part import Part, strip
from head.modelling.surface.chart import smooth_curve
from head.modelling.surface.field import Points, front, normal, skin

COLUMNS = 13
CENTRE = np.array([(10, 55.0), (18, 57.0), (28, 59.2), (38, 60.0), (47, 57.2), (55, 51.8)])
WIDTH = (1.5, 2.5, 2.7, 2.3, 1.6, 0.3)
STRANDS = 32
LENGTH = np.array([(0.0, 4.2), (0.25, 5.6), (0.6, 5.4), (1.0, 3.6)])
"""Of a strand in millimetres, by its place from the inner end to the outer."""
TURN = np.array([(0.0, 62.0), (0.12, 40.0), (0.4, 16.0), (0.7, -6.0), (1.0, -8.0)])
"""Degrees by which strands lean up from the brow's own direction, by their place."""
THICK = 0.62


def brow(broad: float = 1.0) -> Part:
    """The ridge, rows from the lower to the upper edge, then the strands; `broad` is a factor on
    its width.
    """
    t = np.linspace(0, len(CENTRE) - 1, COLUMNS)
    centre, _, across = _line(t)
    width = broad * np.interp(t, np.arange(len(WIDTH)), WIDTH)
    ends = np.clip(np.minimum(t / 0.6, (len(CENTRE) - 1 - t) / 0.8 + 0.2), 0, 1)
    rows = []
    for offset, height in ((-1.0, -0.4), (-0.72, 0.75), (0.05, 1.35), (0.72, 0.8), (1.0, -0.4)):
        xy = centre + across * (offset * width * (0.25 + 0.75 * ends))[:, None]
        p = front(skin, xy[:, 0], xy[:, 1])
        rise = np.where(height > 0, height * ends - 0.25 * (1 - ends), height)
        rows.append(p + rise[:, None] * normal(skin, p))
    faces = strip(len(rows), COLUMNS, closed=False)
    ridge = np.concatenate(rows)
    hairs, hair_faces = _strands(broad)
    every = np.concatenate([faces, hair_faces + len(ridge)])
    return Part("brow", np.concatenate([ridge, hairs]), every, ["brow"] * len(every))


def _line(t: Points) -> tuple[Points, Points, Points]:
    """Places (n, 2) along the brow's middle, its direction there, and that across it, upwards."""
    centre = smooth_curve(CENTRE, t)
    step = smooth_curve(CENTRE, t + 0.02) - smooth_curve(CENTRE, t - 0.02)
    along = step / np.linalg.norm(step, axis=1, keepdims=True)
    return centre, along, np.stack([-along[:, 1], along[:, 0]], -1)


def _strands(broad: float) -> tuple[Points, np.ndarray]:
    """Spikes of three sides: wide at the root, in the skin; the tip stands off."""
    number = np.arange(STRANDS)
    share = (number + 0.5) / STRANDS
    t = share * (len(CENTRE) - 1)
    centre, along, across = _line(t)
    # Roots go up and down over the width, tips of the lower ones up, of the upper ones along.
    high = np.array([-0.62, 0.30, -0.18, 0.66])[number % 4]
    width = broad * np.interp(t, np.arange(len(WIDTH)), WIDTH)
    root = centre + across * (high * width)[:, None]
    lean = np.radians(np.interp(share, *TURN.T) * (1 - 0.35 * high))
    way = np.cos(lean)[:, None] * along + np.sin(lean)[:, None] * across
    side = np.stack([-way[:, 1], way[:, 0]], -1)
    length = np.interp(share, *LENGTH.T) * (0.8 + 0.2 * broad)
    corners = []
    for ahead, aside, height in (
        (0.0, -THICK, -0.2),
        (0.0, THICK, -0.2),
        (0.22, 0.0, 1.9),
        (1.0, 0.0, 0.55),
    ):
        xy = root + way * (ahead * length)[:, None] + side * aside
        p = front(skin, xy[:, 0], xy[:, 1])
        corners.append(p + height * normal(skin, p))
    vertices = np.stack(corners, axis=1).reshape(-1, 3)
    one = np.array([(0, 3, 2), (3, 1, 2), (0, 2, 1), (0, 1, 3)])
    return vertices, (4 * number[:, None, None] + one).reshape(-1, 3)
