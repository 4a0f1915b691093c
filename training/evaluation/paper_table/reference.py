"""What measuring needs of torch: paper mode, style encoders, and mel columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from diffposetalk.bundle.bundle import Bundle
from diffposetalk.network.mel_front import FLOOR_DB, PRIOR_LEVEL_DB
from diffposetalk.paper_mode.pipeline import (
    Loaded,
    PaperClip,
    PaperSettings,
    SamplerName,
    animate_clips,
)
from training.evaluation.batch_rollout import Rollout
from training.speech.hearings import columns_of

FloatArray = NDArray[np.float32]
BATCH = 32
"""Clips and seeds in one batch of paper mode."""


def paper_motion(
    bundle: Bundle,
    rollouts: Sequence[Rollout],
    sampler: SamplerName = "ancestral",
    steps: int | None = None,
    audio_guidance: float | None = None,
    style_guidance: float | None = None,
) -> FloatArray:
    """The motion of rollouts of one length in paper mode: (rollouts, n, D) raw.

    Args:
        sampler, steps, audio_guidance, style_guidance: as
            `diffposetalk.paper_mode.pipeline.PaperSettings`.

    Raises:
        ValueError: settings that cannot be.
    """
    loaded = Loaded.of(bundle)
    settings = PaperSettings(sampler, steps, audio_guidance, style_guidance)
    out: list[FloatArray] = []
    for first in range(0, len(rollouts), BATCH):
        rows = []
        for each in rollouts[first : first + BATCH]:
            style = each.style
            if isinstance(style, str) and style not in bundle.styles:
                style = None
            rows.append(PaperClip(each.samples, each.shape, style, each.seed))
        out += animate_clips(loaded, rows, settings)
    return np.stack(out)


def encoded_style(bundle: Bundle, motion: FloatArray) -> FloatArray | None:
    """The style of (n, 54) raw motion as the bundle's encoder sees it; None if it takes no style.

    Raises:
        BundleError: a bundle without a style encoder.
    """
    spec, statistics = bundle.spec, bundle.statistics
    if not spec.use_style:
        return None
    if not spec.head_rotation:
        motion = np.concatenate([motion[:, : spec.n_expression], motion[:, -1:]], axis=1)
    normal = (motion - statistics.motion_mean) / statistics.motion_std
    with torch.inference_mode():
        vector = bundle.style_encoder()(torch.from_numpy(normal.astype(np.float32))[None])
    found: FloatArray = vector[0].numpy()
    return found


def heard_columns(samples: FloatArray, n_mels: int = 80) -> NDArray[np.float16]:
    """Mel columns of (640 n,) samples as the live encoder normalises them: (4 n, n_mels)."""
    found: NDArray[np.float16] = columns_of(samples, n_mels, 1.0, [PRIOR_LEVEL_DB, 0.0, FLOOR_DB])
    return found
