"""Eyes that have wandered off and come back: what a past of one's own must teach.

A model that goes on from its own frames adds up its errors, and nothing in a recorded or labelled
past tells how to come back.  For the lips the sound does; the eyes need to have been elsewhere.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from head.channels import CHANNELS

SHARE = 0.5
"""Windows whose past looks elsewhere."""
ELSEWHERE = 0.3
"""How far, in channel weights (standard deviation; 0.3 sideways are 10 degrees)."""
RETURN_FRAMES = 10.0
"""Over so many frames the eyes come back."""

AXES = tuple(
    (CHANNELS.index(toward), CHANNELS.index(away))
    for toward, away in (
        ("eyeLookOutLeft", "eyeLookInLeft"), ("eyeLookInRight", "eyeLookOutRight"),
        ("eyeLookUpLeft", "eyeLookDownLeft"), ("eyeLookUpRight", "eyeLookDownRight"),
    )
)  # fmt: skip
"""Channel pairs of one signed angle each: both eyes to the left, then up."""


def wandered(
    motion: Tensor, T_p: int, seen: Tensor, mean: Tensor, std: Tensor, rng: np.random.Generator
) -> Tensor:
    """Windows whose eyes begin elsewhere and come back: (B, T_p + n, D) normalised motion.

    All of the past is off by the same; from the window's first frame on that fades.

    Args:
        motion: normalised by mean and std, (D,).
        T_p: frames of the past.
        seen: (B,) bool, windows whose past tells where the eyes are; the others stay.
        rng: draws the windows that look elsewhere, and where.
    """
    batch, frames, _ = motion.shape
    chosen = (rng.random(batch) < SHARE) & seen.numpy()
    off = ELSEWHERE * rng.standard_normal((batch, 1, 2)) * chosen[:, None, None]
    since = np.maximum(np.arange(frames) - (T_p - 1), 0)
    fading = torch.from_numpy((off * np.exp(-since / RETURN_FRAMES)[:, None]).astype(np.float32))
    out = motion.clone()
    for axis, (toward, away) in enumerate(AXES):
        ends = [toward, away]
        raw = motion[..., ends] * std[ends] + mean[ends]
        angle = raw[..., 0] - raw[..., 1] + fading[..., axis // 2]
        turned = torch.stack([angle, -angle], -1).clamp(0.0, 1.0)
        out[..., ends] = (turned - mean[ends]) / std[ends]
    return torch.where(torch.from_numpy(chosen)[:, None, None], out, motion)
