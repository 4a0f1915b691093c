"""How the skull is turned: the rotation that carries a face's rigid points onto its own mean.

Points are (n, P, 3), axes as a head has them: x to the subject's left, y up, z towards the camera.
Kabsch 1976 and Umeyama 1991, for all frames at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

ROUNDS = 4
"""Rounds in which the mean face and the rotations settle."""


def similarity(shape: Doubles, points: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Rotations (n, 3, 3), scales (n,) and shifts (n, 3) with points ~ scale R shape + shift.

    Args:
        shape: (P, 3).
        points: (n, P, 3).
    """
    middle, middles = shape.mean(0), points.mean(1)
    centred = shape - middle
    mixed = np.einsum("npi,pj->nij", points - middles[:, None], centred)
    u, sizes, v = np.linalg.svd(mixed)
    signs = np.ones((len(points), 3))
    signs[:, 2] = np.sign(np.linalg.det(u @ v))
    rotations = np.einsum("nij,nj,njk->nik", u, signs, v)
    scales = (sizes * signs).sum(1) / (centred**2).sum()
    shifts = middles - scales[:, None] * np.einsum("nij,j->ni", rotations, middle)
    return rotations, scales, shifts


def undo(points: Doubles, fit: tuple[Doubles, Doubles, Doubles]) -> Doubles:
    """(n, P, 3) points as they were before rotation, scale and shift."""
    rotations, scales, shifts = fit
    back = np.einsum("nji,npj->npi", rotations, points - shifts[:, None])
    return np.asarray(back / scales[:, None, None])


def mean_skull(points: Doubles, like: Doubles) -> Doubles:
    """(P, 3) a person's rigid points in the place and size of `like` (P, 3), from frames (n, P, 3).

    Generalised Procrustes analysis (Gower 1975).
    """
    mean = like
    for _ in range(ROUNDS):
        mean = undo(points, similarity(mean, points)).mean(0)
        mean = undo(mean[None], similarity(like, mean[None]))[0]
    return mean


def axis_angle(rotations: Doubles) -> Doubles:
    """(n, 3) radians of rotation matrices (n, 3, 3) that turn by less than half a circle."""
    cosine = (np.trace(rotations, axis1=1, axis2=2) - 1) / 2
    angle = np.arccos(np.clip(cosine, -1, 1))
    axis = np.stack(
        [
            rotations[:, 2, 1] - rotations[:, 1, 2],
            rotations[:, 0, 2] - rotations[:, 2, 0],
            rotations[:, 1, 0] - rotations[:, 0, 1],
        ],
        -1,
    )
    sine = np.sin(angle)
    factor = np.where(sine > 1e-6, angle / np.maximum(2 * sine, 1e-12), 0.5)
    return np.asarray(axis * factor[:, None])


def mean_rotation(rotations: Doubles) -> Doubles:
    """(3, 3) the rotation nearest to all of (n, 3, 3); a fifth of them may be elsewhere."""
    middle = _nearest(np.median(rotations, axis=0))
    off = np.linalg.norm(axis_angle(rotations @ middle.T), axis=1)
    kept = off <= np.quantile(off, 0.8)
    return _nearest(rotations[kept].mean(0))


def _nearest(matrix: Doubles) -> Doubles:
    u, _, v = np.linalg.svd(matrix)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
    return np.asarray((u * signs) @ v)
