"""The left ear: rings from its root on the skull over the helix into the concha."""

from __future__ import annotations

import numpy as np

from head.modelling.parts.part import Part, fan, strip
from head.modelling.surface.chart import smooth_curve
from head.modelling.surface.field import Points

AROUND = 23
ORIGIN = np.array([64.5, 21.0, -4.0])
OUTLINE = np.array(
    [
        (-4, 8),
        (-3, 18),
        (2, 26),
        (10, 30),
        (18.5, 28),
        (24, 20),
        (25, 9),
        (21.5, -3),
        (16, -13),
        (11.5, -21),
        (6, -26.5),
        (0.5, -26.5),
        (-3, -21),
        (-4.5, -12),
        (-4.5, -2),
    ],
    dtype=float,
)
# inset from the outline and height over the ear's plane, in millimetres
RINGS = (
    (3.0, -12.0),
    (0.8, -3.0),
    (-0.3, 0.6),
    (0.6, 3.4),
    (3.0, 3.6),
    (4.6, 0.6),
    (7.6, 2.6),
    (10.0, -2.5),
    (12.5, -4.5),
)


def ear() -> Part:
    """Skin only; it goes into the skull at its root."""
    count = len(OUTLINE)
    wrapped = np.concatenate([OUTLINE[-2:], OUTLINE, OUTLINE[:3]])
    fine = smooth_curve(wrapped, 2 + np.linspace(0, count, 480, endpoint=False))
    run = np.append(0, np.linalg.norm(np.diff(fine, axis=0), axis=1).cumsum())
    at = np.linspace(0, run[-1], AROUND, endpoint=False)
    outline = np.stack([np.interp(at, run, fine[:, i]) for i in range(2)], -1)
    middle = np.array([8.0, 3.0])
    up = np.array([0.04, 0.975, -0.22])
    up /= np.linalg.norm(up)
    back = np.array([0.44, -0.1, -0.89])
    back -= (back @ up) * up
    back /= np.linalg.norm(back)
    out = np.cross(up, back) * -1
    out *= np.sign(out[0])
    b, u = outline.T
    front = np.clip((3.0 - b) / 6.0, 0, 1)  # 1 where the ear lies on the cheek
    lobe = np.clip((-9.0 - u) / 9.0, 0, 1)
    rows = []
    for i, (inset, height) in enumerate(RINGS):
        way = middle - outline
        span = np.linalg.norm(way, axis=1, keepdims=True)
        p = outline + way / span * np.minimum(inset, 0.86 * span)
        h = height * np.ones(AROUND)
        if i >= 3:  # the lobe is a cushion, the front edge sinks into the cheek
            h = h * (1 - lobe) + lobe * (3.2 - 0.12 * (i - 3) ** 2)
            h = h * (1 - front) + front * np.interp(i, [3, 5, 6, 8], [0.5, 1.2, -0.5, -4.5])
        elif i > 0:
            h = h - front * 3.0
        rows.append(ORIGIN + p[:, :1] * back + p[:, 1:] * up + h[:, None] * out)
    tip = rows[-1].mean(0) - 0.6 * out
    vertices = np.concatenate([*rows, tip[None]])
    n = len(RINGS)
    last = np.arange((n - 1) * AROUND, n * AROUND)
    faces = np.concatenate([strip(n, AROUND, closed=True), fan(last, n * AROUND, closed=True)])
    return Part("ear", _outward(vertices, faces, out), faces, ["skin"] * len(faces))


def _outward(vertices: Points, faces: np.ndarray, out: Points) -> Points:
    """Check the winding: the concha must face `out`."""
    a, b, c = (vertices[faces[-1, i]] for i in range(3))
    if np.cross(b - a, c - a) @ out < 0:
        faces[:] = faces[:, ::-1].copy()
    return vertices
