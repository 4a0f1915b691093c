"""A mesh over the left half of the sculpture, with the given loops as its edges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from head.modelling.field import Points, cast, skin
from head.modelling.relax import Triangles, relax

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


def size(p: Points) -> Points:
    """Edge length wanted at a point."""
    z = p[..., 2]
    nose = np.linalg.norm((p - (0, 4, 92)) / (1, 1.6, 1), axis=-1)
    face = np.linalg.norm((p - (0, 0, 75)) / (1, 1.25, 1), axis=-1)
    s = np.clip(2.5 + 0.12 * np.maximum(nose - 18, 0), 2.5, 5.2)
    s = np.maximum(s, np.clip(3.6 + 0.14 * (face - 55), 2.5, 12))
    return np.asarray(np.where(z < -5, np.maximum(s, 12.0), s))


def lay(
    holes: Sequence[Points], strips: Sequence[Points], seed: int = 7
) -> tuple[Points, Triangles]:
    """Vertices and triangles of the half skin around `holes`.

    Each hole is a loop of points on the skin; one that starts and ends at x = 0 is open there.
    The vertices begin with the holes' points, in order. `strips` are further points to keep.
    """
    from scipy.spatial import Delaunay, cKDTree

    theta, v, grid = dense()
    flat = grid.reshape(-1, 3)
    tt, vv = np.meshgrid(theta, v)
    length = np.linalg.norm(np.diff(grid[:, 0], axis=0), axis=-1).cumsum()
    # chart coordinates roughly in millimetres, so that Delaunay's circles are round on the skin
    rise = np.interp(vv, v, np.append(0.0, np.minimum(length, 1e9)))
    chart = np.stack([tt * 70.0, rise], -1).reshape(-1, 2)
    tree = cKDTree(flat)

    def to_chart(p: Points) -> Points:
        distance, near = tree.query(p, k=6)
        weight = 1 / (distance + 1e-3) ** 2
        return np.asarray((chart[near] * weight[..., None]).sum(1) / weight.sum(1)[:, None])

    rng = np.random.default_rng(seed)
    fixed = [np.asarray(h) for h in holes]
    taken = np.concatenate(fixed)
    charted = np.concatenate([to_chart(h) for h in fixed])
    charted[np.abs(taken[:, 0]) < 1e-9, 0] = 0.0
    polygons = []
    start = 0
    for h in fixed:
        polygons.append(charted[start : start + len(h)])
        start += len(h)

    def spaced(column: int, exclude: Sequence[tuple[float, float]]) -> list[int]:
        rows = [0]
        for r in range(1, len(v)):
            gap = np.linalg.norm(grid[r, column] - grid[rows[-1], column])
            if gap >= size(grid[r, column][None])[0]:
                rows.append(r)
        rows[-1] = len(v) - 1
        ok = [r for r in rows if not any(a < rise[r, column] < b for a, b in exclude)]
        return [r * len(theta) + column for r in ok]

    mouth = polygons[0][np.abs(fixed[0][:, 0]) < 1e-9, 1]
    keep = spaced(0, [(mouth.min() - 1.2, mouth.max() + 1.2)]) + spaced(len(theta) - 1, [])
    for row in (0, len(v) - 1):
        count = 5 if row == 0 else 18
        keep += [row * len(theta) + round(c) for c in np.linspace(0, len(theta) - 1, count)[1:-1]]
    points, place = [taken], [charted]
    points.append(flat[keep])
    place.append(chart[keep])
    for strip in strips:
        points.append(strip)
        place.append(to_chart(strip))
    anchored = sum(map(len, points))
    have = np.concatenate(points)
    inside = np.zeros(len(flat), bool)
    for polygon in polygons:
        inside |= _inside(chart, polygon)
    border = (tt.ravel() < 1e-6) | (tt.ravel() > np.pi - 1e-6)
    candidates = rng.permutation(np.flatnonzero(~inside & ~border))
    wanted = size(flat)
    chosen: list[int] = []
    cells: dict[tuple[int, ...], list[Points]] = {}
    for p in have:
        cells.setdefault(tuple((p // 12).astype(int)), []).append(p)
    for index in candidates:
        p, s = flat[index], wanted[index] * 0.86
        key = (p // 12).astype(int)
        near = [q for d in np.ndindex(3, 3, 3) for q in cells.get(tuple(key + np.array(d) - 1), ())]
        if near and ((np.array(near) - p) ** 2).sum(1).min() < s * s:
            continue
        chosen.append(int(index))
        cells.setdefault(tuple(key), []).append(p)
    points.append(flat[chosen])
    place.append(chart[chosen])
    vertices, flat_place = np.concatenate(points), np.concatenate(place)
    triangles = Delaunay(flat_place).simplices.astype(np.int64)
    centre = flat_place[triangles].mean(1)
    gone = np.zeros(len(triangles), bool)
    for polygon in polygons:
        gone |= _inside(centre, polygon)
    triangles = triangles[~gone]
    a, b, c = (flat_place[triangles[:, i]] for i in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    triangles = triangles[np.abs(area) > 1e-6]
    area = area[np.abs(area) > 1e-6]
    # chart: first axis to the left of the face, second downward; outside is seen mirrored
    triangles[area > 0] = triangles[area > 0][:, ::-1]
    first = sum(map(len, fixed))
    movable = np.arange(len(vertices)) >= anchored
    # the midline of the face may slide along itself, not its ends
    slides = (np.arange(len(vertices)) >= first) & ~movable & (np.abs(vertices[:, 0]) < 1e-9)
    slides &= (vertices[:, 2] > 0) & (vertices[:, 1] > -140) & (vertices[:, 1] < 140)
    triangles = _close_gaps(triangles, [len(h) for h in fixed])
    return relax(vertices, triangles, movable, slides, size)


def _close_gaps(triangles: Triangles, loop_sizes: Sequence[int]) -> Triangles:
    """Add the triangles between a loop's edge and the mesh where Delaunay cut the corner."""
    have = {(int(t[k]), int(t[(k + 1) % 3])) for t in triangles for k in range(3)}
    free: dict[int, list[int]] = {}
    for a, b in have:
        if (b, a) not in have:
            free.setdefault(b, []).append(a)  # the missing side runs b -> a
    extra, start = [], 0
    for n, size_ in enumerate(loop_sizes):
        for i in range(size_ if n else size_ - 1):
            a, b = start + i, start + (i + 1) % size_
            if (a, b) in have or (b, a) in have:
                continue
            for one, other in ((a, b), (b, a)):
                for c in free.get(one, ()):
                    if other in free.get(c, ()):
                        extra.append((one, c, other))
        start += size_
    return np.concatenate([triangles, np.array(extra, dtype=np.int64).reshape(-1, 3)])


def _inside(p: Points, polygon: Points) -> NDArray[np.bool_]:
    """Even-odd test of points (N, 2)."""
    hit = np.zeros(len(p), bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        cross = (y0 > p[:, 1]) != (y1 > p[:, 1])
        hit ^= cross & (p[:, 0] < (x1 - x0) * (p[:, 1] - y0) / (y1 - y0) + x0)
    return hit
