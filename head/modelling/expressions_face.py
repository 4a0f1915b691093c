"""The channels of lids, brows, nose and cheeks, in millimetres per unit (left and unpaired)."""

from __future__ import annotations

import numpy as np

from head.modelling.anatomy import Anatomy, blob, ramp
from head.modelling.expressions_mouth import Deltas
from head.modelling.parts import eyes, lids
from head.modelling.surface.field import Points

# How far upper and lower lid travel towards each other.
LIDS = {
    "eyeBlinkLeft": (1.04, 1.0),
    "eyeSquintLeft": (0.16, 0.95),
    "eyeWideLeft": (-0.24, -0.22),
    "eyeLookDownLeft": (0.42, -0.25),
    "eyeLookUpLeft": (-0.16, 0.0),
}


def face(a: Anatomy, lashes: float = 1.0) -> Deltas:
    """Channels by name; of a pair only the left one. `lashes` is the factor on their length."""
    d = {name: _lid_travel(a, *travel, lashes) for name, travel in LIDS.items()}
    p, x, y = a.p, a.p[:, 0], a.p[:, 1]
    d["eyeSquintLeft"] += _v(
        blob(p, (33, 10, 64), (26, 22, 30)) * a.face() * _off_lids(a), 0, 2.0, 0.8
    )
    d["cheekSquintLeft"] = _v(
        blob(p, (37, 4, 64), (30, 24, 32)) * a.face() * _off_lids(a), 0.4, 5.5, 1.8
    )
    d["cheekSquintLeft"] += _lid_travel(a, 0.0, 0.55, lashes)
    foot = 39 - 12 * ramp(np.abs(x), 17, 7)  # between the eyes the skin gives way further down
    band = ramp((y - foot) / (52 - foot), 0, 1) * ramp(y, 100, 62) * a.face()
    hood = blob(p, (33, 44, 72), (24, 9, 20)) * a.skin * _off_lids(a)
    side = ramp(x, -6, 8)
    inner, outer = ramp(x, 30, 8), ramp(x, 8, 42) * ramp(x, 90, 62)
    d["browDownLeft"] = _v(band * side * ramp(x, 66, 30), -1.0, -6.0, 0.6)
    d["browDownLeft"] += _v(band * side * inner, -1.6, -1.6, 1.0) + _v(hood, 0, -1.4, 0.3)
    d["browInnerUp"] = _v(band * ramp(np.abs(x), 38, 8), 0, 7.5, 0.4)
    d["browOuterUpLeft"] = _v(band * outer, 0.4, 7.0, 0.0) + _v(hood * ramp(x, 22, 40), 0, 1.0, 0)
    wing = blob(p, (13, -2, 86), (13, 15, 20)) * a.skin * ramp(x, 0, 7)
    d["noseSneerLeft"] = _v(wing, 1.0, 5.6, -0.4)
    d["noseSneerLeft"] += _v(
        blob(p, (20, -17, 78), (16, 16, 22)) * a.skin * a.upper * ramp(x, 0, 12), 0.3, 2.6, 0.8
    )
    d["noseSneerLeft"] += _v(blob(p, (12, 26, 78), (12, 18, 18)) * a.face() * side, 0.5, 1.8, 0.6)
    return d


def _v(mask: Points, x: float, y: float, z: float) -> Points:
    return np.asarray(mask[:, None] * np.array([x, y, z]))


def _off_lids(a: Anatomy) -> Points:
    """0 on the lids proper, so that cheeks and brows never pull them off the eyeball."""
    mask = np.ones(len(a.p))
    hold = (1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.45, 0.2, 0.0)
    for index in (a.surface.lids, a.surface.mirror[a.surface.lids]):
        for row, amount in zip(index, hold, strict=True):
            mask[row] = 1 - amount
    return mask


def _lid_travel(a: Anatomy, upper: float, lower: float, long: float) -> Points:
    """Lids of the left eye and the lashes on them."""
    rest, moved = lids.loops(), lids.loops(upper, lower)
    out = np.zeros_like(a.p)
    out[a.surface.lids] = moved - rest
    still = eyes.lashes(rest, long=long).vertices
    shut = float(np.clip(upper, 0, 1))
    out[a.surface.parts["lash_left"]] = eyes.lashes(moved, shut, long).vertices - still
    return out
