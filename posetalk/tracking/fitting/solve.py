"""From landmarks to channels: non-negative least squares of the head's own shapes, frame by frame.

The person's landmarks, pose removed, are compared with the person at rest. Lids count in openings
of the person's own eyes and irises in their own widths, so that a blink is a blink on narrow eyes.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.arkit.box import box_least_squares
from head.model import Head
from posetalk.tracking.fitting.jaw_reading import jaw_reading
from posetalk.tracking.fitting.person import CLOSED, Person, blink, eye_width, openings
from posetalk.tracking.fitting.shapes import COLUMNS, IRIS_BELIEF, JAW, Shapes, shapes_of
from posetalk.tracking.fitting.smoothing import filled, smooth
from posetalk.tracking.landmarks.points import (
    BROWS,
    IRIS,
    LIDS_LOWER,
    LIDS_UPPER,
    PLACE,
    RIGID,
    SIDES,
    UPPER_LID,
    USED,
    places,
)

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

LARGEST: Final = 1.2
"""Of a weight: people go beyond what a head was modelled for."""
SMOOTH_MOUTH: Final = 0.014
SMOOTH_BROWS: Final = 0.045
SMOOTH_GAZE: Final = 0.03
SMOOTH_POSE: Final = 0.07
"""Standard deviations in seconds, each as the part moves; lids are not smoothed."""
READING: Final = 0.6
"""Share of the jaw that is read off the lower face; the rest is as the shapes alone fit it."""


def channels(
    posed: Doubles, times: Doubles, segments: Ints, person: Person, head: Head
) -> tuple[Doubles, Doubles]:
    """Weights (n, 51), jaw last, of frames (n, U, 3) with the pose removed; and residuals (n,).

    The residual is the part of the lower face's displacement that no shape explains, in metres.
    """
    system = shapes_of(head)
    blinks = blink(posed, person.opening)
    posed = posed - blinks.mean(1)[:, None, None] * person.blink_points
    gaze = _irises(posed, blinks, segments, person, system)
    gaze = smooth(gaze, times, segments, SMOOTH_GAZE)
    lids, others = _lid_places(), _other_places()
    moved = displacements(posed, times, segments, person)
    jaws = np.clip(jaw_reading()(moved) / head.jaw_open_radians, 0.0, LARGEST)
    usual = openings(system.neutral[None])[0]
    for k, side in enumerate(SIDES):
        moved[:, lids[side], 1] *= usual[k] / person.opening[k]
    weighted = (moved * system.weights).reshape(len(moved), -1)
    right = weighted @ system.rows + IRIS_BELIEF * gaze @ system.irises - system.linear
    normal = system.normal.copy()
    # So much that the jaw, all else free, comes to lie `READING` of the way to what was read.
    belief = READING / (1 - READING) / float(np.linalg.inv(normal)[JAW, JAW])
    normal[JAW, JAW] += belief
    right[:, JAW] += belief * jaws
    out = np.zeros((len(moved), COLUMNS))
    current = np.zeros(COLUMNS)
    for k in range(len(moved)):
        current = box_least_squares(normal, right[k], current, 0.0, LARGEST)
        out[k] = current
    left = (weighted - out @ system.rows.T).reshape(moved.shape)[:, others]
    return out, np.sqrt((left[..., :2] ** 2).mean((1, 2)))


def displacements(posed: Doubles, times: Doubles, segments: Ints, person: Person) -> Doubles:
    """(n, U, 3) metres from the person at rest, smoothed as each part moves."""
    moved = np.asarray(posed - person.neutral)
    brows, others = places(BROWS + RIGID), _other_places()
    moved[:, brows] = smooth(moved[:, brows], times, segments, SMOOTH_BROWS)
    moved[:, others] = smooth(moved[:, others], times, segments, SMOOTH_MOUTH)
    return moved


def jaw_radians(weights: Doubles, head: Head) -> Doubles:
    """(n,) the jaw's angle."""
    return np.asarray(weights[:, JAW] * head.jaw_open_radians)


def _other_places() -> Ints:
    """Where neither brows, lids nor the skull are."""
    apart = np.concatenate([places(BROWS + RIGID), *_lid_places().values()])
    return np.setdiff1d(np.arange(len(USED)), apart).astype(np.int64)


def _lid_places() -> dict[str, Ints]:
    return {s: places(tuple(dict.fromkeys(LIDS_UPPER[s] + LIDS_LOWER[s]))) for s in SIDES}


def _irises(
    posed: Doubles, blinks: Doubles, segments: Ints, person: Person, system: Shapes
) -> Doubles:
    """(n, 4) metres on the head by which each iris is off its rest, the lid that rides on it added
    to its height; a shut eye keeps its gaze."""
    out = []
    for k, side in enumerate(SIDES):
        corners = places((LIDS_UPPER[side][0], LIDS_UPPER[side][-1]))
        iris, lid = PLACE[IRIS[side]], places(UPPER_LID[side])
        middle, rest = posed[:, corners].mean(1), person.neutral[corners].mean(0)
        moved = ((posed[:, iris] - middle) - (person.neutral[iris] - rest))[:, :2]
        moved *= float(eye_width(system.neutral, side) / eye_width(person.neutral, side))
        rides = posed[:, lid, 1].mean(1) - middle[:, 1] - (person.neutral[lid, 1].mean() - rest[1])
        moved[:, 1] += rides * float(openings(system.neutral[None])[0, k] / person.opening[k])
        seen = blinks[:, k] < CLOSED
        out.append(filled(moved, seen, segments) if seen.any() else np.zeros_like(moved))
    return np.concatenate(out, axis=1)
