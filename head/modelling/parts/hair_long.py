"""Hair that is more than a cap: a cloud of curls, and a bob with a fringe."""

from __future__ import annotations

import numpy as np

from head.modelling.parts.hair import cap
from head.modelling.parts.part import Part, strip
from head.modelling.surface.chart import smooth_curve
from head.modelling.surface.field import Points

# Outlines as in `hair`: left side from the forehead to the back (x, y, z), share of the columns.
CURLS = np.array(
    [
        (0, 103, 76, 1.0),
        (20, 102, 73, 1.0),
        (38, 94, 64, 1.0),
        (50, 80, 50, 1.0),
        (57, 66, 37, 1.0),
        (62, 54, 24, 1.0),
        (65, 48, 10, 1.0),
        (67, 52, -4, 1.0),
        (68, 50, -18, 1.0),
        (68, 32, -32, 1.0),
        (64, 8, -42, 1.0),
        (54, -10, -56, 1.0),
        (34, -22, -70, 1.0),
        (0, -27, -78, 1.0),
    ],
    dtype=float,
)
FRINGE = np.array(
    [
        (0, 67, 88, 1.3),
        (14, 66.5, 86, 1.3),
        (28, 65.5, 79, 1.3),
        (41, 63, 66, 1.3),
        (52, 58, 49, 1.2),
        (60, 52, 32, 1.0),
        (65, 48, 16, 0.9),
        (69, 50, -2, 0.8),
        (69, 46, -20, 0.8),
        (68, 30, -36, 0.8),
        (60, 14, -56, 0.8),
        (36, 0, -78, 0.8),
        (0, -4, -86, 0.8),
    ],
    dtype=float,
)
# One height of the curtain: y, half width, from the middle to the back, how far round to the front
# its edges reach in degrees from the face's front.
CURTAIN = np.array(
    [
        (82, 68, 86, 60),
        (62, 76, 95, 53),
        (38, 80, 98, 50),
        (12, 80, 96, 49),
        (-14, 78, 91, 48),
        (-38, 74, 85, 48),
        (-56, 69, 79, 49),
        (-64, 63, 73, 50),
        (-60, 58, 66, 53),
        (-30, 62, 70, 54),
        (20, 66, 80, 54),
    ],
    dtype=float,
)
CURTAIN_COLUMNS, CURTAIN_ROWS, MIDDLE_Z = 60, 16, -14.0


def curls() -> Part:
    """A round cloud of close curls."""
    vertices, faces = cap(CURLS, np.array([0.0, 145.0, -22.0]), 90, 19, 0.0, _cloud)
    return Part("hair", vertices, faces, ["hair"] * len(faces))


def _cloud(q: float, p: Points, to_edge: Points) -> Points:
    rounded = np.sqrt(np.clip(1 - (1 - np.clip(to_edge / 52, 0, 1)) ** 2, 0, 1))
    behind = np.clip((40 - p[:, 2]) / 80, 0, 1)
    x, y, z = (p + 0.3 * np.roll(p, 1, axis=1)).T
    coils = np.sin(0.50 * x + 1.0) * np.sin(0.53 * y) + np.sin(0.47 * z + 0.2 * x) * np.sin(
        0.44 * y + 0.31 * x
    )
    closer = 0.25 + 0.75 * rounded  # at the edge: coils that stand out there are spikes
    return np.asarray(4.5 + (20.0 + 7.0 * behind) * rounded + 3.0 * coils * closer)


def bob() -> Part:
    """A fringe over the forehead, straight hair down to the jaw at the sides and behind."""
    top, top_faces = cap(FRINGE, np.array([0.0, 145.0, -26.0]), 84, 12, 0.0, _smooth)
    low, low_faces = _curtain()
    faces = np.concatenate([top_faces, low_faces + len(top)])
    return Part("hair", np.concatenate([top, low]), faces, ["hair"] * len(faces))


def _smooth(q: float, p: Points, to_edge: Points) -> Points:
    rounded = np.sqrt(np.clip(1 - (1 - np.clip(to_edge / 45, 0, 1)) ** 2, 0, 1))
    column = np.arange(len(p))
    strands = 0.9 * np.sin(2.1 * column) + 0.6 * np.sin(0.83 * column + 0.6)
    tips = np.clip(1 - to_edge / 60, 0, 1)
    return np.asarray(3.6 + 8.0 * rounded + strands * (0.25 + 0.5 * tips) * min(q / 0.3, 1))


def _curtain() -> tuple[Points, np.ndarray]:
    """A thick sheet round the sides and the back, from under the cap to the jaw and up again."""
    rows = smooth_curve(CURTAIN, np.linspace(0, len(CURTAIN) - 1, CURTAIN_ROWS))
    out = []
    for r, (y, wide, deep, edge) in enumerate(rows):
        angle = np.linspace(np.radians(edge), 2 * np.pi - np.radians(edge), CURTAIN_COLUMNS)
        column = np.arange(CURTAIN_COLUMNS)
        uneven = 0.008 * np.sin(2.2 * column + 0.25 * r) + 0.006 * np.sin(0.9 * column)
        ends = 1.6 * np.sin(1.7 * column) * np.exp(-(((y + 62) / 14) ** 2))
        front = 0.90 * deep
        depth = np.where(np.cos(angle) > 0, front, deep)
        out.append(
            np.stack(
                [
                    wide * (1 + uneven) * np.sin(angle),
                    np.full(CURTAIN_COLUMNS, y) + ends,
                    MIDDLE_Z + depth * (1 + uneven) * np.cos(angle),
                ],
                -1,
            )
        )
    faces = strip(CURTAIN_ROWS, CURTAIN_COLUMNS, closed=False)
    vertices = np.concatenate(out)
    a, b, c = (vertices[faces[0, k]] for k in range(3))
    if np.cross(b - a, c - a) @ (a - (0, a[1], MIDDLE_Z)) < 0:
        faces = faces[:, ::-1]
    return vertices, faces
