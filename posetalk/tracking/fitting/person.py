"""A person at rest, from the calmest frames, and what the tracker itself does at every blink.

Points are those of `USED`, in the place and size of the built-in head, pose removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.errors import WrongValue
from head.model import Head
from posetalk.tracking.fitting import skull
from posetalk.tracking.landmarks.points import (
    LIDS,
    LIDS_UPPER,
    LOWER,
    LOWER_LID,
    PLACE,
    RIGID,
    SIDES,
    UPPER_LID,
    places,
    vertices_of,
)

Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]

CALM: Final = 0.2
"""Share of the frames, those with the lips nearest to each other, that the mouth at rest is of."""
CLOSED: Final = 0.45
"""Blink from which an eye counts as shut: where it looks cannot be seen."""
_DOUBT: Final = 2.0
"""Squared blinks that must be seen before their side effects are believed by half."""
_SLOW: Final = 25
"""Frames over which what is slower than a blink is taken away."""


@dataclass(frozen=True, eq=False)
class Person:
    """What is the same in all frames of one person.

    Attributes:
        skull: (P, 3) the rigid points.
        neutral: (U, 3) all points at rest.
        opening: (2,) the usual height of the left and the right eye's opening.
        rest: (3, 3) the rotation of the head at rest, seen from the camera.
        blink_points: (U, 3) how much the tracker's other points move at a full blink.
        blink_turn: (3,) how much the rotation turns at a full blink, axis-angle.
    """

    skull: Doubles
    neutral: Doubles
    opening: Doubles
    rest: Doubles
    blink_points: Doubles
    blink_turn: Doubles


def meet(points: Doubles, known: Bools, head: Head) -> Person:
    """The person in frames (n, U, 3) as tracked (y up, z to the camera), where `known` (n,).

    Raises:
        ValueError: no frame is known.
    """
    if not known.any():
        raise WrongValue("no frame is known")
    good = points[known]
    rigid = places(RIGID)
    like = head.template[[vertices_of(head.id)[k] for k in RIGID]].astype(np.float64)
    bones = skull.mean_skull(good[:, rigid], like)
    fit = skull.similarity(bones, good[:, rigid])
    posed = skull.undo(good, fit)
    opening = np.maximum(np.median(openings(posed), axis=0), 1e-4)
    blinks = blink(posed, opening).mean(1)
    rest = skull.mean_rotation(fit[0])
    turns = skull.axis_angle(fit[0] @ rest.T)
    others = np.ones(points.shape[1], bool)
    others[places(LIDS)] = False
    moved = _side_effect(posed.reshape(len(posed), -1), blinks).reshape(points.shape[1:])
    moved = moved * others[:, None]
    calm = posed - blinks[:, None, None] * moved
    return Person(bones, _neutral(calm), opening, rest, moved, _side_effect(turns, blinks))


def openings(posed: Doubles) -> Doubles:
    """(n, 2) height of the opening of the left and the right eye."""
    out = []
    for side in SIDES:
        upper, lower = places(UPPER_LID[side]), places(LOWER_LID[side])
        gap = posed[:, upper].mean(1) - posed[:, lower].mean(1)
        out.append(np.hypot(gap[:, 0], gap[:, 1]))
    return np.stack(out, -1)


def blink(posed: Doubles, opening: Doubles) -> Doubles:
    """(n, 2) how far each eye is shut, 0..1."""
    return np.clip(1 - openings(posed) / opening, 0, 1)


def eye_width(posed: Doubles, side: str) -> Doubles:
    """(...,) distance between the corners of an eye, of points (..., U, 3)."""
    inner, outer = PLACE[LIDS_UPPER[side][0]], PLACE[LIDS_UPPER[side][-1]]
    return np.asarray(np.linalg.norm(posed[..., inner, :] - posed[..., outer, :], axis=-1))


def _side_effect(values: Doubles, blinks: Doubles) -> Doubles:
    """(d,) by how much values (n, d) change at a full blink, as far as this film tells.

    The tracker turns the head and moves the chin a little whenever the eyes close. Least squares
    over what is faster than a second, with a ridge: without blinks it is zero.
    """
    fast = blinks - _slow(blinks[:, None])[:, 0]
    return np.asarray(fast @ (values - _slow(values)) / (fast @ fast + _DOUBT))


def _slow(values: Doubles) -> Doubles:
    """(n, d) means over a second around each frame."""
    width = min(_SLOW, len(values) // 2 * 2 - 1)
    if width < 3:
        return np.broadcast_to(values.mean(0), values.shape)
    half = width // 2
    padded = np.pad(values, ((half + 1, half), (0, 0)), mode="edge")
    sums = np.cumsum(padded, axis=0)
    return np.asarray((sums[width:] - sums[:-width]) / width)


def _neutral(posed: Doubles) -> Doubles:
    """(U, 3): eyes and brows as they mostly are, the mouth as it is when the lips are together."""
    out = np.median(posed, axis=0)
    gap = np.linalg.norm(posed[:, PLACE[13]] - posed[:, PLACE[14]], axis=1)
    wide = np.linalg.norm(posed[:, PLACE[61]] - posed[:, PLACE[291]], axis=1)
    low = gap <= np.quantile(gap, CALM)
    off = np.abs(wide - np.median(wide[low]))
    low &= off <= np.quantile(off[low], 0.7)  # neither smiling nor rounded among them
    lower = places(LOWER)
    out[lower] = np.median(posed[low][:, lower], axis=0)
    return np.asarray(out)
