"""Noise that belongs to the absolute frame, not to the call that uses it."""

from __future__ import annotations

import functools
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

_WORD = 0xFFFF_FFFF_FFFF_FFFF
_SINGLE = np.dtype(np.float32)


def frame_noise(seed: int, start: int, stop: int, channels: int) -> NDArray[np.float32]:
    """Standard normal noise for frames [start, stop): (stop - start, channels) float32.

    Counter-based (Philox keyed by seed and frame): a frame that is predicted twice, in windows of
    any size, sees the same noise.
    """
    return _Frames(seed, channels).draw(start, stop)


class _Frames:
    """Draws white noise frame by frame; of one thread at a time."""

    def __init__(self, seed: int, channels: int) -> None:
        self._channels = channels
        # Made once and wound to each frame: making one asks the system for entropy every time.
        self._bits: Any = np.random.Philox(key=seed & _WORD, counter=[0, 0, 0, 0])
        self._normal = np.random.Generator(self._bits).standard_normal
        at: Any = self._bits.state
        # As lists of plain integers, which are read twice as fast as arrays.
        words = {name: value.tolist() for name, value in at["state"].items()}
        self._at = {**at, "state": words, "buffer": at["buffer"].tolist()}
        self._counter = words["counter"]

    def draw(self, start: int, stop: int) -> NDArray[np.float32]:
        """(stop - start, channels)."""
        out = np.empty((stop - start, self._channels), np.float32)
        self.draw_into(out, start)
        return out

    def draw_into(self, out: NDArray[np.float32], start: int) -> None:
        """Noise for frames from `start` on, as many as `out` (n, channels) has rows."""
        bits, counter, at, normal = self._bits, self._counter, self._at, self._normal
        for frame, row in enumerate(out, start):
            counter[3] = frame & _WORD  # frames before 0 wrap around
            bits.state = at
            normal(None, _SINGLE, row)


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
        self._drawn = _Frames(seed, channels)
        self._start = 0
        self._white = np.zeros((0, channels), np.float32)  # of frames [_start, ...)

    def take(self, start: int, stop: int) -> NDArray[np.float32]:
        """Noise for frames [start, stop): (stop - start, channels); frames before are let go."""
        if start == stop:  # a lookahead of none
            return np.zeros((0, self._channels), np.float32)
        white = self._held(start - self._frames + 1, stop)
        out = white[self._frames - 1 :].copy()
        out[:, self._slow] = _bells(stop - start, self._frames) @ white[:, self._slow]
        return out

    def copy(self) -> Self:
        """The same, which goes its own way from here, in another thread if need be."""
        other = type(self)(self._seed, self._channels, self._slow, self._frames)
        other._start, other._white = self._start, self._white  # replaced, never written into
        return other

    def _held(self, start: int, stop: int) -> NDArray[np.float32]:
        """White noise for frames [start, stop), drawn where it is not held already."""
        held = self._start + len(self._white)
        if not self._start <= start <= held:
            self._white, held = self._white[:0], start
        else:
            self._white = self._white[start - self._start :]
        self._start = start
        if held < stop:
            white = np.empty((stop - start, self._channels), np.float32)
            white[: held - start] = self._white
            self._drawn.draw_into(white[held - start :], held)
            self._white = white
        return self._white[: stop - start]


@functools.lru_cache
def _bells(count: int, frames: int) -> NDArray[np.float32]:
    """(count, count + frames - 1): a bell over `frames` frames in each row, one frame later."""
    bell = np.hanning(frames + 2)[1:-1]
    out = np.zeros((count, count + frames - 1), np.float32)
    for row in range(count):
        out[row, row : row + frames] = bell / np.linalg.norm(bell)
    return out
