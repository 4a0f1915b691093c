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


class NoiseTrack:
    """The noise of one stream, each frame's drawn once: windows overlap, hop after hop.

    White, but for the `slow` channels, which change slowly: they are the white noise of the last
    `frames` frames under a bell, of unit variance still, and belong to the absolute frame just as
    well; with 1 frame they are white.

    Args:
        seed, channels: as for `frame_noise`.
        slow: which channels sway.
        frames: over how many frames.
    """

    def __init__(self, seed: int, channels: int, slow: slice, frames: int) -> None:
        self._seed, self._channels, self._slow, self._frames = seed, channels, slow, frames
        bell = np.hanning(frames + 2)[1:-1]
        self._bell = (bell / np.linalg.norm(bell)).astype(np.float32)
        self._start = 0
        self._white = np.zeros((0, channels), np.float32)  # of frames [_start, ...)

    def take(self, start: int, stop: int) -> NDArray[np.float32]:
        """Noise for frames [start, stop): (stop - start, channels); frames before are let go."""
        if start == stop:  # a lookahead of none
            return np.zeros((0, self._channels), np.float32)
        white = self._held(start - self._frames + 1, stop)
        out = white[self._frames - 1 :].copy()
        windows = np.lib.stride_tricks.sliding_window_view(
            white[:, self._slow], self._frames, axis=0
        )
        out[:, self._slow] = windows @ self._bell
        return out

    def _held(self, start: int, stop: int) -> NDArray[np.float32]:
        """White noise for frames [start, stop), drawn where it is not held already."""
        held = self._start + len(self._white)
        if not self._start <= start <= held:
            self._white, held = self._white[:0], start
        else:
            self._white = self._white[start - self._start :]
        self._start = start
        if held < stop:
            fresh = frame_noise(self._seed, held, stop, self._channels)
            self._white = np.concatenate([self._white, fresh])
        return self._white[: stop - start]
