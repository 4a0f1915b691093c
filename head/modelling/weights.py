"""Joints of the built-in head and how the surface follows them."""

from __future__ import annotations

import numpy as np

from head.modelling.anatomy import Anatomy, bump, ramp
from head.modelling.parts.lips import BORDER, LINE, WIDTH
from head.modelling.surface.field import EYE, Points, join, rod

JOINTS_MM = np.array(
    [(0.0, -108.0, -38.0), (0.0, -70.0, -30.0), (0.0, 10.0, 1.0), EYE, EYE * [-1, 1, 1]]
)
"""root, neck, jaw, eye_left, eye_right."""
ROOT, NECK, JAW, EYE_LEFT, EYE_RIGHT = range(5)


def jaw_share(a: Anatomy) -> Points:
    """How much each skin vertex follows the jaw: lower lip and chin fully, cheeks by degrees."""
    p = a.p
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    beyond = np.linalg.norm(np.stack([np.maximum(x - WIDTH, 0), y - LINE], -1), axis=1)
    beyond = np.where(x > WIDTH, beyond, 0.0)
    border = LINE + np.clip(75 - z, 0, 75) * 0.55  # from the corner of the mouth up to the joint
    width = np.clip(4 + 1.1 * beyond, 4, 44)
    below = _ramp(border - y, width)
    q = np.stack([x, y, z], -1)
    bone = join(
        rod(q, (42, 0, 0), (39, -37, 12), 12, 12), rod(q, (39, -37, 12), (14, -60, 52), 12, 12), 8
    )
    bone = join(bone, rod(q, (12, -60, 56), (0, -60, 66), 13, 16), 8)
    bone = join(bone, rod(q, (14, -44, 66), (0, -42, 74), 18, 19), 8)
    share = below * ramp(bone, 40, 2) * ramp(z, -24, 22)
    on_lips = (a.loop >= 0) & (a.loop <= BORDER + 3)
    oval = (1 - np.clip(a.column, 0, 1) ** 2.4) ** 0.62
    sharp = np.where(a.upper > 0.5, 0.5 - 0.5 * oval, 0.5 + 0.5 * oval)
    fade = np.clip((a.loop - BORDER) / 4.0, 0, 1)
    share = np.where(on_lips, sharp * (1 - fade) + share * fade, share)
    inside = np.setdiff1d(a.surface.parts["bag"], np.flatnonzero(a.loop >= 0))
    share[inside] = a.lower[inside] * ramp(p[inside, 2], 15, 45)
    return share * a.skin


def _ramp(value: Points, width: Points) -> Points:
    t = np.clip(value / width + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def skin_weights(a: Anatomy) -> Points:
    """(V, 5), rows sum to one."""
    p, parts = a.p, a.surface.parts
    jaw = jaw_share(a)
    for name in ("teeth_lower", "tongue"):
        jaw[parts[name]] = 1.0
    along = p[:, 1] + 0.18 * p[:, 2]
    turn = ramp(along, -126, -66)
    turn[parts["shirt"]] = 0.0
    weights = np.zeros((len(p), 5))
    weights[:, JAW] = jaw * turn
    weights[:, NECK] = turn * (1 - jaw)
    weights[:, ROOT] = 1 - turn
    for joint, side in ((EYE_LEFT, "left"), (EYE_RIGHT, "right")):
        weights[parts[f"eye_{side}"]] = 0.0
        weights[parts[f"eye_{side}"], joint] = 1.0
    return weights


def regressor(a: Anatomy) -> Points:
    """(5, V): the least weights on nearby vertices that give each joint, symmetric in x."""
    p, parts = a.p, a.surface.parts
    out = np.zeros((len(JOINTS_MM), len(p)))
    skin = parts["skin"]
    near = {
        ROOT: skin[p[skin, 1] < -95],
        NECK: skin[(p[skin, 1] < -60) & (p[skin, 1] > -130)],
        JAW: skin[bump(np.abs(p[skin, 1] - 10), 40) * (p[skin, 2] < 45) > 0],
        EYE_LEFT: parts["eye_left"],
        EYE_RIGHT: parts["eye_right"],
    }
    for joint, index in near.items():
        rows = np.concatenate([p[index].T / 100, np.ones((1, len(index)))])
        out[joint, index] = np.linalg.pinv(rows) @ np.append(JOINTS_MM[joint] / 100, 1)
    return out
