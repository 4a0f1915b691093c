"""The gain at a speech encoder's input: quiet and loud voices arrive alike from any microphone.

Causal and from the state of frames alone: a frame is played with what was heard up to its end, so
the same samples give the same bits in blocks of any size, live and in training.  What is speech
sets the level (`stream.core.hearing.speech_level`): a steady noise, however loud, is not pumped up.
"""

from __future__ import annotations

import copy
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stream.core.hearing.speech_level import PRIOR_DB, SpeechLevel

FloatArray = NDArray[np.float32]

TARGET_DB = -24.0
"""Where speech is brought to: mean power of its frames, of full scale."""
QUIETEST_GAIN_DB, LOUDEST_GAIN_DB = -18.0, 34.0
STEP_DB = 1.5
"""The gain changes by no more in a frame."""


class InputGain:
    """Brings a stream's frames to one level of speech, each once.

    Attributes:
        level: of speech so far.
        gain_db: with which the last frame ended.
    """

    def __init__(self) -> None:
        self.level = SpeechLevel()
        self.gain_db = TARGET_DB - PRIOR_DB

    def apply(self, frames: FloatArray) -> FloatArray:
        """The stream's next frames, (n, samples of a frame) -> the same shape, at one level."""
        out = np.empty_like(frames, dtype=np.float32)
        for row, frame in enumerate(frames):
            before = self.gain_db
            self._hear(frame.astype(np.float64))
            # From the gain of the frame before to this one's: no clicks.
            share = np.arange(1, len(frame) + 1) / len(frame)
            gain = 10.0 ** ((before + (self.gain_db - before) * share) / 20.0)
            out[row] = frame * gain.astype(np.float32)
        return out

    def copy(self) -> Self:
        """The same memory, which goes its own way from here."""
        return copy.deepcopy(self)

    def _hear(self, frame: NDArray[np.float64]) -> None:
        self.level.hear(frame)
        wanted = min(max(TARGET_DB - self.level.decibels, QUIETEST_GAIN_DB), LOUDEST_GAIN_DB)
        self.gain_db += min(max(wanted - self.gain_db, -STEP_DB), STEP_DB)
