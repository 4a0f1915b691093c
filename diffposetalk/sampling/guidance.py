"""Classifier-free guidance, audio then style, as branches of one batch.

    x0 = D(0, 0) + w_a [D(a, 0) - D(0, 0)] + w_s [D(a, s) - D(a, 0)]

(Sun et al. 2024, equation 10).  A condition whose scale is 1 is not guided: it is given in every
branch and drops out of the batch, as in the released code.  A network that was distilled to take
the scales (`DenoiserSpec.guidance_input`) needs one branch whatever they are.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from diffposetalk.network.audio_terms import AudioTerms, join_batch, join_frames
from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.sampling.samplers import Denoise

THRESHOLD_RANGE = (1.0, 4.0)
"""Dynamic thresholding never clips below or above these normalised values."""


Scale = float | Tensor
"""A guidance scale: one for the batch, or (B,), one a row."""


class Branch(NamedTuple):
    """One call of D: which conditions are given, and its weight in the guided estimate."""

    audio: bool
    style: bool
    weight: Scale


def guidance_branches(
    audio_scale: Scale, style_scale: Scale, styled: bool = True
) -> tuple[Branch, ...]:
    """The branches that a pair of scales needs; their weights sum to 1.

    One when both scales are 1, two when one of them is, three otherwise (two again when they are
    equal, as the middle one then weighs nothing).  Scales a row, (B,), always guide, so that
    all rows have the same branches.

    Args:
        styled: whether a style is given at all; without one it is null throughout.
    """
    guide_audio = isinstance(audio_scale, Tensor) or audio_scale != 1.0
    guide_style = styled and (isinstance(style_scale, Tensor) or style_scale != 1.0)
    branches: tuple[Branch, ...]
    if guide_audio and guide_style:
        branches = (
            Branch(False, False, 1.0 - audio_scale),
            Branch(True, False, audio_scale - style_scale),
            Branch(True, True, style_scale),
        )
    elif guide_audio:
        branches = (Branch(False, styled, 1.0 - audio_scale), Branch(True, styled, audio_scale))
    elif guide_style:
        branches = (Branch(True, False, 1.0 - style_scale), Branch(True, True, style_scale))
    else:
        branches = (Branch(True, styled, 1.0),)
    return tuple(
        branch for branch in branches if isinstance(branch.weight, Tensor) or branch.weight != 0.0
    )


def guided_denoiser(
    model: DiffPoseTalk,
    terms: AudioTerms,
    shape: Tensor,
    style: Tensor | None,
    context_motion: Tensor,
    *,
    audio_scale: Scale = 1.0,
    style_scale: Scale = 1.0,
    indicator: Tensor | None = None,
    threshold_quantile: float | None = None,
    known: int = 0,
) -> Denoise:
    """D for a sampler: everything that does not change between steps is done here, once.

    Args:
        model: gives x0 or, converted here, noise.
        terms: of the T_p context frames and the n window frames, from `Denoiser.audio_terms`.
        shape: (B, n_shape) normalised.
        style: (B, d_style), or None for the learned null style.
        context_motion: (B, T_p, D), start features filled in.
        audio_scale, style_scale: w_a, w_s; one each, or (B,) tensors, which are never taken for 1.
        indicator: (B, n), 0 at padding; None = no padding.
        threshold_quantile: clip every branch at this quantile of |x0|; None or 0 = no clipping.
        known: leading frames whose estimate nobody reads, as committed motion replaces it; they
            may come out as zeros, which saves most of the last layer.

    Returns:
        A function (x_t (B, n, D), t) -> x0 (B, n, D).
    """
    net, T_p = model.denoising_net, model.spec.T_p
    styled = model.spec.use_style and style is not None
    guidance = None
    if model.spec.denoiser.guidance_input:
        guidance = torch.stack(
            [_per_row(audio_scale, shape) - 1.0, _per_row(style_scale, shape) - 1.0], dim=-1
        )
        branches = guidance_branches(1.0, 1.0, styled)
    else:
        branches = guidance_branches(audio_scale, style_scale, styled)
    count = len(branches)
    persons = {given: model.person(shape, style if given else None) for given in (True, False)}
    person = torch.cat([persons[branch.style] for branch in branches])
    if count > 1:
        given = {True: terms}
        if not all(branch.audio for branch in branches):
            # Only the window's speech is nulled, never the context's.
            _, batch, frames, _ = terms.motion.shape
            null = net.audio_terms(model.null_audio_feat).expand(batch, frames - T_p)
            given[False] = join_frames(terms.frames(0, T_p), null)
        terms = join_batch(*(given[branch.audio] for branch in branches))
        context_motion = context_motion.repeat(count, 1, 1)
        indicator = None if indicator is None else indicator.repeat(count, 1)
    schedule, predicts_noise = model.schedule, model.spec.diffusion.target == "noise"
    unread = 0 if threshold_quantile else known  # a quantile is of all frames

    def denoise(x_t: Tensor, t: int) -> Tensor:
        x = x_t.repeat(count, 1, 1)
        step = torch.full((x.shape[0],), t, dtype=torch.long, device=x.device)
        x0 = net.denoise(x, step, terms, person, context_motion, indicator, guidance, unread)
        if predicts_noise:
            x0 = (x[:, unread:] - float(schedule.sigma[t]) * x0) / float(schedule.alpha[t])
        if threshold_quantile:
            x0 = dynamic_threshold(x0, threshold_quantile)
        if unread:
            x0 = F.pad(x0, (0, 0, unread, 0))
        if count == 1:
            return x0
        parts = x0.chunk(count)
        weights = [
            branch.weight[:, None, None] if isinstance(branch.weight, Tensor) else branch.weight
            for branch in branches
        ]
        return sum(
            (weight * part for weight, part in zip(weights[1:], parts[1:], strict=True)),
            start=weights[0] * parts[0],
        )

    return denoise


def _per_row(scale: Scale, like: Tensor) -> Tensor:
    """A scale as (B,), B rows as `like` has."""
    return scale if isinstance(scale, Tensor) else like.new_full((len(like),), scale)


def dynamic_threshold(x0: Tensor, quantile: float) -> Tensor:
    """Clip each entry at s = clamp(quantile of |x0| over frames and channels, 1, 4).

    Before guidance mixes the branches, and without rescaling: as in the released code, unlike
    Saharia et al. 2022.  x0 (B, n, D); padding counts.
    """
    size = x0[0].numel()
    # Linear interpolation between order statistics, as torch.quantile, which does not export.
    position = quantile * (size - 1)
    below = math.floor(position)
    top = x0.abs().flatten(1).topk(size - below).values  # (B, k), falling
    at, above = top[:, -1], top[:, max(size - below - 2, 0)]
    limit = (at + (position - below) * (above - at)).clamp(*THRESHOLD_RANGE)[:, None, None]
    return torch.minimum(torch.maximum(x0, -limit), limit)
