"""The mel front end without what is slow or missing in a runtime; the same numbers to rounding.

The Fourier transform is a matrix product (its cosines are worked out where the graph runs, which
stays small), and the running level, a loop over frames, is in closed form.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from diffposetalk.network.mel_front import (
    FLOOR_RISE_DB,
    GATE_DB,
    N_FFT,
    PRIOR_FRAMES,
    SLOWEST,
    WINDOW_SAMPLES,
)

FAR = 1e9
"""Larger than any level; keeps frames out of a minimum or a sum."""


def power_by_products(frames: Tensor) -> Tensor:
    """`diffposetalk.network.mel.power_spectrum`."""
    sample, bin_ = torch.arange(WINDOW_SAMPLES), torch.arange(N_FFT // 2 + 1)
    # Whole turns are taken off while these are integers: a large angle has few bits left.
    angle = (sample[:, None] * bin_ % N_FFT).float() * (2.0 * math.pi / N_FFT)  # (400, 257)
    real, imaginary = frames @ angle.cos(), frames @ angle.sin()
    return real * real + imaginary * imaginary


def level_in_closed_form(loudness: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """`diffposetalk.network.mel.follow_level`: loudness (B, n), level (B, 3).

    The floor min(l_k, floor + r) is a running minimum of l_k - r k; the count of speech frames is a
    running sum; the speech level is a linear recurrence, so what frame k keeps of each earlier one
    is a product, here a sum of logarithms.
    """
    speech, heard, floor = level[:, 0:1], level[:, 1:2], level[:, 2:3]
    k = torch.arange(loudness.shape[1])
    later = k > k[:, None]  # (n, n): frame j is after frame k
    rise = k.float() * FLOOR_RISE_DB + FLOOR_RISE_DB
    lowest = torch.where(later, FAR, (loudness - rise)[:, None]).amin(2)
    floors = torch.minimum(lowest, floor) + rise  # (B, n) as of each frame's end
    is_speech = (loudness > floors + GATE_DB).float()
    counts = heard + is_speech.cumsum(1)
    rate = (1.0 / (counts + PRIOR_FRAMES)).clamp(min=SLOWEST) * is_speech
    kept = (1.0 - rate).log().cumsum(1)
    share = torch.where(later, -FAR, kept[:, :, None] - kept[:, None]).exp()  # (B, n, n)
    added = (share @ (rate * loudness)[..., None])[..., 0]
    speeches = kept.exp() * speech + added
    return speeches, torch.cat([part[:, -1:] for part in (speeches, counts, floors)], 1)
