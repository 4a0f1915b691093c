"""A flat map of the left half of the skin: azimuth from the front, and slices down the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from head.modelling.surface.field import Points, cast, skin

# Tilted slices from the crown to the neck: front (y, z), back (y, z), half width.
SLICES = np.array(
    [
        (145, -3, 145, -14, 5),
        (138, 42, 138, -58, 46),
        (113, 72, 115, -90, 62),
        (86, 83, 85, -100, 70),
        (58, 86, 55, -100, 72),
        (34, 76, 25, -92, 72),
        (10, 84, 0, -80, 68),
        (-12, 85, -18, -72, 62),
        (-34, 84, -35, -66, 57),
        (-55, 82, -50, -66, 52),
        (-75, 73, -66, -68, 49),
        (-83, 46, -80, -70, 48),
        (-98, 26, -98, -73, 48),
        (-122, 16, -120, -80, 52),
        (-146, 12, -142, -90, 62),
    ],
    dtype=float,
)


def smooth_curve(knots: Points, t: Points) -> Points:
    """Catmull-Rom through `knots` (K, C) at t in 0..K-1."""
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    k = np.clip(t.astype(int), 0, len(knots) - 2)
    f = (t - k)[..., None]
    a, b, c, d = (padded[k + i] for i in range(4))
    return np.asarray(
        b + 0.5 * f * (c - a + f * (2 * a - 5 * b + 4 * c - d + f * (3 * (b - c) + d - a)))
    )


def shell(theta: Points, v: Points) -> Points:
    """A rough head: azimuth from the front (0..pi) and slice (0..14) to a point near the skin."""
    fy, fz, by, bz, w = np.moveaxis(smooth_curve(SLICES, v), -1, 0)
    c = (1 - np.cos(theta)) / 2
    return np.stack([w * np.sin(theta), fy + (by - fy) * c, fz + (bz - fz) * c], -1)


def dense(rows: int = 330, columns: int = 150) -> tuple[Points, Points, Points]:
    """The skin on a fine grid of the chart: theta (columns,), v (rows,), (rows, columns, 3)."""
    theta = np.linspace(0, np.pi, columns)
    v = np.linspace(0, len(SLICES) - 1.0, rows)
    tt, vv = np.meshgrid(theta, v)
    e = 1e-3
    across = shell(tt + e, vv) - shell(tt - e, vv)
    down = shell(tt, np.minimum(vv + e, v[-1])) - shell(tt, np.maximum(vv - e, 0))
    out = np.cross(down, across)
    out /= np.linalg.norm(out, axis=-1, keepdims=True) + 1e-12
    p = shell(tt, vv)
    p = cast(skin, p + 38 * out, -out, 75)
    p[:, 0, 0] = p[:, -1, 0] = 0.0
    return theta, v, p


@dataclass(frozen=True)
class Chart:
    """The map: fine points of the skin, row by row from the crown, and where they lie on it."""

    rows: int
    columns: int
    points: Points
    """(rows columns, 3)."""
    place: Points
    """(rows columns, 2): leftwards and downwards, roughly in millimetres, so that circles on the
    map are nearly circles on the skin."""

    def locate(self, p: Points) -> Points:
        """Places (N, 2) of points (N, 3) of the skin."""
        from scipy.spatial import cKDTree

        distance, near = cKDTree(self.points).query(p, k=6)
        weight = 1 / (distance + 1e-3) ** 2
        out = (self.place[near] * weight[..., None]).sum(1) / weight.sum(1)[:, None]
        out[np.abs(p[:, 0]) < 1e-9, 0] = 0.0
        return np.asarray(out)


def survey_skin() -> Chart:
    """The map of the sculpture."""
    theta, v, grid = dense()
    tt, vv = np.meshgrid(theta, v)
    length = np.linalg.norm(np.diff(grid[:, 0], axis=0), axis=-1).cumsum()
    rise = np.interp(vv, v, np.append(0.0, length))
    place = np.stack([tt * 70.0, rise], -1).reshape(-1, 2)
    return Chart(len(v), len(theta), grid.reshape(-1, 3), place)
