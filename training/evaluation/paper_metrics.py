"""The figures of the paper's table 1, with every choice that it leaves open written down.

Sun et al. 2024, section 4.3, names the metrics and gives neither formulas nor code.  Users of the
released code who took a formula from elsewhere got figures a thousand times off, because some
scripts square the distances.  So each figure here states its source, its unit and what was chosen,
and the other convention is computed beside it.

Vertices are metres, of the face with the head rotation set to zero; motion is raw, (n, D) with D =
expression channels, head rotation (3, radians) if there is one, jaw.  R runs are R samples of one
clip that differ in their noise alone.  Pure numpy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from head.errors import PosetalkError
from head.rig import Head
from head.skinning import skin

BEAT_SMOOTHING = 2.0
"""Frames: deviation of the Gaussian over the head's speed before its minima are read.  Li et al.
2022 take 5 frames at 60 a second, which is the same time."""
BEAT_WIDTH = 1.25
"""Frames: deviation of the match of two beats.  Li et al. 2022 take 3 frames at 60 a second."""
REGIONS = ("lips", "upper_face", "lip_gap_upper", "lip_gap_lower")

T_975 = (
    12.706,
    4.303,
    3.182,
    2.776,
    2.571,
    2.447,
    2.365,
    2.306,
    2.262,
    2.228,
    2.201,
    2.179,
    2.160,
    2.145,
    2.131,
    2.120,
    2.110,
    2.101,
    2.093,
    2.086,
    2.080,
    2.074,
    2.069,
    2.064,
    2.060,
    2.056,
    2.052,
    2.048,
    2.045,
    2.042,
)
"""Student's t, 97.5 %, for 1 to 30 degrees of freedom."""

Array = NDArray[np.floating[Any]]


class PaperMetricError(PosetalkError, ValueError):
    """Motion or a head that cannot be measured; one line."""


@dataclass(frozen=True, eq=False)
class Face:
    """The part of a head that the figures look at, cheap to skin.

    Attributes:
        part: the head with these vertices only.
        lips: region `lips` (LVE); upper: region `upper_face` (FDD): indices into `part`.
        gap_upper, gap_lower: pairs of inner-lip vertices (MOD).
    """

    part: Head
    lips: NDArray[np.int64]
    upper: NDArray[np.int64]
    gap_upper: NDArray[np.int64]
    gap_lower: NDArray[np.int64]

    @staticmethod
    def of(head: Head) -> Face:
        """The masks of a head, which are the head's own regions.

        Raises:
            PaperMetricError: it has no such region.
        """
        for name in REGIONS:
            if name not in head.regions or not len(head.regions[name]):
                raise PaperMetricError(f"head {head.id!r} has no region {name!r} to measure")
        every = [np.asarray(head.regions[name], np.int64) for name in REGIONS]
        chosen = np.unique(np.concatenate(every))
        lips, upper, gap_upper, gap_lower = (np.searchsorted(chosen, one) for one in every)
        return Face(head.subset(chosen), np.unique(lips), np.unique(upper), gap_upper, gap_lower)

    def vertices(self, motion: Array, shape: Array | None = None) -> Array:
        """Vertices of (..., D) motion without head rotation: (..., V, 3) metres.

        Args:
            shape: (n_shape,) raw identity; the head's own if None.
        """
        expressions = len(self.part.expression_names)
        jaw = np.zeros((*motion.shape[:-1], 3), np.float32)
        jaw[..., 0] = motion[..., -1]
        expression = motion[..., :expressions].astype(np.float32)
        identity = None
        if shape is not None:
            known = np.asarray(shape, np.float32)[: self.part.shape_count]
            identity = np.broadcast_to(known, (*motion.shape[:-1], len(known)))
        out: Array = skin(self.part, expression, jaw_pose=jaw, shape=identity)
        return out

    def opening(self, vertices: Array) -> Array:
        """Mouth opening (...,), metres: mean distance of the middle pairs of inner-lip vertices."""
        between = vertices[..., self.gap_upper, :] - vertices[..., self.gap_lower, :]
        out: Array = np.linalg.norm(between, axis=-1).mean(-1)
        return out


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


def interval(values: Sequence[float] | Array) -> tuple[float, float]:
    """Mean of R runs and half of its 95 % interval (Student's t; 0 for runs that do not differ).

    The paper says "a 95 % confidence interval" of 10 runs and not which; NaN half for one run.
    """
    numbers = np.asarray(values, np.float64)
    runs = len(numbers)
    if runs < 2:
        return float(numbers.mean()), math.nan
    t = T_975[runs - 2] if runs - 2 < len(T_975) else 1.96
    return float(numbers.mean()), float(t * numbers.std(ddof=1) / math.sqrt(runs))


@dataclass(frozen=True)
class ClipFigures:
    """What R runs of one clip measure; arrays are (R,), one value a run.

    Attributes:
        lve: mm. lve_squared: mean over frames of the largest squared distance, m^2.
        fdd: size of the signed mean, 1e-5 m. fdd_signed: 1e-5 m. fdd_squared: signed, m^2.
        mod: mm.
        ba: over the label's beats. ba_own: over the prediction's beats. NaN without head rotation.
        diversity: of the expression, 1e-4 m. head_diversity: degrees.
    """

    lve: Array
    lve_squared: Array
    fdd: Array
    fdd_signed: Array
    fdd_squared: Array
    mod: Array
    ba: Array
    ba_own: Array
    diversity: float
    head_diversity: float


PER_RUN = ("lve", "lve_squared", "fdd", "fdd_signed", "fdd_squared", "mod", "ba", "ba_own")
PER_CLIP = ("diversity", "head_diversity")


def measure_runs(face: Face, runs: Array, label: Array, shape: Array | None = None) -> ClipFigures:
    """Every figure of R runs (R, n, D) of one clip against its label (n, D).

    Args:
        shape: (n_shape,) raw identity of both.

    Raises:
        PaperMetricError: other shapes, too short, or values that are not finite.
    """
    channels = len(face.part.expression_names)
    if runs.ndim != 3 or label.ndim != 2 or runs.shape[1:] != label.shape:
        raise PaperMetricError(f"motion {runs.shape} does not fit a label {label.shape}")
    if label.shape[1] not in (channels + 1, channels + 4) or len(label) < 4:
        raise PaperMetricError(
            f"motion {label.shape}: at least 4 frames of {channels + 1} or {channels + 4} values"
        )
    if not (np.isfinite(runs).all() and np.isfinite(label).all()):
        raise PaperMetricError("motion that is not finite cannot be measured")
    ours, truth = face.vertices(runs, shape), face.vertices(label, shape)
    error = lip_vertex_error(ours, truth, face.lips)
    still = np.zeros((1, label.shape[1]), np.float32)
    rest = face.vertices(still, shape)[0, face.upper]
    moved, should = ours[:, :, face.upper] - rest, truth[:, face.upper] - rest
    signed = upper_face_dynamics_deviation(moved, should)
    seen = np.union1d(face.lips, face.upper)
    ba = own = np.full(len(runs), math.nan)
    head_spread = math.nan
    if label.shape[1] == channels + 4:
        turn = slice(channels, channels + 3)
        beats = head_beats(label[:, turn])
        every = [head_beats(run[:, turn]) for run in runs]
        ba = np.array([beat_alignment(one, beats) for one in every])
        own = np.array([beat_alignment(beats, one) if len(beats) else math.nan for one in every])
        head_spread = diversity(np.degrees(runs[:, :, None, turn]))
    return ClipFigures(
        lve=1e3 * error.mean(-1),
        lve_squared=(error**2).mean(-1),
        fdd=1e5 * np.abs(signed),
        fdd_signed=1e5 * signed,
        fdd_squared=upper_face_dynamics_deviation(moved, should, power=2),
        mod=1e3 * mouth_opening_difference(face.opening(ours), face.opening(truth)),
        ba=ba,
        ba_own=own,
        diversity=1e4 * diversity(ours[:, :, seen]),
        head_diversity=head_spread,
    )


def summarise(clips: Sequence[ClipFigures]) -> dict[str, tuple[float, float]]:
    """(mean, half of the 95 % interval) of every figure over clips.

    A run's figure is its mean over clips; the interval is over runs.  Diversity is a mean over
    clips, without an interval (NaN), as in the paper.  Clips without the figure are left out.

    Raises:
        PaperMetricError: no clips.
    """
    if not clips:
        raise PaperMetricError("no clips to measure")
    out: dict[str, tuple[float, float]] = {}
    for name in PER_RUN:
        each = np.stack([getattr(clip, name) for clip in clips])  # (clips, R)
        there = each[np.isfinite(each).all(1)]
        out[name] = interval(there.mean(0)) if len(there) else (math.nan, math.nan)
    for name in PER_CLIP:
        values = np.array([getattr(clip, name) for clip in clips])
        values = values[np.isfinite(values)]
        out[name] = (float(values.mean()) if len(values) else math.nan, math.nan)
    return out
