"""How loud the speech is that comes in: for people who set up a microphone."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.core.hearing.speech_level import SpeechLevel
from stream.frames import FPS, FRAME_SAMPLES

LevelState: TypeAlias = Literal["silent", "ok", "low", "clips"]

LOW_DB = -50.0
"""Speech below it stands too little above a room; the starter's figures hold down to -49."""
FULL_SCALE, FULL_SAMPLES = 0.985, 6
"""A frame clips with so many samples as near to full scale: one in a hundred, which loud speech
that keeps clear of it has not, and clipped speech keeps when it is resampled."""
CLIPPED_FRAMES = 2 * FPS
"""So long it is told that a frame clipped."""
FIRST_FRAMES = 12
"""Of speech, before its level is told."""

ADVICE: dict[LevelState, str] = {
    "low": "the speech is too low: come closer, or turn the microphone up",
    "clips": "the sound clips: turn the microphone down",
}
"""What to do about each state that is not well."""


class InputLevel:
    """The level of one stream's sound, block by block, of any size.

    A loop hears on one thread while others read.

    Attributes:
        decibels: level of its speech, of full scale; None before there was enough.
    """

    def __init__(self) -> None:
        self.decibels: float | None = None
        self._speech = SpeechLevel()
        self._rest = np.zeros(0, np.float32)  # samples of the frame that is not whole
        self._clipped = 0  # frames for which it is told

    @property
    def state(self) -> LevelState:
        """Whether it is well; `silent` before there was enough speech to tell."""
        if self._clipped:
            return "clips"
        if self.decibels is None:
            return "silent"
        return "low" if self.decibels < LOW_DB else "ok"

    @property
    def text(self) -> str:
        """As a status shows it."""
        if self.decibels is None:
            return "no speech yet" if not self._clipped else "CLIPS"
        told = f"speech {self.decibels:.0f} dBFS"
        return told + {"low": " TOO LOW", "clips": " CLIPS"}.get(self.state, "")

    def hear(self, samples: NDArray[np.float32]) -> None:
        """Hear the stream's next samples, (n,) mono at 16 kHz."""
        whole = np.concatenate([self._rest, samples])
        count = len(whole) // FRAME_SAMPLES
        self._rest = whole[count * FRAME_SAMPLES :].copy()
        for frame in whole[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES):
            self._speech.hear(frame.astype(np.float64))
            full = np.count_nonzero(np.abs(frame) >= FULL_SCALE)
            self._clipped = CLIPPED_FRAMES if full >= FULL_SAMPLES else max(0, self._clipped - 1)
        if self._speech.heard >= FIRST_FRAMES:
            self.decibels = self._speech.decibels
