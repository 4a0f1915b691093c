"""Crops of mel columns as yet other people and microphones would sound, drawn anew for every crop.

A track is heard a few times; what is drawn here has no end, so that the encoder knows no voice by
heart: throats of other lengths (Jaitly and Hinton 2013), microphones and rooms of other colour, and
bands and moments that are missing (Park et al. 2019).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffposetalk.network.mel_front import COLUMNS, LOWEST, SCALE_DB

LEVEL = 0.15
"""How far a crop's level wanders, in units of columns."""
OTHER_THROAT, LONGEST, SHORTEST = 0.4, 0.9, 1.12
"""Share of crops that another throat speaks, and the factors by which its formants move."""
COLOURED, COLOUR_DB, COLOUR_KNOTS = 0.5, 4.0, 7
"""Share of crops that another microphone hears: a smooth curve over the bands, its deviation."""
MASKED, WIDEST_BAND, LONGEST_GAP = 0.7, 14, 2 * COLUMNS
"""Share of crops with holes: at most so many bands, and so many columns."""
LOWEST_HZ, HIGHEST_HZ = 60.0, 7600.0


def disturbed(columns: Tensor, rng: np.random.Generator) -> Tensor:
    """Columns (B, m, n_mels), normalised, as others would have spoken and heard them."""
    out = other_throats(columns + float(rng.uniform(-LEVEL, LEVEL)), rng)
    return with_holes(coloured(out, rng), rng)


def other_throats(columns: Tensor, rng: np.random.Generator) -> Tensor:
    """The bands of some crops moved along the frequency axis; edges are held."""
    n_mels = columns.shape[-1]
    rows = np.flatnonzero(rng.random(len(columns)) < OTHER_THROAT)
    if not len(rows):
        return columns
    factor = np.exp(rng.uniform(np.log(LONGEST), np.log(SHORTEST), (len(rows), 1)))
    low, high = _mel(LOWEST_HZ), _mel(HIGHEST_HZ)
    centres = np.linspace(low, high, n_mels + 2)[1:-1]
    hertz = 700.0 * np.expm1(centres / 1127.0)
    place = (_mel(hertz * factor) - centres[0]) / (centres[1] - centres[0])
    place = np.clip(place, 0.0, n_mels - 1.0)
    below = np.minimum(place.astype(int), n_mels - 2)
    share = torch.from_numpy((place - below).astype(np.float32))[:, None]
    index = torch.from_numpy(below)[:, None].expand(-1, columns.shape[1], -1)
    chosen = columns[rows]
    moved = chosen.gather(2, index) * (1.0 - share) + chosen.gather(2, index + 1) * share
    out = columns.clone()
    out[rows] = moved
    return out


def coloured(columns: Tensor, rng: np.random.Generator) -> Tensor:
    """A smooth curve over the bands added to some crops; silence stays silence."""
    batch, _, n_mels = columns.shape
    knots = np.linspace(0.0, n_mels - 1.0, COLOUR_KNOTS)
    curves = np.stack(
        [
            np.interp(np.arange(n_mels), knots, row)
            for row in rng.normal(0.0, COLOUR_DB / SCALE_DB, (batch, COLOUR_KNOTS))
        ]
    )
    curves *= rng.random((batch, 1)) < COLOURED
    curve = torch.from_numpy(curves.astype(np.float32))[:, None]
    heard = columns > LOWEST
    return torch.where(heard, (columns + curve).clamp(min=LOWEST), columns)


def with_holes(columns: Tensor, rng: np.random.Generator) -> Tensor:
    """One or two bands and a moment of some crops fall silent."""
    out = columns.clone()
    for row in np.flatnonzero(rng.random(len(columns)) < MASKED):
        for _ in range(int(rng.integers(1, 3))):
            low = int(rng.integers(0, columns.shape[2] - WIDEST_BAND))
            out[row, :, low : low + int(rng.integers(2, WIDEST_BAND + 1))] = LOWEST / 2
        start = int(rng.integers(0, columns.shape[1] - LONGEST_GAP))
        out[row, start : start + int(rng.integers(1, LONGEST_GAP))] = LOWEST / 2
    return out


def _mel(hertz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray(1127.0 * np.log1p(np.asarray(hertz) / 700.0))
