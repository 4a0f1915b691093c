"""The numbers of the mel front end, and its filters: what every runtime of `mel` agrees on.

Pure numpy; the encoder is in `mel` (torch) and in the exported graphs.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from diffposetalk.spec import ModelSpec

SAMPLE_RATE = ModelSpec.sample_rate_hz
HOP_SAMPLES = 160
"""Samples per mel column: 100 columns a second, 4 per motion frame."""
WINDOW_SAMPLES = 400
"""Samples per column's window, which ends with the column."""
N_FFT = 512
COLUMNS = 4
"""Columns per motion frame."""
DILATIONS = (1, 2, 4, 4)
"""Dilations of the encoder's blocks over frames: they read 2 * dilation frames before their own."""
KEPT_COLUMNS, KEPT_HIDDEN = 4, 8
"""Columns, and columns of the first convolution, that the two convolutions read again."""
KEPT_FRAMES = tuple(2 * dilation for dilation in DILATIONS)
"""Frames that each block reads again."""
TAIL_SAMPLES = WINDOW_SAMPLES - HOP_SAMPLES
"""Samples before a frame that its first column still reads."""
SCALE_DB = 15.0
LOWEST = -4.0
"""Normalised columns: decibels relative to the speaker's level, over SCALE_DB, not below LOWEST."""

PRIOR_LEVEL_DB = -18.0
"""Level of speech before any was heard: mean mel decibels of the loud frames of clear speech."""
FLOOR_DB = -40.0
"""Noise floor before anything was heard."""

PRIOR_FRAMES = 25.0
SLOWEST = 0.01
"""The level is a running mean of PRIOR_FRAMES frames of prior, then moves at least this fast."""
GATE_DB = 12.0
FLOOR_RISE_DB = 0.05
"""A frame is speech GATE_DB above the floor, which falls at once and rises this much a frame."""


@lru_cache(maxsize=64)
def mel_filterbank(n_mels: int, warp: float = 1.0) -> NDArray[np.float32]:
    """Triangular filters from 60 to 7600 Hz on the mel scale: (N_FFT / 2 + 1, n_mels).

    `warp` scales the frequency axis (vocal tract length perturbation, for training only).
    """
    mel = np.linspace(1127 * np.log1p(60 / 700), 1127 * np.log1p(7600 / 700), n_mels + 2)
    edges = 700 * np.expm1(mel / 1127) * warp
    bins = np.arange(N_FFT // 2 + 1)[:, None] * SAMPLE_RATE / N_FFT
    up = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0.0, np.minimum(up, down))
    # Filters narrower than a bin would be empty: each sums to 1 over at least its nearest bin.
    nearest = np.clip(np.round(edges[1:-1] / SAMPLE_RATE * N_FFT).astype(int), 0, N_FFT // 2)
    filters[nearest, np.arange(n_mels)] += 1e-3
    return np.asarray(filters / filters.sum(0), np.float32)
