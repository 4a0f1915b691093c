"""Even triangles on the sculpture: edges flip, vertices slide along the surface."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from head.modelling.surface.field import Points, normal, settle, skin

Triangles = NDArray[np.int64]


def relax(
    p: Points,
    triangles: Triangles,
    movable: NDArray[np.bool_],
    slides: NDArray[np.bool_],
    size: Callable[[Points], Points],
) -> tuple[Points, Triangles]:
    """Even out the triangles on the surface: flip edges, slide vertices towards wanted sizes.

    `movable` vertices go anywhere on the left half, those that `slides` stay in the midline.
    """
    for _ in range(4):
        triangles = flip(p, triangles)
        for _ in range(4):
            edges = np.concatenate(
                [triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]
            )
            total, weight = np.zeros_like(p), np.zeros(len(p))
            target = (size(p)[edges[:, 0]] + size(p)[edges[:, 1]]) / 2
            span = np.linalg.norm(p[edges[:, 0]] - p[edges[:, 1]], axis=1)
            pull = np.clip(span / target, 0.3, 3.0)
            for one, other in ((0, 1), (1, 0)):
                np.add.at(total, edges[:, one], pull[:, None] * p[edges[:, other]])
                np.add.at(weight, edges[:, one], pull)
            step = total / np.maximum(weight, 1e-9)[:, None] - p
            n = normal(skin, p)
            step -= (step * n).sum(1)[:, None] * n
            moved = settle(skin, p + 0.5 * step, 2)
            p = np.where((movable | slides)[:, None], moved, p)
            p[slides, 0] = 0.0
            p[movable, 0] = np.maximum(p[movable, 0], 0.4)
    return p, flip(p, triangles)


def flip(p: Points, triangles: Triangles) -> Triangles:
    """Flip edges while the sum of the opposite angles exceeds 180 degrees."""
    tri = [list(map(int, t)) for t in triangles]
    for _ in range(6):
        owner: dict[tuple[int, int], tuple[int, int]] = {}
        for i, t in enumerate(tri):
            for k in range(3):
                owner[(t[k], t[(k + 1) % 3])] = (i, t[(k + 2) % 3])
        dirty: set[int] = set()
        changed = 0
        for (a, b), (i, c) in owner.items():
            if a > b or (b, a) not in owner:
                continue
            j, d = owner[(b, a)]
            if i in dirty or j in dirty or (c, d) in owner or (d, c) in owner:
                continue
            if _angle(p[a], p[c], p[b]) + _angle(p[a], p[d], p[b]) > np.pi + 0.02:
                n = np.cross(p[b] - p[a], p[c] - p[a])
                n1 = np.cross(p[d] - p[a], p[c] - p[a])
                n2 = np.cross(p[b] - p[d], p[c] - p[d])
                if n @ n1 <= 0 or n @ n2 <= 0:
                    continue
                tri[i], tri[j] = [a, d, c], [d, b, c]
                dirty |= {i, j}
                changed += 1
        if not changed:
            break
    return np.array(tri, dtype=np.int64)


def _angle(a: Points, at: Points, b: Points) -> float:
    u, w = a - at, b - at
    return float(np.arctan2(np.linalg.norm(np.cross(u, w)), u @ w))
