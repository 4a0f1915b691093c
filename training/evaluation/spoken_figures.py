"""What is seen of speech, in seven figures: closures, vowels, rounding, jaw, life, and LVE.

LVE alone favours what is averaged: few steps, far lookahead, lips that half close. So these stand
together. Needs numpy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from head.geometry.measure import mouth_width
from head.rig import Head
from stream.frames import FPS
from training.evaluation.clips import EvaluationClip
from training.evaluation.face import Face
from training.evaluation.intervals import interval
from training.evaluation.live_figures import live_figures
from training.evaluation.motion_metrics import vertices
from training.labels.phones import SILENCE, Phone

Array = NDArray[np.floating[Any]]

ROUNDED = frozenset({"W", "UW", "OW"})
"""Sounds that narrow the mouth."""
ROUND_MM = 1.0
"""A mouth narrower than while it usually speaks by this is rounded."""

FIGURES = {
    "closures": "P, B and M that close where the label's do, %",
    "vowels_open": "vowel middles with open lips, %",
    "rounded": "W, UW and OW that narrow the mouth by 1 mm where the label's do, %",
    "jaw_r": "correlation of the jaw with the label's while it speaks",
    "head_range": "range of the head's rotation (5th to 95th percentile) over the label's",
    "blinks": "blinks a minute",
    "lve": "LVE, mm: largest distance of a lip vertex from the label's, mean over frames",
}
"""The figures, in the order of the tables, and what each is."""


def spoken_figures(
    head: Head, motion: Array, clips: Sequence[EvaluationClip], hop: int
) -> dict[str, tuple[float, float]]:
    """(mean, half of the 95 % interval over seeds) of every figure; NaN where there is none.

    Args:
        motion: (clips, seeds, n, D) raw.
        hop: frames between model calls.
    """
    told = live_figures(Face.of(head), motion, clips, hop)
    shut, spread = told["vowels_closed"]
    each = [rounded(head, motion[:, seed], clips) for seed in range(motion.shape[1])]
    every = {**told, "vowels_open": (100.0 - shut, spread), "rounded": interval(each)}
    return {name: every[name] for name in FIGURES}


def rounded(head: Head, motion: Array, clips: Sequence[EvaluationClip]) -> float:
    """The share of rounded sounds, %, of (clips, n, D) motion; NaN where the label rounds none."""
    small = head.subset(np.unique([head.landmarks["mouth_left"], head.landmarks["mouth_right"]]))
    wanted = found = 0
    for run, clip in zip(motion, clips, strict=True):
        ours, label = (_narrowing(small, one, clip.phones) for one in (run, clip.label))
        for phone in clip.phones:
            k = int(phone.middle * FPS)
            if phone.name in ROUNDED and k < len(label) and label[k] > ROUND_MM:
                wanted += 1
                found += int(ours[k] > ROUND_MM)
    return 100.0 * found / wanted if wanted else float("nan")


def _narrowing(head: Head, motion: Array, phones: Sequence[Phone]) -> Array:
    """How much narrower than usual, the median while it speaks, the mouth is: (n,) mm."""
    width = 1000.0 * np.asarray(mouth_width(head, vertices(head, motion)))
    middles = (np.arange(len(motion)) + 0.5) / FPS
    spoken = np.zeros(len(motion), bool)
    for phone in phones:
        if phone.name != SILENCE:
            spoken |= (middles >= phone.start) & (middles < phone.end)
    out: Array = np.median(width[spoken] if spoken.any() else width) - width
    return out
