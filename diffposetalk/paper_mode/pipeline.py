"""Paper mode: a whole clip as the released code animates it, the reference of everything live.

The clip is normalised and heard at once.  Windows of T_w frames follow each other without overlap,
each continuing the last T_p frames of the one before; all begin with the same noise (section 3.4 of
Sun et al. 2024, and the released demo).  Slow, and it needs the whole clip: not for live use.

Where this differs on purpose: samples beyond the last window that would make one more HuBERT frame
(320 to 639 of them) are cut off, while the released code squeezes all features a little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch

from diffposetalk.bundle.bundle import Bundle
from diffposetalk.paper_mode.inputs import (
    RELEASED,
    SAMPLERS,
    Loaded,
    PaperClip,
    PaperSettings,
    Progress,
    SamplerName,
    check_settings,
)
from diffposetalk.paper_mode.windows import (
    ClipState,
    clip_windows,
    sample_window,
    whole_clip_features,
)
from diffposetalk.spec import FloatArray

__all__ = [
    "RELEASED",
    "SAMPLERS",
    "Loaded",
    "PaperClip",
    "PaperSettings",
    "SamplerName",
    "animate_clip",
    "animate_clips",
    "check_settings",
    "clip_windows",
    "whole_clip_features",
    "windows",
]


def animate_clip(
    bundle: str | Bundle | Loaded,
    samples: FloatArray,
    shape: FloatArray | None = None,
    style: str | FloatArray | None = None,
    *,
    sampler: SamplerName = "ancestral",
    steps: int | None = None,
    audio_guidance: float | None = None,
    style_guidance: float | None = None,
    threshold: float | None = None,
    initial_noise: FloatArray | None = None,
    step_noise: FloatArray | None = None,
    seed: int = 0,
    normalised: bool = False,
) -> FloatArray:
    """Animate one clip: (n // 640, D) motion.

    Args:
        bundle: a name or folder; or `Loaded.of(...)`, which is loaded once for many calls.
        samples, shape, style, initial_noise, step_noise, seed: see `PaperClip`.
        sampler, steps, audio_guidance, style_guidance, threshold: see `PaperSettings`.
        normalised: motion as the network knows it; otherwise raw (expression weights, radians).

    Raises:
        ValueError: arrays of other sizes, settings that cannot be, or too little sound.
        diffposetalk.bundle.bundle.BundleError: the bundle cannot be read.
    """
    clip = PaperClip(samples, shape, style, seed, initial_noise, step_noise)
    settings = PaperSettings(sampler, steps, audio_guidance, style_guidance, threshold)
    return animate_clips(bundle, [clip], settings, normalised=normalised)[0]


def animate_clips(
    bundle: str | Bundle | Loaded,
    clips: Sequence[PaperClip],
    settings: PaperSettings = RELEASED,
    *,
    normalised: bool = False,
    progress: Progress = lambda part: None,
) -> list[FloatArray]:
    """Animate several clips (or one with several seeds) in one batch: (n // 640, D) each.

    Windows of a clip need the one before, but the k-th windows of all clips are sampled together,
    which is much faster than one clip after another.
    """
    motion: list[list[FloatArray]] = [[] for _ in clips]
    for window in windows(bundle, clips, settings, normalised=normalised, progress=progress):
        for index, frames in window.items():
            motion[index].append(frames)
    return [np.concatenate(parts) for parts in motion]


def windows(
    bundle: str | Bundle | Loaded,
    clips: Sequence[PaperClip],
    settings: PaperSettings = RELEASED,
    *,
    normalised: bool = False,
    progress: Progress = lambda part: None,
) -> Iterator[dict[int, FloatArray]]:
    """`animate_clips`, window by window: the next frames (T_w or fewer, D) of each clip's index."""
    loaded = Loaded.of(bundle)
    spec = loaded.model.spec
    check_settings(settings, spec)
    with torch.inference_mode():
        rows = [ClipState.of(loaded, clip, settings) for clip in clips]
    most = max((row.windows for row in rows), default=0)
    statistics = loaded.bundle.statistics
    for k in range(most):
        active = [(i, row) for i, row in enumerate(rows) if row.windows > k]
        with torch.inference_mode():
            x0 = (
                sample_window(
                    loaded,
                    [row for _, row in active],
                    k,
                    settings,
                    partial(_tell_part, progress, k, most),
                )
                .float()
                .cpu()
                .numpy()
            )
        out = {}
        for (index, row), motion in zip(active, x0, strict=True):
            frames = motion[: min(spec.T_w, row.frames - k * spec.T_w)]
            if not normalised:
                frames = frames * statistics.motion_std + statistics.motion_mean
            out[index] = frames.astype(np.float32)
        yield out


def _tell_part(progress: Progress, window: int, most: int, part: float) -> None:
    """Tell how much is done of all windows, where `part` of this one is."""
    progress((window + part) / most)
