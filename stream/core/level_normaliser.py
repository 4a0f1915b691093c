"""The level of speech as it comes in, for encoders that were trained on normalised clips.

Training divides a clip by its own deviation; a stream has no clip yet.  Here the mean and deviation
run along, over speech only, so that a silent or noisy room cannot pump itself up, and each frame is
normalised once, with what is known as of its end.  Everything happens per frame of the absolute
grid, so the same samples give the same bits in blocks of any size.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

PRIOR_DEVIATION = 0.06
"""Of speech before any was heard: -24 dB of full scale, as recordings of speech commonly have."""
LEAST_DEVIATION = 0.01
"""-40 dB: quieter speech stays quieter."""
PRIOR_FRAMES, LONGEST_FRAMES = 25, 200
"""The prior weighs 1 s of speech; after 8 s, the length of a clip in training, the past fades."""

CHUNK = 160
"""Samples (10 ms) whose power is looked at; a frame is speech by its loudest one."""
GATE_DB = 12.0
FLOOR_DB, FLOOR_RISE_DB = -40.0, 0.05
"""A frame is speech GATE_DB above the noise floor, which falls at once and rises this much a frame;
FLOOR_DB before anything was heard."""
HANGOVER_FRAMES = 8
"""Pauses up to 0.3 s belong to speech, as they do in a clip."""


class RunningLevel:
    """Normalises a stream's frames, each once.

    Attributes:
        mean, deviation: of speech so far.
    """

    def __init__(self) -> None:
        self.mean = 0.0
        self._power = PRIOR_DEVIATION**2
        self._heard = PRIOR_FRAMES
        self._floor = FLOOR_DB
        self._since_speech = HANGOVER_FRAMES

    @property
    def deviation(self) -> float:
        return max(math.sqrt(max(self._power - self.mean**2, 0.0)), LEAST_DEVIATION)

    def normalise(self, frames: FloatArray) -> FloatArray:
        """The stream's next frames, (n, samples of a frame) -> the same shape, zero mean and unit
        deviation by what has been heard up to each frame's end."""
        out = np.empty_like(frames)
        for row, frame in enumerate(frames):
            self._hear(frame.astype(np.float64))
            out[row] = (frame - np.float32(self.mean)) / np.float32(self.deviation)
        return out

    def _hear(self, frame: NDArray[np.float64]) -> None:
        power = float(np.mean(frame**2))
        loudest = float(np.mean(frame.reshape(-1, CHUNK) ** 2, axis=1).max())
        loudness = 10.0 * math.log10(loudest + 1e-10)
        self._floor = min(loudness, self._floor + FLOOR_RISE_DB)
        is_speech = loudness > self._floor + GATE_DB
        self._since_speech = 0 if is_speech else self._since_speech + 1
        if self._since_speech < HANGOVER_FRAMES:
            self._heard = min(self._heard + 1, LONGEST_FRAMES)
            self.mean += (float(np.mean(frame)) - self.mean) / self._heard
            self._power += (power - self._power) / self._heard
