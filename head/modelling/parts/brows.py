"""The left eyebrow: a raised, tapered ridge on the skin."""

from __future__ import annotations

import numpy as np

from head.modelling.parts.part import Part, strip
from head.modelling.surface.chart import smooth_curve
from head.modelling.surface.field import front, normal, skin

COLUMNS = 17
CENTRE = np.array([(10, 55.0), (18, 57.0), (28, 59.2), (38, 60.0), (47, 57.2), (55, 51.8)])
WIDTH = (1.7, 2.7, 2.8, 2.4, 1.6, 0.3)
ACROSS = ((-1.0, -0.4), (-0.72, 0.75), (-0.3, 1.3), (0.3, 1.45), (0.72, 0.9), (1.0, -0.4))
"""Rows from the lower to the upper edge: offset over half the width, height in millimetres."""


def brow(broad: float = 1.0) -> Part:
    """The ridge; `broad` is a factor on its width."""
    t = np.linspace(0, len(CENTRE) - 1, COLUMNS)
    centre = smooth_curve(CENTRE, t)
    along = smooth_curve(CENTRE, t + 0.02) - smooth_curve(CENTRE, t - 0.02)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.stack([-along[:, 1], along[:, 0]], -1)
    width = broad * np.interp(t, np.arange(len(WIDTH)), WIDTH)
    ends = np.clip(np.minimum(t / 0.35, (len(CENTRE) - 1 - t) / 0.8 + 0.2), 0, 1)
    rows = []
    for offset, height in ACROSS:
        xy = centre + across * (offset * width * (0.4 + 0.6 * ends))[:, None]
        p = front(skin, xy[:, 0], xy[:, 1])
        rise = np.where(height > 0, height * ends - 0.25 * (1 - ends), height)
        rows.append(p + rise[:, None] * normal(skin, p))
    faces = strip(len(rows), COLUMNS, closed=False)
    return Part("brow", np.concatenate(rows), faces, ["brow"] * len(faces))
