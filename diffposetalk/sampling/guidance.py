"""Classifier-free guidance, audio then style, as branches of one batch.

    x0 = D(0, 0) + w_a [D(a, 0) - D(0, 0)] + w_s [D(a, s) - D(a, 0)]

(Sun et al. 2024, equation 10).  A condition whose scale is 1 is not guided: it is given in every
branch and drops out of the batch, as in the released code.  A network that was distilled to take
the scales (`DenoiserSpec.guidance_input`) needs one branch whatever they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from diffposetalk.network.audio_terms import AudioTerms
from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.sampling.samplers import Denoise

THRESHOLD_RANGE = (1.0, 4.0)
"""Dynamic thresholding never clips below or above these normalised values."""


Scale: TypeAlias = float | Tensor
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
    styled = model.spec.use_style and style is not None
    guidance = None
    if model.spec.denoiser.guidance_input:
        guidance = guidance_rows(_per_row(audio_scale, shape), _per_row(style_scale, shape))
        branches = guidance_branches(1.0, 1.0, styled)
    else:
        branches = guidance_branches(audio_scale, style_scale, styled)
    guided = Guided(
        model,
        terms,
        model.person(shape, style if branches[-1].style else None),
        context_motion,
        indicator,
        guidance,
        threshold_quantile,
        # A quantile is of all frames.
        0 if threshold_quantile else known,
    )
    if len(branches) == 1:
        return guided
    # Filled where it lies: a GPU's captured calls take nothing from the host.
    gives = torch.stack(
        [
            torch.stack([shape.new_full((), given, dtype=torch.bool) for given in branch[:2]])
            for branch in branches
        ]
    )
    weights = torch.stack([_per_row(branch.weight, shape) for branch in branches])
    return branched(guided, shape, gives, weights)


@dataclass(frozen=True)
class Guided:
    """D under guidance, at any time; what `guided_denoiser` gives.

    Attributes:
        terms, person, context_motion, indicator, guidance: inputs of D, (R, ...), a row for each
            branch of each entry.
        threshold_quantile: see `guided_denoiser`; unread: leading frames that come out as zeros.
        weights: (G, B) of the branches; None: there is one.
    """

    model: DiffPoseTalk
    terms: AudioTerms
    person: Tensor
    context_motion: Tensor
    indicator: Tensor | None
    guidance: Tensor | None
    threshold_quantile: float | None
    unread: int = 0
    weights: Tensor | None = None

    def __call__(self, x_t: Tensor, t: int) -> Tensor:
        """x_t (B, n, D) -> x0 (B, n, D), at a step of the model's schedule."""
        schedule = self.model.schedule
        time = torch.full((1,), t, dtype=torch.long, device=x_t.device)
        return self.at(x_t, time, float(schedule.alpha[t]), float(schedule.sigma[t]))

    def at(self, x_t: Tensor, t: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """The same at step t (1,), with alpha and sigma there."""
        x = x_t if self.weights is None else _repeated(x_t, len(self.weights))
        x0: Tensor = self.model.denoising_net.denoise(
            x,
            t,
            self.terms,
            self.person,
            self.context_motion,
            self.indicator,
            self.guidance,
            self.unread,
        )
        if self.model.spec.diffusion.target == "noise":
            x0 = (x[:, self.unread :] - sigma * x0) / alpha
        if self.threshold_quantile:
            x0 = dynamic_threshold(x0, self.threshold_quantile)
        if self.unread:
            x0 = F.pad(x0, (0, 0, self.unread, 0))
        if self.weights is None:
            return x0
        parts = x0.reshape(len(self.weights), *x_t.shape)
        return (self.weights[:, :, None, None] * parts).sum(0)


def branched(guided: Guided, shape: Tensor, gives: Tensor, weights: Tensor) -> Guided:
    """One branch that has all conditions, as G branches in one batch.

    Args:
        guided: the one; its person has the style.
        shape: (B, n_shape) normalised.
        gives: (G, 2) bool, whether a branch gives audio and style.
        weights: (G, B).
    """
    model, rows, count = guided.model, guided.terms.rows, len(gives)
    hears, styled = (given[:, None, None, None] for given in gives.unbind(1))
    # Only the window's speech is nulled, never the context's.
    T_p, null = model.spec.T_p, model.denoising_net.audio_terms(model.null_audio_feat).rows
    window = torch.where(hears, rows[None, :, T_p:], null)
    context = rows[None, :, :T_p].expand(count, -1, -1, -1)
    person = torch.where(styled, guided.person, model.person(shape, None))
    indicator = guided.indicator
    return replace(
        guided,
        terms=guided.terms._replace(rows=torch.cat([context, window], dim=2).flatten(0, 1)),
        person=person.flatten(0, 1),
        context_motion=_repeated(guided.context_motion, count),
        indicator=None if indicator is None else _repeated(indicator, count),
        weights=weights,
    )


def _repeated(x: Tensor, count: int) -> Tensor:
    """(B, ...) -> (count B, ...)."""
    return x[None].expand(count, *x.shape).flatten(0, 1)


def guidance_rows(audio_scale: Tensor, style_scale: Tensor) -> Tensor:
    """Scales (B,) each as a network takes them that has an input for them: (B, 2)."""
    return torch.stack([audio_scale - 1.0, style_scale - 1.0], dim=-1)


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
