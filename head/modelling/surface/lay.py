"""A mesh over the left half of the skin, with the given loops as its edges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from head.modelling.surface.chart import Chart, survey_skin
from head.modelling.surface.field import Points
from head.modelling.surface.relax import Triangles, relax

Mask = NDArray[np.bool_]
CELL = 13.0
"""Side of the cells in which neighbours are looked up; no wanted edge is longer."""


def size(p: Points) -> Points:
    """Edge length wanted at a point."""
    z = p[..., 2]
    nose = np.linalg.norm((p - (0, 4, 92)) / (1, 1.6, 1), axis=-1)
    face = np.linalg.norm((p - (0, 0, 75)) / (1, 1.25, 1), axis=-1)
    s = np.clip(2.5 + 0.12 * np.maximum(nose - 18, 0), 2.5, 5.5)
    s = np.maximum(s, np.clip(3.8 + 0.15 * (face - 55), 2.5, 12))
    return np.asarray(np.where(z < -5, np.maximum(s, 13.0), s))


def lay(holes: Sequence[Points], seed: int = 7) -> tuple[Points, Triangles]:
    """Vertices and triangles of the half skin around `holes`.

    Each hole is a loop of points on the skin; the first starts and ends at x = 0 and is open there.
    The vertices begin with the holes' points, in order.
    """
    chart = survey_skin()
    loops = np.concatenate(list(holes))
    on_map = chart.locate(loops)
    polygons = np.split(on_map, np.cumsum([len(h) for h in holes])[:-1])
    frame = _frame(chart, polygons[0][np.abs(holes[0][:, 0]) < 1e-9, 1])
    anchored = np.concatenate([loops, chart.points[frame]])
    inner = _scatter(chart, anchored, polygons, seed)
    vertices = np.concatenate([anchored, chart.points[inner]])
    places = np.concatenate([on_map, chart.place[frame], chart.place[inner]])
    triangles = _close_gaps(_triangulate(places, polygons), [len(h) for h in holes])
    number = np.arange(len(vertices))
    movable = number >= len(anchored)
    # the midline of the face may slide along itself, not its ends
    slides = (number >= len(loops)) & ~movable & (np.abs(vertices[:, 0]) < 1e-9)
    slides &= (vertices[:, 2] > 0) & (np.abs(vertices[:, 1]) < 140)
    return relax(vertices, triangles, movable, slides, size)


def _frame(chart: Chart, mouth: Points) -> list[int]:
    """Points of the map's edges: the midline before (without the `mouth`) and behind, both ends."""
    grid = chart.points.reshape(chart.rows, chart.columns, 3)
    rise = chart.place.reshape(chart.rows, chart.columns, 2)[..., 1]
    out = []
    for column in (0, chart.columns - 1):
        rows = [0]
        for r in range(1, chart.rows):
            gap = np.linalg.norm(grid[r, column] - grid[rows[-1], column])
            if gap >= size(grid[r, column][None])[0]:
                rows.append(r)
        rows[-1] = chart.rows - 1
        low, high = (mouth.min() - 1.2, mouth.max() + 1.2) if column == 0 else (0.0, 0.0)
        out += [r * chart.columns + column for r in rows if not low < rise[r, column] < high]
    for row, count in ((0, 5), (chart.rows - 1, 18)):
        across = np.linspace(0, chart.columns - 1, count)[1:-1]
        out += [row * chart.columns + round(c) for c in across]
    return out


def _scatter(chart: Chart, have: Points, polygons: Sequence[Points], seed: int) -> list[int]:
    """Points of the map, at random, none nearer to another than wanted (Poisson discs)."""
    outside = ~_within(chart.place, polygons)
    left = chart.place[:, 0]
    outside &= (left > 1e-4) & (left < left.max() - 1e-4)
    cells: dict[tuple[int, ...], list[Points]] = {}
    for p in have:
        cells.setdefault(tuple((p // CELL).astype(int)), []).append(p)
    wanted = 0.86 * size(chart.points)
    around = np.array(list(np.ndindex(3, 3, 3))) - 1
    chosen = []
    for index in np.random.default_rng(seed).permutation(np.flatnonzero(outside)):
        p = chart.points[index]
        key = (p // CELL).astype(int)
        near = [q for d in around for q in cells.get(tuple(key + d), ())]
        if near and ((np.array(near) - p) ** 2).sum(1).min() < wanted[index] ** 2:
            continue
        chosen.append(int(index))
        cells.setdefault(tuple(key), []).append(p)
    return chosen


def _triangulate(place: Points, polygons: Sequence[Points]) -> Triangles:
    """Delaunay triangles of points on the map without those in the holes, facing outward."""
    from scipy.spatial import Delaunay

    triangles = Delaunay(place).simplices.astype(np.int64)
    triangles = triangles[~_within(place[triangles].mean(1), polygons)]
    a, b, c = (place[triangles[:, i]] for i in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    turned = area > 0  # the map's axes run to the left and down, so outside is seen mirrored
    triangles[turned] = triangles[turned][:, ::-1]
    return triangles[np.abs(area) > 1e-6]


def _close_gaps(triangles: Triangles, loop_sizes: Sequence[int]) -> Triangles:
    """Add the triangles between a loop's edge and the mesh where Delaunay cut the corner."""
    have = {(int(t[k]), int(t[(k + 1) % 3])) for t in triangles for k in range(3)}
    free: dict[int, list[int]] = {}
    for a, b in have:
        if (b, a) not in have:
            free.setdefault(b, []).append(a)  # the missing side runs b -> a
    extra, start = [], 0
    for n, count in enumerate(loop_sizes):
        for i in range(count if n else count - 1):
            a, b = start + i, start + (i + 1) % count
            if (a, b) in have or (b, a) in have:
                continue
            for one, other in ((a, b), (b, a)):
                for c in free.get(one, ()):
                    if other in free.get(c, ()):
                        extra.append((one, c, other))
        start += count
    return np.concatenate([triangles, np.array(extra, dtype=np.int64).reshape(-1, 3)])


def _within(p: Points, polygons: Sequence[Points]) -> Mask:
    """Which points (N, 2) lie in one of the polygons (even-odd rule)."""
    out = np.zeros(len(p), bool)
    for polygon in polygons:
        hit = np.zeros(len(p), bool)
        for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            if y0 != y1:
                cross = (y0 > p[:, 1]) != (y1 > p[:, 1])
                hit ^= cross & (p[:, 0] < (x1 - x0) * (p[:, 1] - y0) / (y1 - y0) + x0)
        out |= hit
    return out
