"""Geometry for drawing: vertices split at material borders, smooth normals, ambient occlusion.

Pure numpy. A head shares vertices between materials (skin and lip, lip and mouth lining); the
graphics card wants one colour per vertex. So the *drawn* vertices are the distinct pairs of
(vertex, material), while normals are computed on the head's own vertices: seams stay smooth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

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


class SmoothNormals:
    """Area-weighted vertex normals of a fixed triangle list, fast enough for every frame."""

    def __init__(self, faces: NDArray[np.integer], vertex_count: int) -> None:
        self._faces = np.ascontiguousarray(faces, np.int32)
        count = len(self._faces)
        rows = self._faces.T.reshape(-1)
        columns = np.tile(np.arange(count), 3)
        ones = np.ones(3 * count, np.float32)
        self._gather = sparse.csr_matrix((ones, (rows, columns)), shape=(vertex_count, count))

    def __call__(self, vertices: Floats) -> Floats:
        """Unit normals (V, 3) of vertices (V, 3); a vertex in no triangle gets zeros."""
        a, b, c = (vertices[self._faces[:, k]] for k in range(3))
        normals: Floats = self._gather @ cross(b - a, c - a)
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
    vertices: Floats,
    normals: Floats,
    faces: NDArray[np.integer],
    *,
    directions: int = 96,
    cells: int = 112,
    smoothing: int = 2,
) -> Floats:
    """Share (V,) in 0..1 of the cosine-weighted sky that each vertex sees past the mesh itself.

    One coarse height map of points on the surface for each direction; a vertex is in shadow when
    another point of its cell stands clearly higher. Coarse is enough: the result is smoothed along
    the surface, and only ambient light is multiplied with it.
    """
    corners = vertices[faces]  # (F, 3, 3)
    midpoints = (corners + np.roll(corners, 1, axis=1)).reshape(-1, 3) / 2
    surface = np.concatenate([vertices, corners.mean(axis=1), midpoints])
    size = float(np.ptp(vertices, axis=0).max())
    bias, scale = 2.2 * size / cells, (cells - 1) / size
    seen = np.zeros(len(vertices), np.float32)
    total = np.full(len(vertices), 1e-6, np.float32)
    for direction in sphere(directions):
        facing = np.maximum(normals @ direction, 0)
        u, v = tangents(direction)
        planar = np.stack([surface @ u, surface @ v], axis=1)
        cell = np.clip((planar - planar.min(axis=0)) * (scale / 1.75), 0, cells - 1).astype(int)
        index, height = cell[:, 0] * cells + cell[:, 1], surface @ direction
        top = np.full(cells * cells, -np.inf, np.float32)
        np.maximum.at(top, index, height)
        clear = height[: len(vertices)] + bias > top[index[: len(vertices)]]
        seen += facing * clear
        total += facing
    return smooth_over_edges(seen / total, faces, smoothing)


def smooth_over_edges(values: Floats, faces: NDArray[np.integer], rounds: int) -> Floats:
    """Average per-vertex values (V,) with their neighbours along the triangles' edges."""
    count = len(values)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    ones = np.ones(len(edges), np.float32)
    near = sparse.csr_matrix((ones, (edges[:, 0], edges[:, 1])), shape=(count, count))
    near = ((near + near.T) > 0).astype(np.float32)
    degree = np.maximum(np.asarray(near.sum(axis=1)).reshape(-1), 1)
    for _ in range(rounds):
        values = (0.5 * values + 0.5 * (near @ values) / degree).astype(np.float32)
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
