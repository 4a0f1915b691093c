"""Every figure of the paper's table 1 of a clip's runs, and over clips.

R runs are R samples of one clip that differ in their noise alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.evaluation.face import Array, Face, PaperMetricError
from training.evaluation.intervals import interval
from training.evaluation.paper_table.metrics import (
    beat_alignment,
    diversity,
    head_beats,
    lip_vertex_error,
    mouth_opening_difference,
    upper_face_dynamics_deviation,
)


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
