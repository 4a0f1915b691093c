"""The sculpture: a signed distance field of smoothly joined forms, in millimetres.

Negative inside. Every form that is not on the midline exists twice, mirrored, so the field is
symmetric in x and smooth across the midline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Vector = Sequence[float] | NDArray[np.float64]
Field = Callable[[Points], Points]

EYE = np.array([32.4, 33.0, 55.8])
"""Centre of the left eyeball."""
EYE_RADIUS = 15.0
LID_RADIUS = EYE_RADIUS + 1.7


def join(a: Points, b: Points, soft: float) -> Points:
    """Union with a fillet of about `soft` millimetres."""
    overlap = np.maximum(soft - np.abs(a - b), 0) / soft
    return np.minimum(a, b) - overlap * overlap * soft / 4


def carve(a: Points, b: Points, soft: float) -> Points:
    """`a` without `b`, the rim rounded."""
    return -join(-a, b, soft)


def ellipsoid(
    p: Points, centre: Vector, radii: Vector, tilt: float = 0.0, yaw: float = 0.0
) -> Points:
    """Distance (approximate away from the surface) to an ellipsoid turned about x, then about y."""
    q = p - np.asarray(centre)
    if yaw:
        c, s = np.cos(yaw), np.sin(yaw)
        q = np.stack([c * q[..., 0] - s * q[..., 2], q[..., 1], s * q[..., 0] + c * q[..., 2]], -1)
    if tilt:
        c, s = np.cos(tilt), np.sin(tilt)
        q = np.stack([q[..., 0], c * q[..., 1] + s * q[..., 2], c * q[..., 2] - s * q[..., 1]], -1)
    r = np.asarray(radii)
    near, far = np.linalg.norm(q / r, axis=-1), np.linalg.norm(q / r**2, axis=-1)
    return near * (near - 1) / np.maximum(far, 1e-9)


def rod(p: Points, start: Vector, end: Vector, r0: float, r1: float) -> Points:
    """Distance to a round rod whose radius goes from `r0` to `r1`."""
    a = np.asarray(start)
    axis = np.asarray(end) - a
    t = np.clip((p - a) @ axis / (axis @ axis), 0, 1)
    return np.linalg.norm(p - a - t[..., None] * axis, axis=-1) - (r0 + (r1 - r0) * t)


def both(p: Points, form: Field, soft: float) -> Points:
    """A form and its mirror image, joined."""
    return join(form(p), form(p * [-1.0, 1.0, 1.0]), soft)


def skin(p: Points) -> Points:
    """The skin without lips, lid margins, ears."""
    d = ellipsoid(p, (0, 66, -8), (70, 80, 92))  # skull
    d = join(d, ellipsoid(p, (0, 80, 20), (55, 50, 60.5)), 34)  # forehead
    d = join(d, ellipsoid(p, (0, -2, 22), (56, 75, 57)), 30)  # face
    d = join(d, both(p, lambda q: ellipsoid(q, (39, 9, 43), (20, 20, 22)), 10), 30)  # cheekbones
    d = join(d, both(p, _jaw, 16), 30)
    d = join(d, ellipsoid(p, (0, -62, 66.5), (15, 13, 15)), 20)  # chin
    d = join(d, ellipsoid(p, (0, -31, 62), (27, 24, 22)), 20)  # around the mouth
    d = join(d, both(p, _brow, 12), 18)
    d = carve(d, both(p, lambda q: ellipsoid(q, (31, 34, 80), (18, 10, 10.5)), 6), 17)  # sockets
    d = carve(d, both(p, lambda q: ellipsoid(q, (17, 31, 79), (5, 8, 8.0)), 2), 13)
    d = join(d, both(p, lambda q: ellipsoid(q, EYE, (LID_RADIUS,) * 3), 1), 5)  # lids
    d = join(d, both(p, lambda q: ellipsoid(q, (33, 6, 52.5), (19, 17, 18)), 4), 22)  # cheeks
    d = join(d, both(p, lambda q: ellipsoid(q, (30, -22, 55), (16, 18, 15)), 4), 18)
    d = carve(d, ellipsoid(p, (0, -50, 94.5), (14, 4.5, 8)), 9)  # under the lower lip
    d = _nose(p, d)
    return _neck(p, d)


def _jaw(p: Points) -> Points:
    back = rod(p, (43, 4, -2), (33, -36, 12), 13, 11.5)
    side = rod(p, (33, -36, 12), (16, -58, 46), 11.5, 12)
    front = rod(p, (16, -58, 46), (0, -63, 64), 12, 12)
    return join(join(back, side, 14), front, 14)


def _brow(p: Points) -> Points:
    inner = rod(p, (5, 49, 76), (25, 54, 71.5), 6, 7)
    return join(inner, rod(p, (25, 54, 71.5), (49, 47, 47), 7, 6), 8)


def _nose(p: Points, d: Points) -> Points:
    d = join(d, rod(p, (0, 43, 75.5), (0, 10, 95), 5.0, 5.6), 13)  # bridge
    d = join(d, both(p, lambda q: rod(q, (5.5, 30, 74.5), (8, 5, 82), 5.5, 8), 4), 13)
    d = join(d, ellipsoid(p, (0, 3.0, 95.8), (8.8, 7.4, 8.8)), 10)  # tip
    d = join(
        d, both(p, lambda q: ellipsoid(q, (10.6, -3.4, 87.0), (5.6, 6.0, 8.4), 0.2, 0.3), 2), 8.5
    )
    d = join(d, rod(p, (0, 0.5, 95), (0, -6.0, 86.5), 5.2, 6.2), 8)  # septum
    d = carve(
        d, both(p, lambda q: ellipsoid(q, (7.6, -9.0, 90.5), (2.5, 2.8, 4.6), -0.3, 0.3), 1), 3.2
    )
    return carve(d, rod(p, (0, -16.5, 95.6), (0, -25, 97.0), 3.0, 3.4), 5)  # philtrum


def _neck(p: Points, d: Points) -> Points:
    stem = rod(p * [1.0, 1.0, 0.96], (0, -30, -20), (0, -180, -36), 38, 41)
    d = join(d, stem, 18)
    d = join(d, both(p, lambda q: rod(q, (41, -30, -14), (13, -140, 2), 7, 6), 6), 22)
    return join(d, both(p, lambda q: rod(q, (12, -122, -44), (74, -182, -40), 20, 22), 10), 30)


def normal(field: Field, p: Points, step: float = 0.05) -> Points:
    """Unit gradient of a field."""
    g = np.stack([field(p + step * axis) - field(p - step * axis) for axis in np.eye(3)], -1)
    return np.asarray(g / np.maximum(np.linalg.norm(g, axis=-1, keepdims=True), 1e-9))


def settle(field: Field, p: Points, rounds: int = 4) -> Points:
    """Move points along the gradient onto the surface."""
    for _ in range(rounds):
        p = p - np.clip(field(p), -4, 4)[..., None] * normal(field, p)
    return p


def cast(field: Field, start: Points, direction: Points, reach: float) -> Points:
    """The first surface met on the way from `start` along `direction`, or the nearest approach."""
    travelled = np.zeros(start.shape[:-1])
    for _ in range(60):
        ahead = field(start + travelled[..., None] * direction)
        travelled = np.minimum(travelled + 0.85 * ahead, reach)
    return np.asarray(start + travelled[..., None] * direction)


def front(field: Field, x: Points, y: Points) -> Points:
    """The point of the surface seen from the front at (x, y)."""
    flat = np.stack([x, y, np.full_like(x, 125.0)], -1)
    return cast(field, flat, np.broadcast_to([0.0, 0.0, -1.0], flat.shape), 125.0)
