"""A smooth map from one face onto another through points that correspond."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from head.geometry.mesh import Points


@dataclass(frozen=True)
class Warp:
    """x -> affine(x) + sum of w_i |x - c_i|: the smoothest map through its points (the biharmonic
    spline of three dimensions)."""

    centres: Points
    weights: Points
    affine: Points
    scale: float

    def __call__(self, points: Points) -> Points:
        """Where points (N, 3) go."""
        out = np.empty_like(points)
        for start in range(0, len(points), 4096):
            some = points[start : start + 4096]
            far = spans(some, self.centres) / self.scale
            out[start : start + 4096] = far @ self.weights + some @ self.affine[:3] + self.affine[3]
        return out


def spans(a: Points, b: Points) -> Points:
    """(N, M) distances between points (N, 3) and (M, 3)."""
    square = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * (a @ b.T)
    return np.sqrt(np.maximum(square, 0, out=square), out=square)


def fit(source: Points, target: Points, stiffness: float = 1e-4) -> Warp:
    """The map that takes `source` (N, 3) to `target` (N, 3), nearly: `stiffness` lets it miss a
    little where points contradict each other."""
    scale = float(np.linalg.norm(source.std(axis=0)))
    count = len(source)
    far = np.linalg.norm(source[:, None] - source[None], axis=2) / scale
    lifted = np.column_stack([source, np.ones(count)])
    system = np.zeros((count + 4, count + 4))
    system[:count, :count] = far - stiffness * np.eye(count)  # |r| is negative definite here
    system[:count, count:] = lifted
    system[count:, :count] = lifted.T
    right = np.zeros((count + 4, 3))
    right[:count] = target
    found: Points = np.asarray(np.linalg.solve(system, right), np.float64)
    return Warp(source, found[:count], found[count:], scale)
