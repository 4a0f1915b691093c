"""Noise that belongs to the absolute frame, not to the call that uses it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def frame_noise(seed: int, start: int, stop: int, channels: int) -> NDArray[np.float32]:
    """Standard normal noise for frames [start, stop): (stop - start, channels) float32.

    Counter-based (Philox keyed by seed and frame): a frame that is predicted twice, in windows of
    any size, sees the same noise.
    """
    out = np.empty((stop - start, channels), np.float32)
    for row, frame in enumerate(range(start, stop)):
        bits = np.random.Philox(key=seed & 0xFFFF_FFFF_FFFF_FFFF, counter=[0, 0, 0, frame])
        out[row] = np.random.Generator(bits).standard_normal(channels, np.float32)
    return out
