"""What one live setting measures over clips and seeds: lips, timing, seams, and signs of life.

Every figure is computed for each seed over all clips, then given as mean and half of the 95 %
interval over seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from head.channels import LIDS, ROTATION
from stream.frames import FPS
from training.evaluation.clips import EvaluationClip
from training.evaluation.face import Face
from training.evaluation.intervals import interval
from training.evaluation.motion_metrics import (
    Measured,
    head_speed,
    measure_vertices,
    summary,
    total,
)
from training.evaluation.paper_table.metrics import (
    lip_vertex_error,
    mouth_opening_difference,
    upper_face_dynamics_deviation,
)

Array = NDArray[np.floating[Any]]

BLINK = LIDS
SHUT, OPEN_AGAIN = 0.5, 0.3
"""A blink: the lids' mean weight rises over SHUT; the next one after it fell below OPEN_AGAIN."""

FIGURES = {
    "lve": "LVE, mm: largest distance of a lip vertex from the label's, mean over frames",
    "fdd": "FDD, 1e-5 m: size of the difference of upper-face dynamics, mean over clips",
    "mod": "MOD, mm: difference of the mouth opening, mean over frames",
    "closures": "P/B/M that close where the label's do, %",
    "vowels_closed": "vowel middles with closed lips, %",
    "jaw_r": "correlation of the jaw with the label's, non-silent frames",
    "seam": "99th percentile of frame-to-frame jumps at hops over that elsewhere; 1 = no seam",
    "head_range": "range of the head's rotation (5th to 95th percentile) over the label's",
    "head_jitter": "change of the head's speed from frame to frame over the label's",
    "blinks": "blinks a minute",
}
"""Figures of the curves, in the order of the tables."""


def blinks(motion: Array) -> int:
    """Blinks in (n, D) raw motion."""
    lids = motion[:, BLINK].mean(1)
    count, shut = 0, False
    for weight in lids:
        if not shut and weight > SHUT:
            count, shut = count + 1, True
        elif shut and weight < OPEN_AGAIN:
            shut = False
    return count


def head_range(motion: Array) -> float:
    """Degrees between the 5th and 95th percentile of the rotation, norm over the axes."""
    low, high = np.percentile(np.degrees(motion[:, ROTATION]), (5, 95), axis=0)
    return float(np.linalg.norm(high - low))


def head_jitter(motion: Array) -> float:
    """Root mean square of the second difference of the rotation, degrees per frame^2."""
    second = np.degrees(np.diff(motion[:, ROTATION], n=2, axis=0))
    return float(np.sqrt((second**2).sum(1).mean()))


def jumps(vertices: Array, motion: Array) -> Array:
    """Frame-to-frame jump, (n - 1,): lips' largest step in mm plus the head's in degrees."""
    lips = 1e3 * np.linalg.norm(np.diff(vertices, axis=0), axis=-1).max(-1)
    out: Array = lips + head_speed(motion)
    return out


def seam(jump: Sequence[Array], hop: int) -> float:
    """99th percentile of the jumps at hops over that elsewhere; NaN where every frame is at one."""
    at = [np.arange(1, len(one) + 1) % hop == 0 for one in jump]
    there = np.concatenate([one[mask] for one, mask in zip(jump, at, strict=True)])
    elsewhere = np.concatenate([one[~mask] for one, mask in zip(jump, at, strict=True)])
    if not len(there) or not len(elsewhere):
        return math.nan
    usual = np.percentile(elsewhere, 99)
    return float(np.percentile(there, 99) / usual) if usual > 1e-9 else math.nan


def counts(face: Face, clips: Sequence[EvaluationClip]) -> dict[str, int]:
    """Closures that the labels make and vowel middles, over all clips."""
    parts = []
    for clip in clips:
        truth = face.vertices(clip.label)
        parts.append(
            measure_vertices(face.part, truth, truth, clip.label, clip.label, clip.phones, 1)
        )
    whole = total(parts)
    return {"closures": whole.closures, "vowels": whole.vowels}


def live_figures(
    face: Face, motion: Array, clips: Sequence[EvaluationClip], hop: int
) -> dict[str, tuple[float, float]]:
    """(mean, half of the 95 % interval over seeds) of every figure in FIGURES.

    Args:
        motion: (clips, seeds, n, D) raw.
        hop: frames between model calls, for the seams.
    """
    labels = [clip.label for clip in clips]
    truth = [face.vertices(label) for label in labels]
    rest = face.part.template[face.upper]
    seconds = sum(len(label) for label in labels) / FPS
    ranges = sum(head_range(label) for label in labels)
    jitters = sum(head_jitter(label) for label in labels)
    each: dict[str, list[float]] = {name: [] for name in FIGURES}
    for seed in range(motion.shape[1]):
        parts: list[Measured] = []
        own: dict[str, list[Any]] = {name: [] for name in ("lve", "fdd", "mod", "jumps")}
        runs = [motion[index, seed] for index in range(len(clips))]
        for run, clip, right in zip(runs, clips, truth, strict=True):
            ours = face.vertices(run)
            parts.append(
                measure_vertices(face.part, ours, right, run, clip.label, clip.phones, hop)
            )
            own["lve"].append(1e3 * lip_vertex_error(ours, right, face.lips).mean())
            moved, should = ours[:, face.upper] - rest, right[:, face.upper] - rest
            own["fdd"].append(1e5 * abs(float(upper_face_dynamics_deviation(moved, should))))
            opening, wanted = face.opening(ours), face.opening(right)
            own["mod"].append(1e3 * mouth_opening_difference(opening, wanted))
            own["jumps"].append(jumps(ours[:, face.lips], run))
        for name in ("lve", "fdd", "mod"):
            each[name].append(float(np.mean(own[name])))
        whole = total(parts)
        told = summary(whole)
        each["closures"].append(told["closures"] if whole.closures else math.nan)
        each["vowels_closed"].append(told["vowels_closed"] if whole.vowels else math.nan)
        each["jaw_r"].append(told["jaw_r"])
        each["seam"].append(seam(own["jumps"], hop))
        each["head_range"].append(sum(head_range(run) for run in runs) / max(ranges, 1e-9))
        each["head_jitter"].append(sum(head_jitter(run) for run in runs) / max(jitters, 1e-9))
        each["blinks"].append(60.0 * sum(blinks(run) for run in runs) / seconds)
    return {name: interval(values) for name, values in each.items()}
