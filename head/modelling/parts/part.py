"""Pieces of the model: vertices, triangles and a material for each triangle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from head.modelling.surface.field import Points

Triangles = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """A piece in millimetres. `material` holds one name per triangle."""

    name: str
    vertices: Points
    faces: Triangles
    material: list[str]


def strip(rows: int, columns: int, *, closed: bool, flip: bool = False) -> Triangles:
    """Triangles of a grid of rows x columns vertices; `closed` joins last and first column."""
    out = []
    for r in range(rows - 1):
        for c in range(columns if closed else columns - 1):
            a, b = r * columns + c, r * columns + (c + 1) % columns
            d, e = a + columns, b + columns
            out += [(a, b, e), (a, e, d)] if (r + c) % 2 else [(a, b, d), (b, e, d)]
    faces = np.array(out, dtype=np.int64)
    return faces[:, ::-1] if flip else faces


def fan(ring: NDArray[np.int64], tip: int, *, closed: bool, flip: bool = False) -> Triangles:
    """Triangles from a ring of vertices to one vertex."""
    after = np.roll(ring, -1)
    count = len(ring) if closed else len(ring) - 1
    faces = np.stack([ring[:count], after[:count], np.full(count, tip)], -1)
    return faces[:, ::-1] if flip else faces
