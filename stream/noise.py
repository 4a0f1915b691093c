"""Noise that belongs to the absolute frame, not to the call that uses it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WORD = 0xFFFF_FFFF_FFFF_FFFF


def frame_noise(seed: int, start: int, stop: int, channels: int) -> NDArray[np.float32]:
    """Standard normal noise for frames [start, stop): (stop - start, channels) float32.

    Counter-based (Philox keyed by seed and frame): a frame that is predicted twice, in windows of
    any size, sees the same noise.
    """
    out = np.empty((stop - start, channels), np.float32)
    for row, frame in enumerate(range(start, stop)):
        counter = np.array([0, 0, 0, frame & _WORD], np.uint64)  # frames before 0 wrap around
        bits = np.random.Philox(key=seed & _WORD, counter=counter)
        out[row] = np.random.Generator(bits).standard_normal(channels, np.float32)
    return out


def swaying_noise(
    seed: int, start: int, stop: int, channels: int, slow: slice, frames: int
) -> NDArray[np.float32]:
    """`frame_noise` whose `slow` channels change slowly: (stop - start, channels) float32.

    They are the white noise of the last `frames` frames under a bell, of unit variance still, and
    belong to the absolute frame just as well; with 1 frame they are white.
    """
    white = frame_noise(seed, start - frames + 1, stop, channels)
    bell = np.hanning(frames + 2)[1:-1]
    bell = (bell / np.linalg.norm(bell)).astype(np.float32)
    out = white[frames - 1 :].copy()
    windows = np.lib.stride_tricks.sliding_window_view(white[:, slow], frames, axis=0)
    out[:, slow] = windows @ bell
    return out
