"""The channels of the mouth and jaw, in millimetres per unit."""

from __future__ import annotations

import numpy as np

from head.channels import MOUTH_CLOSE_RADIANS
from head.modelling.anatomy import Anatomy, blob, bump, ramp
from head.modelling.parts import lips
from head.modelling.surface.field import Points
from head.modelling.weights import JAW, JOINTS_MM

Deltas = dict[str, Points]


def mouth(a: Anatomy, weights: Points) -> Deltas:
    """Channels by name; of a pair only the left one."""
    p, x = a.p, a.p[:, 0]
    near, up, low, left = a.lips, a.upper, a.lower, a.left
    middle = np.clip(1 - a.column**2, 0, 1)
    to_corner = np.minimum(a.column, 1.0) ** 2.0 * ramp(x, 0, 8)
    corner = near * to_corner
    cheek = blob(p, (38, -2, 64), (34, 34, 40)) * a.face()
    jaw = weights[:, JAW]
    d: Deltas = {}

    wide = np.where(a.loop >= 0, near, near**1.3)
    d["mouthSmileLeft"] = _v(corner, 7.0, 9.5, -5.0) + _v(cheek * ramp(x, 6, 30), 1.5, 4.5, 2.5)
    d["mouthSmileLeft"] += _v(near * low * left * middle, 0, 0.8, -1.0) + _v(
        near * up * left * middle, 0, 0.5, -1.0
    )
    d["mouthFrownLeft"] = _v(corner, 1.0, -8.5, -2.0)
    d["mouthFrownLeft"] += _v(near * left * middle, 0, 0.6, 0.3)
    d["mouthDimpleLeft"] = _v(corner, 4.5, 0.6, -4.5) + _v(
        blob(p, (31, -33, 70), (11, 13, 16)) * a.skin, 0.5, 0, -1.8
    )
    d["mouthStretchLeft"] = _v(corner, 8.5, -3.5, -4.5) + _v(near * low * left, 0.0, -1.2, -0.5)

    squeeze = near * (1 - 0.12 * a.column)
    d["mouthPucker"] = _toward_middle(x, wide, 0.41) + _v(squeeze, 0, 0, 9.0)
    d["mouthPucker"] += _thicken(a, 0.9) + _v(bump(np.abs(np.abs(x) - 36), 20) * near, 0, 0, -2.5)
    opening = near * np.clip(1 - (a.column * 0.98) ** 2, 0, 1)
    d["mouthFunnel"] = _toward_middle(x, wide, 0.30) + _v(squeeze, 0, 0, 6.5)
    d["mouthFunnel"] += _v(opening * up, 0, 3.4, 1.0) + _v(opening * low, 0, -4.2, 1.2)
    for name, back in (("mouthPucker", 0.7), ("mouthFunnel", 1.0)):  # rounded lips hide teeth
        d[name] += _v(_part(a, "teeth_lower"), 0, -4.8 * back, -2.0 * back)
        d[name] += _v(_part(a, "teeth_upper"), 0, 3.2 * back, -2.0 * back)
        d[name] += _v(_part(a, "tongue"), 0, -4.0 * back, -6.0 * back)
    d["mouthLeft"] = _v(near, 9.0, 0, 0) + _v(corner, 0, 1.5, -4.0)
    d["mouthLeft"] += _v(near * np.clip(-x / 26, 0, 1.2), 0, -0.4, 1.5)

    d["mouthRollLower"] = _roll(a, low, -1.0)
    d["mouthRollUpper"] = _roll(a, up, 1.0)
    chin = blob(p, (0, -60, 82), (24, 18, 26)) * a.skin
    flat = np.clip(1 - (a.column * 0.9) ** 3, 0, 1)
    d["mouthShrugLower"] = _v(near * low * flat, 0, 4.2, 2.2) + _v(near * up * flat, 0, 3.0, 1.0)
    d["mouthShrugLower"] += _v(chin, 0, 3.0, 0.8)
    d["mouthShrugUpper"] = _v(near * up * flat, 0, 3.4, 2.2) + _v(near * low * flat, 0, 1.6, 0.5)
    d["mouthPressLeft"] = (_press(a) + _v(corner, 0.2, -0.9, -2.6)) * left[:, None]
    d["mouthLowerDownLeft"] = _v(near * low * _half(a, 0.9), 0.8, -7.6, 0.4)
    d["mouthUpperUpLeft"] = _v(near * up * _half(a, 0.9), 0.5, 6.2, 0.6)
    d["mouthUpperUpLeft"] += _v(
        blob(p, (21, -14, 76), (18, 22, 26)) * a.skin * left * up, 0, 2.0, 1.2
    )

    d["jawForward"] = _v(jaw, 0, 0, 5.5) + _v(near * up, 0, 0, 1.6)
    d["jawLeft"] = _v(jaw, 8.0, 0, 0) + _v(near * up * 0.35, 4.0, 0, 0)
    d["mouthClose"] = close(a, weights, JOINTS_MM[JAW])
    d["tongueOut"] = _tongue(a)
    return d


def _v(mask: Points, x: float, y: float, z: float) -> Points:
    return np.asarray(mask[:, None] * np.array([x, y, z]))


def _part(a: Anatomy, name: str) -> Points:
    """(V,) one on the vertices of a part."""
    out = np.zeros(len(a.p))
    out[a.surface.parts[name]] = 1.0
    return out


def _toward_middle(x: Points, mask: Points, share: float) -> Points:
    return np.stack([-share * x * mask, np.zeros_like(x), np.zeros_like(x)], -1)


def _half(a: Anatomy, reach: float) -> Points:
    """The left half of a lip, full between the middle and the corner."""
    hump = np.clip(1 - np.clip(a.column / (reach * 1.15), 0, 1) ** 3, 0, 1)
    return np.asarray(hump * ramp(a.p[:, 0], -7, 7))


def _red(a: Anatomy) -> Points:
    """0 at the line where the lips meet, 1 at the border of the red, fading beyond."""
    part = np.zeros(len(a.p))
    for i, loop in enumerate(lips.LOOPS):
        part[a.loop == i] = loop.part
    return part


def _thicken(a: Anatomy, amount: float) -> Points:
    """Both lips turn outward and get fuller."""
    part, middle = _red(a), np.clip(1 - a.column**2, 0, 1)
    red = np.where(
        (a.loop > lips.SEAL) & (a.loop <= lips.BORDER + 1),
        np.sin(np.pi * np.clip(part, 0, 1) * 0.7),
        0,
    )
    sign = np.where(a.upper > 0.5, 1.0, -1.0)
    return np.stack([0 * red, sign * 0.9 * amount * part * middle, 1.2 * amount * red * middle], -1)


def _roll(a: Anatomy, mask: Points, up: float) -> Points:
    """One lip turns in over the teeth; `up` is +1 for the upper lip."""
    part = _red(a)
    flat = np.clip(1 - a.column**4, 0, 1) * mask * a.lips
    on_red = (a.loop >= lips.SEAL) & (a.loop <= lips.BORDER)
    inner = (a.loop >= 0) & (a.loop < lips.SEAL)
    y = np.where(on_red, -up * (1.8 + 3.2 * part), np.where(inner, 0.3 * up, -up * 2.4))
    z = np.where(on_red, -4.4 + 0.6 * part, np.where(inner, -3.0, -1.6))
    fade = np.where(on_red | inner, 1.0, a.lips**1.5)
    return np.stack([0 * y, flat * fade * y, flat * fade * z], -1)


def _press(a: Anatomy) -> Points:
    """Both lips flatten against each other and show less red."""
    part = _red(a)
    flat = np.clip(1 - a.column**3, 0, 1) * a.lips
    sign = np.where(a.upper > 0.5, -1.0, 1.0)
    on_red = (a.loop >= lips.SEAL) & (a.loop <= lips.BORDER)
    y = sign * np.where(on_red, 2.0 + 0.7 * part, 1.6 * a.lips)
    z = np.where(on_red, -2.0 - 0.9 * np.sin(np.pi * part), -0.8)
    bulge = (
        blob(a.p, (0, -48, 86), (22, 9, 20)) * a.skin
        + blob(a.p, (0, -21, 88), (22, 7, 20)) * a.skin
    )
    return np.stack([0 * y, flat * y, flat * z + 0.8 * bulge], -1)


def close(a: Anatomy, weights: Points, hinge: Points) -> Points:
    """Bring the lips together over a jaw at MOUTH_CLOSE_RADIANS; exact on the line of the lips.

    `hinge` is where the jaw turns (3,).

    The joint turns after the channels, so the wanted motion is divided by the blended rotation.
    """
    c, s = np.cos(MOUTH_CLOSE_RADIANS), np.sin(MOUTH_CLOSE_RADIANS)
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    w = weights[:, JAW][:, None]
    posed = (1 - w) * a.p + w * ((a.p - hinge) @ turn.T + hinge)
    seal = a.surface.lips[lips.SEAL]
    half = lips.SEGMENTS + 1
    top, bottom = posed[seal[:half]], posed[seal[::-1][:half]]
    goal = top + 0.24 * (bottom - top)
    knots = lips.along()[0][:half]
    column = np.clip(a.column, 0, 1)

    def offset(wanted: Points) -> Points:
        out = np.stack([np.interp(column, knots, wanted[:, k]) for k in range(3)], -1)
        out[:, 0] *= np.sign(a.p[:, 0])
        return out

    shift = a.upper[:, None] * offset(goal - top) + a.lower[:, None] * offset(goal - bottom)
    strip = (a.loop >= 2) & (a.loop <= lips.BORDER + 1)
    lip_up = np.where(a.upper > 0.5, 1.0, 0.0)[:, None]
    exact = lip_up * offset(goal - top) + (1 - lip_up) * offset(goal - bottom)
    shift = np.where(strip[:, None], exact, shift)
    fade = np.where(a.upper > 0.5, a.lips**1.5, a.lips)
    blend = (1 - w)[:, :, None] * np.eye(3) + w[:, :, None] * turn
    return np.asarray(np.linalg.solve(blend, (fade[:, None] * shift)[:, :, None])[:, :, 0])


def _tongue(a: Anatomy) -> Points:
    """The tongue slides forward and up, its tip most; the root stays."""
    index = a.surface.parts["tongue"]
    z = a.p[index, 2]
    along = np.clip((z - 26) / 45, 0, 1)
    out = np.zeros_like(a.p)
    out[index, 1] = 12.5 * along**1.3
    out[index, 2] = 48.0 * along**1.2
    out[index, 0] = -0.12 * a.p[index, 0] * along
    return out
