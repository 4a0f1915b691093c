"""Identity shapes: ten ways in which one person differs from another, in millimetres per unit."""

from __future__ import annotations

import numpy as np

from head.modelling.anatomy import Anatomy, blob, bump, ramp
from head.modelling.parts import lips
from head.modelling.surface.field import EYE, Points

SHAPES = (
    "face_width",
    "face_length",
    "jaw_width",
    "chin_length",
    "nose_length",
    "nose_width",
    "eye_size",
    "lip_fullness",
    "heaviness",
    "ear_size",
)


def shapes(a: Anatomy) -> Points:
    """(V, 3, 10); every unit is about one standard deviation, -2..2 looks like people."""
    p = a.p
    x, y = p[:, 0], p[:, 1]
    zero = np.zeros_like(x)
    head = ramp(y, -130, -70)
    below = ramp(y, -10, -80) * ramp(p[:, 2], -60, 20)
    low = ramp(y, 12, -70) * head
    nose = blob(p, (0, 6, 92), (22, 40, 34)) * a.skin
    fields = {
        "face_width": np.stack([0.05 * x * head, zero, zero], -1),
        "face_length": np.stack([zero, 0.045 * (y - 30) * ramp(y, -140, -75), zero], -1),
        "jaw_width": np.stack([0.075 * x * low, zero, zero], -1),
        "chin_length": np.stack(
            [zero, -4.5 * below * ramp(y, -44, -74) * head, 1.5 * ramp(y, -44, -70) * below * head],
            -1,
        ),
        "nose_length": np.stack(
            [zero, -2.2 * nose * ramp(y, 34, 4), 2.0 * nose * ramp(y, 40, 6)], -1
        ),
        "nose_width": np.stack([0.13 * x * nose, zero, zero], -1),
        "eye_size": _scale_eyes(a, 0.05),
        "lip_fullness": _fuller_lips(a),
        "heaviness": _heavier(a),
        "ear_size": _ears(a),
    }
    out = []
    for name in SHAPES:
        field = fields[name]
        out.append(field if name == "eye_size" else keep_eyes_round(a, field))
    return np.stack(out, -1)


def eye_mask(a: Anatomy, side: float) -> Points:
    """1 on an eye and its lids, fading into the orbit; `side` is 1 on the left, -1 on the right."""
    d = np.linalg.norm(a.p - EYE * [side, 1, 1], axis=1)
    mask = bump(np.maximum(d - 21, 0), 16.0)
    for name in ("eye", "lash"):
        mask[a.surface.parts[f"{name}_{'left' if side > 0 else 'right'}"]] = 1.0
    mask[a.surface.parts["hair"]] = 0.0
    return mask


def keep_eyes_round(a: Anatomy, field: Points) -> Points:
    """Eyeball and lids move as one piece, by what the field says at the eye's centre."""
    for side in (1.0, -1.0):
        mask = eye_mask(a, side)[:, None]
        eye = a.surface.parts["eye_left" if side > 0 else "eye_right"]
        field = field * (1 - mask) + mask * field[eye].mean(axis=0)
    return field


def _scale_eyes(a: Anatomy, amount: float) -> Points:
    out = np.zeros_like(a.p)
    for side in (1.0, -1.0):
        out += eye_mask(a, side)[:, None] * amount * (a.p - EYE * [side, 1, 1])
    return out


def _fuller_lips(a: Anatomy) -> Points:
    out = np.zeros_like(a.p)
    sign = np.where(a.upper > 0.5, 1.0, -1.0)
    middle = np.clip(1 - a.column**2, 0, 1)
    for i, loop in enumerate(lips.LOOPS):
        here = a.loop == i
        beyond = np.exp(-loop.extra / 4.0)
        red = loop.part if i >= lips.SEAL else 0.0
        out[here, 1] = (sign * middle)[here] * 1.2 * red * beyond
        out[here, 2] = middle[here] * 1.3 * np.sin(np.pi * min(red, 0.85)) * beyond
    return out


def _heavier(a: Anatomy) -> Points:
    p = a.p
    low = ramp(p[:, 1], 25, -45) * ramp(p[:, 1], -150, -95)
    cheeks = blob(p, (45, -18, 45), (40, 45, 55)) + blob(p, (-45, -18, 45), (40, 45, 55))
    under = blob(p, (0, -88, 35), (45, 30, 45))
    out = np.stack([0.055 * p[:, 0] * low, -3.5 * under, 2.0 * under], -1)
    out[:, 0] += 2.5 * np.sign(p[:, 0]) * cheeks
    out[:, 2] += 1.6 * cheeks
    keep = np.ones(len(p))
    for name in ("teeth_upper", "teeth_lower", "tongue", "shirt", "hair"):
        keep[a.surface.parts[name]] = 0.0
    return out * (keep * (1 - a.lips))[:, None]


def _ears(a: Anatomy) -> Points:
    out = np.zeros_like(a.p)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        index = a.surface.parts[f"ear_{side}"]
        root = np.array([64.0 * sign, 20.0, 0.0])
        out[index] = 0.07 * (a.p[index] - root)
    return out
