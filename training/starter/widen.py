"""A wider speech encoder that says what a narrower one said: Net2Net (Chen et al. 2016).

Every feature of the narrow encoder is there several times; what reads them shares its weight among
the copies, unevenly, so that they part as soon as they learn.  Layer norms see the same mean and
deviation, so that the function is the same up to rounding.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from diffposetalk.network.mel_front import COLUMNS
from diffposetalk.spec import ModelSpec
from head.errors import WrongValue

ENCODER, READER = "audio_encoder.", "audio_feature_map.weight"
UNEVEN = 0.5
"""How far the copies' shares differ, in deviations of the weights that they share."""


def widened(weights: Mapping[str, Tensor], narrow: ModelSpec, wide: ModelSpec) -> dict[str, Tensor]:
    """A model's weights for an encoder of `wide`, which gives the features of `narrow`'s.

    The shares are drawn from torch's generator.

    Raises:
        ValueError: a width of `wide` is no multiple of that of `narrow`.
    """
    pairs = (
        (narrow.speech.d_hidden, wide.speech.d_hidden),
        (narrow.speech.d_out, wide.speech.d_out),
    )
    if any(new % old for old, new in pairs):
        told = ", ".join(f"{old} to {new}" for old, new in pairs)
        raise WrongValue(f"an encoder's widths grow by whole factors, not from {told}")
    (hidden, d_out) = (new // old for old, new in pairs)
    return {name: _widened(name, weight, hidden, d_out) for name, weight in weights.items()}


def _widened(name: str, weight: Tensor, hidden: int, d_out: int) -> Tensor:
    """One weight whose layer's inputs and outputs are there `hidden` or `d_out` times."""
    if name == READER:
        return _shared(weight, d_out)
    if not name.startswith(ENCODER):
        return weight
    layer, _, kind = name.removeprefix(ENCODER).rpartition(".")
    outputs = hidden if layer in ("conv1", "norm1", "conv2", "norm2") else d_out
    if kind == "weight" and weight.ndim > 1:
        if layer == "conv2":
            weight = _shared(weight, hidden)
        elif layer == "gather":  # its inputs are whole columns, one after the other
            columns = weight.unflatten(1, (COLUMNS, -1)).movedim(2, 1)  # (d_out, d_hidden, 4)
            weight = _shared(columns, hidden).movedim(1, 2).flatten(1)
        elif layer != "conv1":
            weight = _shared(weight, d_out)
    return weight.repeat(outputs, *[1] * (weight.ndim - 1))


def _shared(weight: Tensor, factor: int) -> Tensor:
    """(a, b, ...) -> (a, factor b, ...): the copies of an input have its weight between them."""
    if factor == 1:
        return weight
    shares = torch.randn(factor, *weight.shape) * (UNEVEN * weight.std() / factor)
    shares = shares - shares.mean(0) + weight / factor
    return torch.cat(list(shares.to(weight.dtype)), 1)
