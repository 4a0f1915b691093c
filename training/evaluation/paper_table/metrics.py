"""The formulas of the paper's table 1, with every choice that it leaves open written down.

Sun et al. 2024, section 4.3, names the metrics and gives neither formulas nor code.  Users of the
released code who took a formula from elsewhere got figures a thousand times off, because some
scripts square the distances.  So each figure here states its source, its unit and what was chosen,
and the other convention is computed beside it.

Vertices are metres, as `training.evaluation.face` has them.  R runs are R samples of one clip that
differ in their noise alone.  Pure numpy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

BEAT_SMOOTHING = 2.0
"""Frames: deviation of the Gaussian over the head's speed before its minima are read.  Li et al.
2022 take 5 frames at 60 a second, which is the same time."""
BEAT_WIDTH = 1.25
"""Frames: deviation of the match of two beats.  Li et al. 2022 take 3 frames at 60 a second."""

Array = NDArray[np.floating[Any]]


def lip_vertex_error(predicted: Array, label: Array, lips: NDArray[np.integer[Any]]) -> Array:
    """LVE of each frame, metres: the largest distance of a lip vertex from the label's.

    Richard et al. 2021 ("the maximal L2 error of all lip vertices for each frame"); the table's
    figure is its mean over frames, in mm.  Chosen: lips = the head's region, face without head
    rotation, of the clip's shape.  Other convention: some published scripts square the distance
    before the maximum and take the mean, which gives m^2 (see `ClipFigures.lve_squared`).

    Args:
        predicted, label: (..., n, V, 3).

    Returns:
        (..., n).
    """
    off = predicted[..., lips, :] - label[..., lips, :]
    out: Array = np.linalg.norm(off, axis=-1).max(-1)
    return out


def dynamics(motion: Array, power: int = 1) -> Array:
    """How much each vertex moves: deviation over time of |displacement| ** power, (..., V).

    Args:
        motion: (..., n, V, 3) displacement from the neutral face, metres.
        power: 1 as Xing et al. 2023 write it; 2 as their script computes it.
    """
    out: Array = (np.linalg.norm(motion, axis=-1) ** power).std(-2)
    return out


def upper_face_dynamics_deviation(predicted: Array, label: Array, power: int = 1) -> Array:
    """FDD, signed: mean over upper-face vertices of dynamics(label) - dynamics(predicted).

    Xing et al. 2023 (CodeTalker).  Above zero: the prediction moves less than the label.  Chosen
    for the table: the size of the clip's signed mean, so that clips do not cancel, in 1e-5 m.
    Other conventions: signed mean over clips; squared (`power` 2, m^2), a thousand times smaller.

    Args:
        predicted, label: (..., n, V_upper, 3) displacement from the neutral face, metres.

    Returns:
        (...,) metres (power 1) or square metres (power 2).
    """
    out: Array = (dynamics(label, power) - dynamics(predicted, power)).mean(-1)
    return out


def mouth_opening_difference(predicted: Array, label: Array) -> Array:
    """MOD: mean over frames of |opening - label's opening|, in the unit given: (..., n) -> (...,).

    Sun et al. 2024, section 4.3 ("the average difference in the size of the mouth opening").
    Chosen: frame by frame, size of the difference; opening as `Face.opening`.
    """
    out: Array = np.abs(predicted - label).mean(-1)
    return out


def head_beats(rotation: Array) -> NDArray[np.int64]:
    """Frames at which the head turns slowest: minima of its smoothed angular speed.

    Li et al. 2022 (kinetic velocity of the joints; here the head is the one joint).

    Args:
        rotation: (n, 3) axis-angle, radians.
    """
    speed = np.linalg.norm(np.diff(rotation, axis=0), axis=1)
    if len(speed) < 3 or speed.max() < 1e-9:
        return np.zeros(0, np.int64)
    reach = math.ceil(4 * BEAT_SMOOTHING)
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / BEAT_SMOOTHING) ** 2)
    smooth = np.convolve(np.pad(speed, reach, mode="edge"), bell / bell.sum(), mode="valid")
    slower, not_faster = smooth[1:-1] < smooth[:-2] - 1e-9, smooth[1:-1] <= smooth[2:] + 1e-9
    return np.flatnonzero(slower & not_faster) + 1  # of two equal frames the first


def beat_alignment(beats: NDArray[np.integer[Any]], reference: NDArray[np.integer[Any]]) -> float:
    """BA in 0..1: mean over reference beats of exp(-d^2 / (2 BEAT_WIDTH^2)), d to the nearest beat.

    Li et al. 2022, with the beats of the label's head in the place of the music's, as Sun et al.
    2024 do.  Chosen: mean over the label's beats, as Li et al. 2022 mean over the music's.  Other
    convention: mean over the prediction's own beats, as in AIST++ (Li et al. 2021).  No beats
    against some give 0, no reference beats NaN.  Unrelated motion reaches about 0.3 by chance: read
    it against that row of the table.
    """
    if not len(reference):
        return math.nan
    if not len(beats):
        return 0.0
    nearest = np.abs(np.asarray(reference)[:, None] - np.asarray(beats)[None]).min(1)
    return float(np.exp(-0.5 * (nearest / BEAT_WIDTH) ** 2).mean())


def diversity(runs: Array) -> float:
    """Mean distance between two runs, over pairs of runs, frames and points: (R, n, P, 3) -> unit.

    Sun et al. 2024 follow Ren et al. 2023 and give neither formula nor units.  Chosen: the mean
    pairwise L2 distance of samples from one input, of points and not of whole sequences, so that
    it does not grow with the clip.  For expression the points are the lip and upper-face vertices
    without head rotation (metres; table: 1e-4 m), for the head its rotation as one point (degrees).
    NaN for one run.
    """
    pairs = [(i, j) for i in range(len(runs)) for j in range(i)]
    if not pairs:
        return math.nan
    apart = [np.linalg.norm(runs[i] - runs[j], axis=-1).mean() for i, j in pairs]
    return float(np.mean(apart))
