"""posetalk and the loudness follower on the same sound, as curves of a mouth."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.clips import PeerClip
from benchmarks.peers.scores import RATE
from head.geometry.measure import lip_gap, mouth_width
from head.rig import builtin_head
from stream.backends.protocol import Backend
from stream.core.options import SessionOptions
from stream.core.session import Session
from stream.frames import FPS, FRAME_SAMPLES, SAMPLE_RATE
from training.evaluation.batch_rollout import Rollout, rollout
from training.evaluation.face import Face
from training.evaluation.motion_metrics import vertices

BATCH = 16
"""Clips that are made side by side."""
WIDE_OPEN_MM, NARROWED_MM = 15.0, 10.0
"""What counts as 1 of each curve; both are only compared with themselves."""
TIMED_SECONDS = 20
"""Of sound, whose cost is measured as a live session has it."""
LOUD_STEP = 320
"""Samples of one value of the loudness follower: 20 ms."""


def posetalk(model: Backend, clips: Sequence[PeerClip], lookahead: int) -> dict[str, Any]:
    """Curves of the shipped starter, shown when each frame can be there, with its cost."""
    face, options = Face.of(builtin_head()), SessionOptions(lookahead=lookahead)
    order = sorted(range(len(clips)), key=lambda at: len(clips[at].samples))
    found: dict[str, Any] = {}
    for start in range(0, len(order), BATCH):
        some = [clips[at] for at in order[start : start + BATCH]]
        longest = -(-max(len(clip.samples) for clip in some) // FRAME_SAMPLES) * FRAME_SAMPLES
        heard = [np.pad(clip.samples, (0, longest - len(clip.samples))) for clip in some]
        made = rollout(model, [Rollout(each, None, 0) for each in heard], options)
        for clip, motion in zip(some, made, strict=True):
            found[clip.id] = _curves(face, motion, lookahead, len(clip.samples))
    seconds = sum(len(clip.samples) for clip in clips) / SAMPLE_RATE
    return {"clips": found, "seconds": seconds, "cpu_share": _cost(model, clips[0], options)}


def loudness(clips: Sequence[PeerClip]) -> dict[str, Any]:
    """Curves of a mouth that opens with the sound's level, at once."""
    found, began = {}, time.process_time()
    for clip in clips:
        steps = clip.samples[: len(clip.samples) // LOUD_STEP * LOUD_STEP].reshape(-1, LOUD_STEP)
        level = 20.0 * np.log10(np.sqrt(np.mean(steps**2, axis=1)) + 1e-9)
        opening = np.clip((level + 50.0) / 35.0, 0.0, 1.0)
        opening = np.repeat(opening, RATE * LOUD_STEP // SAMPLE_RATE)
        opening = np.concatenate([[0.0, 0.0], opening])  # a step is heard once it is over
        found[clip.id] = {"open": opening, "round": np.zeros_like(opening)}
    seconds = sum(len(clip.samples) for clip in clips) / SAMPLE_RATE
    return {"clips": found, "seconds": seconds, "cpu_s": time.process_time() - began}


def _curves(face: Face, motion: NDArray[Any], lookahead: int, samples: int) -> dict[str, Any]:
    posed = face.vertices(motion)
    gap = 1000.0 * np.asarray(lip_gap(face.part, posed)) / WIDE_OPEN_MM
    small = builtin_head()
    ends = small.subset(np.unique([small.landmarks["mouth_left"], small.landmarks["mouth_right"]]))
    width = 1000.0 * np.asarray(mouth_width(ends, vertices(ends, motion)))
    narrow = (np.median(width) - width) / NARROWED_MM
    cells = samples // (SAMPLE_RATE // RATE) + 1
    # A frame is there once its own sound and what it looks ahead have been heard.
    shown = np.arange(cells) // (RATE // FPS) - 1 - lookahead
    at = np.clip(shown, 0, len(gap) - 1)
    return {"open": gap[at], "round": narrow[at]}


def _cost(model: Backend, clip: PeerClip, options: SessionOptions) -> float:
    """CPU seconds of all threads a second of sound, one live session alone."""
    session = Session(model, options=options)
    samples = np.resize(clip.samples, TIMED_SECONDS * SAMPLE_RATE)
    session.feed(samples[:SAMPLE_RATE])
    began = time.process_time()
    for start in range(SAMPLE_RATE, len(samples), SAMPLE_RATE // 100):
        session.feed(samples[start : start + SAMPLE_RATE // 100])
    return (time.process_time() - began) / (TIMED_SECONDS - 1)
