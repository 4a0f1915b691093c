"""The gain at a speech encoder's input: quiet and loud voices arrive alike from any microphone.

Causal and from the state of frames alone: a frame is played with what was heard up to its end, so
the same samples give the same bits in blocks of any size, live and in training.  What is speech
sets the level (`stream.core.hearing.speech_level`): a steady noise, however loud, is not pumped up.
"""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stream.core.hearing import speech_level
from stream.core.hearing.speech_level import FRAMES_AT_ONCE, PRIOR_DB, SpeechLevel, loudness_of

FloatArray = NDArray[np.float32]
Floats = NDArray[np.float64]

TARGET_DB = -24.0
"""Where speech is brought to: mean power of its frames, of full scale."""
QUIETEST_GAIN_DB, LOUDEST_GAIN_DB = -18.0, 34.0
STEP_DB = 1.5
"""The gain changes by no more in a frame."""
NEPERS = math.log(10.0) / 20.0
"""Of a decibel."""


AT_START: NDArray[np.float64] = np.array([TARGET_DB - PRIOR_DB, *speech_level.AT_START])
"""The state of a stream that begins: the gain, and the level of its speech."""


class InputGain:
    """Brings a stream's frames to one level of speech, each once; or those of several streams.

    Args:
        state: (..., N) of each stream, see AT_START.

    Attributes:
        state: after the frames so far; replaced, never written into.
    """

    def __init__(self, state: NDArray[np.float64] | None = None) -> None:
        self.state = AT_START if state is None else state

    @property
    def level(self) -> SpeechLevel:
        """Of speech so far."""
        return SpeechLevel(self.state[..., 1:])

    @property
    def gain_db(self) -> Any:
        """With which the last frame ended, (...)."""
        return self.state[..., 0][()]

    def apply(self, frames: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """The streams' next frames, (..., n, samples of a frame) -> the same, at one level.

        Args:
            out: where to write them, contiguous; may be `frames`. None: into a new array.
        """
        *streams, count, _ = frames.shape
        gains = np.empty((*streams, count + 1))
        gains[..., 0], level = self.gain_db, self.level
        loudness = loudness_of(frames)
        for at in range(count):
            level.follow(loudness[..., at])
            wanted = _within(QUIETEST_GAIN_DB, TARGET_DB - level.decibels, LOUDEST_GAIN_DB)
            before = gains[..., at]
            gains[..., at + 1] = before + _within(-STEP_DB, wanted - before, STEP_DB)
        after = np.empty_like(self.state)
        after[..., 0], after[..., 1:] = gains[..., -1], level.state
        self.state = after
        out = np.empty(frames.shape, np.float32) if out is None else out
        _ramped(frames, gains[..., :-1], gains[..., 1:], out)
        return out

    def copy(self) -> Self:
        """The same memory, which goes its own way from here."""
        return type(self)(self.state)


def _ramped(frames: FloatArray, before: Floats, after: Floats, out: FloatArray) -> None:
    """Write frames (..., samples), each times a ramp from one gain (...) in decibels to another,
    the last factor of which is that one's.

    From the gain of the frame before to this one's, so that nothing clicks.  In float32, as so many
    powers in float64 would take longer than all else.
    """
    count = frames.shape[-1]
    share = np.arange(1, count + 1, dtype=np.float32) / np.float32(count)
    way = ((after - before) * NEPERS).astype(np.float32).reshape(-1, 1)
    first = (10.0 ** (before / 20.0)).astype(np.float32).reshape(-1, 1)
    rows, made = frames.reshape(-1, count), out.reshape(-1, count)
    factors = np.empty((min(len(rows), FRAMES_AT_ONCE), count), np.float32)
    for at in range(0, len(rows), FRAMES_AT_ONCE):
        part = slice(at, at + FRAMES_AT_ONCE)
        ramps = factors[: len(rows[part])]
        np.exp(np.multiply(way[part], share, out=ramps), out=ramps)
        ramps *= first[part]
        np.multiply(rows[part], ramps, dtype=np.float32, casting="same_kind", out=made[part])


def _within(least: float, value: Any, most: float) -> Any:
    return np.minimum(np.maximum(value, least), most)
