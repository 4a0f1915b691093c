"""Small facts about a triangle mesh, in numpy alone."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def normals(points: Points, faces: NDArray[np.integer]) -> Points:
    """Unit normals (V, 3), weighted by area; zero for a vertex in no triangle."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    turn = np.cross(b - a, c - a)
    out = np.zeros_like(points)
    for k in range(3):
        np.add.at(out, faces[:, k], turn)
    length = np.linalg.norm(out, axis=1, keepdims=True)
    return np.asarray(out / np.maximum(length, 1e-20))


def areas(points: Points, faces: NDArray[np.integer]) -> Points:
    """(V,) a third of the area of the triangles round each vertex."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    size = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    out = np.zeros(len(points))
    for k in range(3):
        np.add.at(out, faces[:, k], size)
    return out


def edges(faces: NDArray[np.integer]) -> Ints:
    """(E, 2) every edge once, its smaller vertex first."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    return np.unique(np.sort(pairs, axis=1), axis=0)


def parts(faces: NDArray[np.integer], count: int) -> Ints:
    """(V,) the smallest vertex of the connected part that each vertex belongs to."""
    label = np.arange(count)
    pairs = edges(faces)
    while True:
        least = np.minimum(label[pairs[:, 0]], label[pairs[:, 1]])
        new = label.copy()
        np.minimum.at(new, pairs[:, 0], least)
        np.minimum.at(new, pairs[:, 1], least)
        new = new[new]
        if (new == label).all():
            return label
        label = new


def distances(
    points: Points, faces: NDArray[np.integer], sources: Iterable[int], reach: float = np.inf
) -> Points:
    """(V,) way along the edges to the nearest of `sources`; infinite beyond `reach`."""
    pairs = edges(faces)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    length = np.linalg.norm(points[both[:, 0]] - points[both[:, 1]], axis=1).tolist()
    start = np.searchsorted(both[:, 0], np.arange(len(points) + 1)).tolist()
    there = both[:, 1].tolist()
    out = [np.inf] * len(points)
    queue: list[tuple[float, int]] = []
    for source in sources:
        out[int(source)] = 0.0
        queue.append((0.0, int(source)))
    heapq.heapify(queue)
    while queue:
        way, here = heapq.heappop(queue)
        if way > out[here]:
            continue
        for k in range(start[here], start[here + 1]):
            new = way + length[k]
            if new < out[there[k]] and new <= reach:
                out[there[k]] = new
                heapq.heappush(queue, (new, there[k]))
    return np.array(out)
