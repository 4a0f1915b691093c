"""The gain at a speech encoder's input: quiet and loud voices arrive alike from any microphone.

Causal and from the state of frames alone: a frame is played with what was heard up to its end, so
the same samples give the same bits in blocks of any size, live and in training.  What is speech
sets the level: sound well above the quietest moment of the last 0.6 s, so that a steady noise,
however loud, is not pumped up.
"""

from __future__ import annotations

import copy
import math
from typing import Self

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

TARGET_DB = -24.0
"""Where speech is brought to: mean power of its frames, of full scale."""
PRIOR_DB, PRIOR_FRAMES = -28.0, 4
"""The level of speech before any was heard, and how many frames of it that is worth."""
LONGEST_FRAMES = 40
"""Of speech, after which its past fades: 1.6 s."""
QUIETEST_GAIN_DB, LOUDEST_GAIN_DB = -18.0, 34.0
STEP_DB = 1.5
"""The gain changes by no more in a frame."""
FLOOR_FRAMES, PRIOR_FLOOR_DB = 15, -45.0
GATE_DB, LEAST_DB = 9.0, -66.0
"""Speech is GATE_DB above the least of the last FLOOR_FRAMES, and never below LEAST_DB."""
FALL = 0.5
"""What is quieter than the voice so far counts for less: rooms are, and ends of words."""


class InputGain:
    """Brings a stream's frames to one level of speech, each once.

    Attributes:
        speech_db: level of speech so far, decibels of full scale.
        heard: frames of speech so far, at most LONGEST_FRAMES.
        gain_db: with which the last frame ended.
    """

    def __init__(self) -> None:
        self.speech_db = PRIOR_DB
        self.heard = 0
        self.gain_db = TARGET_DB - PRIOR_DB
        self._recent = np.full(FLOOR_FRAMES, PRIOR_FLOOR_DB)

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
        loudness = 10.0 * math.log10(float(np.mean(frame**2)) + 1e-10)
        self._recent = np.append(self._recent[1:], loudness)
        floor = max(float(self._recent.min()), -90.0)
        if loudness > max(floor + GATE_DB, LEAST_DB):
            self.heard = min(self.heard + 1, LONGEST_FRAMES)
            rate = (1.0 if loudness > self.speech_db else FALL) / (PRIOR_FRAMES + self.heard)
            self.speech_db += rate * (loudness - self.speech_db)
        wanted = min(max(TARGET_DB - self.speech_db, QUIETEST_GAIN_DB), LOUDEST_GAIN_DB)
        self.gain_db += min(max(wanted - self.gain_db, -STEP_DB), STEP_DB)
