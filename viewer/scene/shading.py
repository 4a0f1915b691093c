"""Geometry for drawing: vertices split at material borders, smooth normals, ambient occlusion.

Pure numpy. A head shares vertices between materials (skin and lip, lip and mouth lining); the
graphics card wants one colour per vertex. So the *drawn* vertices are the distinct pairs of
(vertex, material), while normals are computed on the head's own vertices: seams stay smooth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]


@dataclass(frozen=True)
class DrawnMesh:
    """Which head vertex each drawn vertex shows, and the triangles over drawn vertices."""

    source: Ints  # (D,) index into the head's vertices
    material: Ints  # (D,) index into the head's materials
    triangles: Ints  # (F, 3) indices into the drawn vertices


def split_by_material(faces: NDArray[np.integer], face_material: NDArray[np.integer]) -> DrawnMesh:
    """Split vertices (F, 3) so that each drawn vertex has exactly one material (F,)."""
    corners = np.asarray(faces, np.int64).reshape(-1)
    materials = np.repeat(np.asarray(face_material, np.int64), 3)
    stride = int(materials.max(initial=0)) + 1
    keys, triangles = np.unique(corners * stride + materials, return_inverse=True)
    return DrawnMesh(
        source=(keys // stride).astype(np.int32),
        material=(keys % stride).astype(np.int32),
        triangles=triangles.reshape(-1, 3).astype(np.int32),
    )


def solid(vertices: Floats, faces: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Triangles (F,) that belong to a body with an outside: those need no back sides drawn.

    A body is a connected part with hardly any open edge (a neck may end somewhere) whose triangles
    turn outwards, that is, with a positive volume. Lashes and other sheets are none.
    """
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    count, part = connected_parts(edges, len(vertices))
    along, back = (edges @ np.array(order) for order in ((len(vertices), 1), (1, len(vertices))))
    opened = np.bincount(part[edges[:, 0]], weights=~np.isin(back, along), minlength=count)
    total = np.bincount(part[edges[:, 0]], minlength=count)
    middles = np.zeros((count, 3))
    np.add.at(middles, part, vertices)
    middles /= np.bincount(part, minlength=count)[:, None]
    face_part = part[faces[:, 0]]
    a, b, c = (vertices[faces[:, k]] - middles[face_part] for k in range(3))
    volume = np.bincount(face_part, np.einsum("fk,fk->f", a, np.cross(b, c)), minlength=count)
    body = (volume > 0) & (opened < 0.04 * total)
    closed: NDArray[np.bool_] = body[face_part]
    return closed


def connected_parts(edges: NDArray[np.integer], count: int) -> tuple[int, NDArray[np.integer]]:
    """How many parts the vertices fall into along edges (E, 2), and the part of each, (V,)."""
    root = np.arange(count)
    while True:
        a, b = root[edges[:, 0]], root[edges[:, 1]]
        if (a == b).all():
            parts, part = np.unique(root, return_inverse=True)
            return len(parts), part
        # The larger of two roots joins the smaller; then every vertex looks up its root's root.
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while (root != root[root]).any():
            root = root[root]


class SmoothNormals:
    """Area-weighted vertex normals of a fixed triangle list, fast enough for every frame."""

    def __init__(self, faces: NDArray[np.integer], vertex_count: int) -> None:
        self._faces = np.ascontiguousarray(faces, np.int32)
        self._corners = self._faces.T.reshape(-1).astype(np.int64)
        self._count = vertex_count

    def __call__(self, vertices: Floats) -> Floats:
        """Unit normals (V, 3) of vertices (V, 3); a vertex in no triangle gets zeros."""
        a, b, c = (vertices[self._faces[:, k]] for k in range(3))
        across = cross(b - a, c - a)
        normals = np.empty((self._count, 3), np.float32)
        for k in range(3):
            weights = np.tile(across[:, k], 3)
            normals[:, k] = np.bincount(self._corners, weights, minlength=self._count)
        lengths = np.sqrt(np.einsum("vk,vk->v", normals, normals))
        return normals / np.maximum(lengths, 1e-20)[:, None]


def cross(u: Floats, v: Floats) -> Floats:
    """Cross product of (N, 3) rows; a third of the time of numpy's general one."""
    out = np.empty_like(u)
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        out[:, k] = u[:, i] * v[:, j] - u[:, j] * v[:, i]
    return out


def ambient_occlusion(
    vertices: Floats, normals: Floats, faces: NDArray[np.integer], directions: int = 72
) -> Floats:
    """Share (V,) in 0..1 of the cosine-weighted sky that each vertex sees past the mesh itself."""
    sky = sphere(directions)
    weights = np.maximum(normals @ sky.T, 0)  # (V, directions)
    seen = weights * visible(vertices, normals, faces, sky)
    share = seen.sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-6)
    return smooth_over_edges(share.astype(np.float32), faces, 2)


def soft_shadow(
    vertices: Floats,
    normals: Floats,
    faces: NDArray[np.integer],
    direction: Floats,
    *,
    radius: float = 0.35,
    directions: int = 16,
) -> Floats:
    """Share (V,) in 0..1 of a broad light in the unit `direction` that each vertex sees.

    `radius` is that of the light at distance one: 0.35 is a large softbox.
    """
    k = np.arange(directions) + 0.5
    reach, angle = radius * np.sqrt(k / directions), k * (np.pi * (3 - np.sqrt(5)))
    u, v = tangents(direction)
    around = np.outer(reach * np.cos(angle), u) + np.outer(reach * np.sin(angle), v)
    lights = direction + around.astype(np.float32)
    lights /= np.linalg.norm(lights, axis=1, keepdims=True)
    share = visible(vertices, normals, faces, lights).mean(axis=1, dtype=np.float32)
    return smooth_over_edges(share, faces, 2)


def visible(
    vertices: Floats,
    normals: Floats,
    faces: NDArray[np.integer],
    directions: Floats,
    finest: int = 128,
) -> NDArray[np.bool_]:
    """Whether light from unit directions (D, 3) reaches the vertices: (V, D).

    For each direction a coarse height map of points on the surface; a vertex is in shadow when
    another point of its cell stands clearly higher. Coarse is enough for what is then averaged.
    """
    corners = vertices[faces]  # (F, 3, 3)
    midpoints = (corners + np.roll(corners, 1, axis=1)).reshape(-1, 3) / 2
    surface = np.concatenate([vertices, corners.mean(axis=1), midpoints])
    surface = surface - (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    reach = float(np.linalg.norm(surface, axis=1).max())
    sides = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    apart = float(np.sqrt(np.linalg.norm(sides, axis=1).sum() / 2 / len(surface)))
    cell = max(2 * reach / finest, 1.5 * apart)  # a map finer than its points would have holes
    cells = int(np.ceil(2 * reach / cell))
    top = np.empty(cells * cells, np.float32)
    seen = np.empty((len(vertices), len(directions)), bool)
    for d, direction in enumerate(directions):
        u, v = tangents(direction)
        column = ((surface @ np.stack([u, v], axis=1) + reach) / cell).astype(np.int32)
        column = np.minimum(column, cells - 1)
        index, height = column[:, 0] * cells + column[:, 1], surface @ direction
        top.fill(-np.inf)
        np.maximum.at(top, index, height)
        # Within a cell a slanted surface rises by its slope: it must not shade itself.
        cosine = np.maximum(normals @ direction, 0.25)
        bias = cell * (0.6 + np.sqrt(1 - np.minimum(cosine * cosine, 1)) / cosine)
        seen[:, d] = height[: len(vertices)] + bias > top[index[: len(vertices)]]
    return seen


def smooth_over_edges(values: Floats, faces: NDArray[np.integer], rounds: int) -> Floats:
    """Average per-vertex values (V,) with their neighbours along the triangles' edges."""
    count = len(values)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    both = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    degree = np.maximum(np.bincount(both[:, 0], minlength=count), 1)
    for _ in range(rounds):
        near = np.bincount(both[:, 0], weights=values[both[:, 1]], minlength=count)
        values = (0.5 * values + 0.5 * near / degree).astype(np.float32)
    return values


def sphere(count: int) -> Floats:
    """Evenly spread unit directions (count, 3), a golden spiral."""
    k = np.arange(count) + 0.5
    y = 1 - 2 * k / count
    radius, angle = np.sqrt(1 - y * y), k * (np.pi * (3 - np.sqrt(5)))
    spiral = np.stack([radius * np.cos(angle), y, radius * np.sin(angle)], axis=1)
    return spiral.astype(np.float32)


def tangents(direction: Floats) -> tuple[Floats, Floats]:
    """Two unit vectors that make a right-handed frame with the unit direction (3,)."""
    helper = np.eye(3, dtype=np.float32)[int(np.argmin(np.abs(direction)))]
    u = np.cross(direction, helper)
    u /= np.linalg.norm(u)
    return u.astype(np.float32), np.cross(direction, u).astype(np.float32)
