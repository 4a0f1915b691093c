"""The left half of the lips as open loops: upper middle, corner, lower middle.

Heights are measured from the line where the lips meet, depths from the sculpture behind them, so
the lips sit on whatever face the sculpture has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from head.modelling.surface.field import Points, front, skin

SEGMENTS = 13
"""Columns from the middle to the corner."""
WIDTH = 25.6
LINE = -34.2


@dataclass(frozen=True)
class Loop:
    """One loop: how far from the meeting line, and how far in front of the face, in the middle."""

    part: float
    """Share of the lip's height (0 the line, 1 the border of the red)."""
    extra: float
    """Millimetres beyond that."""
    upper: float
    """Depth before the face in the middle of the upper lip."""
    lower: float
    corner: float
    """The same at the corner of the mouth."""
    outward: float
    """Millimetres beyond the corner."""


LOOPS = (
    Loop(0.0, 13.5, -6.6, -8.0, -8.5, 3.0),  # the bag behind the lips
    Loop(0.0, 7.0, -4.2, -4.6, -5.5, 2.0),
    Loop(0.0, 1.2, -3.2, -3.2, -4.5, 0.2),
    Loop(0.0, 0.0, 1.0, 1.0, -2.4, 0.0),  # where they meet
    Loop(0.22, 0.0, 3.4, 3.3, -1.7, 0.25),
    Loop(0.52, 0.0, 4.5, 4.8, -1.3, 0.5),
    Loop(0.82, 0.0, 4.3, 4.3, -1.0, 0.75),
    Loop(1.0, 0.0, 3.4, 3.0, -0.8, 1.0),  # border of the red
    Loop(1.0, 1.1, 2.5, 1.7, -0.6, 1.9),
    Loop(1.0, 3.0, 0.8, 0.4, -0.3, 4.0),
    Loop(1.0, 6.0, 0.1, 0.0, 0.0, 7.0),
    Loop(1.0, 9.5, 0.0, 0.0, 0.0, 11.0),
)
SEAL, BORDER = 3, 7


def along() -> tuple[Points, Points]:
    """Share of the way to the corner of each point, and 1 above, -1 below, 0 at the corner."""
    half = 1 - (1 - np.arange(SEGMENTS + 1) / SEGMENTS) ** 1.35
    return np.concatenate([half, half[-2::-1]]), np.repeat(
        [1.0, 0.0, -1.0], [SEGMENTS, 1, SEGMENTS]
    )


def line(s: Points) -> Points:
    """Height of the line where the lips meet; a soft M."""
    return np.asarray(
        LINE
        + 0.9 * np.exp(-(((s - 0.40) / 0.22) ** 2))
        - 0.5 * np.exp(-((s / 0.15) ** 2))
        + 0.5 * s**4
    )


def loops() -> Points:
    """(loops, 2 SEGMENTS + 1, 3)."""
    s, up = along()
    bow = 0.9 * np.exp(-(((s - 0.27) / 0.13) ** 2)) - 0.7 * np.exp(-((s / 0.11) ** 2))
    upper = 7.6 * (1 - s**2.0) ** 0.9 + bow * (1 - s)
    lower = -9.0 * (1 - s**2.2) ** 0.8
    around = (1 - s**3) ** 0.5
    out = []
    for loop in LOOPS:
        x = s * (WIDTH + loop.outward)
        red = np.where(up >= 0, upper, lower) * loop.part
        y = line(s) + red + up * loop.extra * around
        full = 1 - s**2.2
        depth = np.where(up >= 0, loop.upper, loop.lower) * full + loop.corner * (1 - full)
        points = front(skin, x, y)
        points[:, 2] += depth
        out.append(points)
    rings = np.stack(out)
    rings[:, [0, -1], 0] = 0.0
    return rings
