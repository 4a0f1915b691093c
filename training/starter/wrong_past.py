"""A past as wide of the mark as it can be live: shut, late, or gaping lips.

A model that goes on from its own frames, and never saw a past that disagrees with the sound, takes
a mouth that has stayed shut for its reason to stay so: quiet speech then latches it.  Whatever the
past says, what is to come is told by the sound alone.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from training.starter.mel_pretraining import LIPS

SHUT, LATE, GAPING = 0.10, 0.10, 0.05
"""Shares of windows; what is held still or is noise comes from `adjacent_windows.perturb`."""
LATEST_FRAMES = 6
WIDEST = 2.2
"""How many times too far lips may gape."""


def gone_wrong(past: Tensor, earlier: Tensor, rest: Tensor, rng: np.random.Generator) -> Tensor:
    """Pasts (B, T_p, D) of which a share has lips that were wrong all along, or for their end.

    Args:
        past: true ones, normalised.
        earlier: (B, LATEST_FRAMES + T_p, D) motion that ends where they end.
        rest: (D,) a mouth at rest, normalised.
        rng: draws the windows, and how and since when they are wrong.
    """
    batch, frames, size = past.shape
    coin = torch.from_numpy(rng.random((batch, 1, 1)))
    late = torch.from_numpy(rng.integers(2, LATEST_FRAMES + 1, batch))
    index = torch.arange(frames)[None] + LATEST_FRAMES - late[:, None]
    lagging = torch.gather(earlier, 1, index[..., None].expand(-1, -1, size))
    times = torch.from_numpy(rng.uniform(1.3, WIDEST, (batch, 1, 1))).to(past.dtype)
    gaping = rest + times * (past - rest)
    wrong = torch.where(coin < SHUT, rest.expand_as(past), lagging)
    wrong = torch.where(coin < SHUT + LATE, wrong, gaping)
    since = torch.from_numpy(np.where(rng.random(batch) < 0.6, 0, rng.integers(0, frames, batch)))
    told = torch.arange(frames)[None, :, None] >= since[:, None, None]
    lips = torch.zeros(size, dtype=torch.bool)
    lips[list(LIPS)] = True
    return torch.where((coin < SHUT + LATE + GAPING) & told & lips, wrong, past)
