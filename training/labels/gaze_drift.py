"""Eyes and a head that have add_gaze_drift off and come back: what a past of one's own must teach.

A model that goes on from its own frames adds up its errors, and nothing in a recorded or labelled
past tells how to come back.  For the lips the sound does; eyes and head must have been elsewhere.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from head.channels import ROTATION
from head.eye_turns import AXES

SHARE = 0.5
"""Windows whose past looks elsewhere; of as many, the head is turned."""
ELSEWHERE = 0.3
"""How far, in channel weights (standard deviation; 0.3 sideways are 10 degrees)."""
EYES_RETURN, HEAD_RETURNS = 10.0, 25.0
"""Frames over which they come back (time constants of an exponential)."""
TURNED = np.radians([4.0, 6.0, 3.0])
"""How far the head: pitch, yaw and roll (standard deviations, radians)."""


def add_gaze_drift(
    motion: Tensor, T_p: int, seen: Tensor, mean: Tensor, std: Tensor, rng: np.random.Generator
) -> Tensor:
    """Windows whose eyes or head begin elsewhere and come back: (B, T_p + n, D) normalised motion.

    All of the past is off by the same; from the window's first frame on that fades.

    Args:
        motion: normalised by mean and std, (D,).
        T_p: frames of the past.
        seen: (B,) bool, windows whose past tells where they are; the others stay.
        rng: draws the windows, and where they look and turn.
    """
    batch, frames, _ = motion.shape
    since = np.maximum(np.arange(frames) - (T_p - 1), 0)[None, :, None]

    def off(size: NDArray[np.floating], over: float) -> tuple[NDArray[np.bool_], Tensor]:
        chosen = (rng.random(batch) < SHARE) & seen.numpy()
        begin = size * rng.standard_normal((batch, 1, len(size))) * chosen[:, None, None]
        return chosen, torch.from_numpy((begin * np.exp(-since / over)).astype(np.float32))

    looking, aside = off(np.full(2, ELSEWHERE), EYES_RETURN)
    out = motion.clone()
    for axis, (toward, away) in enumerate(AXES):
        ends = [toward, away]
        raw = motion[..., ends] * std[ends] + mean[ends]
        angle = raw[..., 0] - raw[..., 1] + aside[..., axis // 2]
        weights = torch.stack([angle, -angle], -1).clamp(0.0, 1.0)
        out[..., ends] = (weights - mean[ends]) / std[ends]
    out = torch.where(torch.from_numpy(looking)[:, None, None], out, motion)
    _, turned = off(TURNED, HEAD_RETURNS)
    out[..., ROTATION] += turned / std[ROTATION]
    return out
