"""The level of speech as it comes in, for encoders that were trained on normalised clips.

Training divides a clip by its own deviation; a stream has no clip yet.  Here the mean and deviation
run along, over speech only, so that a silent or noisy room cannot pump itself up, and each frame is
normalised once, with what is known as of its end.  Everything happens per frame of the absolute
grid, so the same samples give the same bits in blocks of any size.
"""

from __future__ import annotations

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


AT_START: NDArray[np.float64] = np.array(
    [0.0, PRIOR_DEVIATION**2, PRIOR_FRAMES, FLOOR_DB, HANGOVER_FRAMES]
)
"""Mean and power of speech, frames of it heard, the noise floor, and frames since speech."""


class RunningLevel:
    """Normalises a stream's frames, each once; or those of several streams, one beside the other.

    Args:
        state: (..., 5) of each stream, see `AT_START`, which is that of one that begins.

    Attributes:
        state: after the frames so far; replaced, never written into.
    """

    def __init__(self, state: NDArray[np.float64] | None = None) -> None:
        self.state = AT_START if state is None else state

    @property
    def mean(self) -> NDArray[np.float64]:
        """Of speech so far, (...)."""
        return self.state[..., 0]

    @property
    def deviation(self) -> NDArray[np.float64]:
        """Of speech so far, (...)."""
        mean, power = self.state[..., 0], self.state[..., 1]
        found: NDArray[np.float64] = np.sqrt(np.maximum(power - mean**2, LEAST_DEVIATION**2))
        return found

    def apply(self, frames: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """The streams' next frames, (..., n, samples of a frame) -> the same shape, zero mean and
        unit deviation by what has been heard up to each frame's end.

        Args:
            out: where to write them; may be `frames`. None: into a new array.
        """
        out = np.empty_like(frames) if out is None else out
        for at in range(frames.shape[-2]):
            frame = frames[..., at, :]
            self.state = _heard(self.state, frame.astype(np.float64))
            mean, deviation = (x.astype(np.float32)[..., None] for x in (self.mean, self.deviation))
            out[..., at, :] = (frame - mean) / deviation
        return out


def _heard(state: NDArray[np.float64], frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """The state after one more frame of each stream, (..., samples)."""
    mean, power, heard, floor, since_speech = np.moveaxis(state, -1, 0)
    loud = np.mean(frame.reshape(*frame.shape[:-1], -1, CHUNK) ** 2, axis=-1).max(-1)
    loudness = 10.0 * np.log10(loud + 1e-10)
    floor = np.minimum(loudness, floor + FLOOR_RISE_DB)
    since_speech = np.where(loudness > floor + GATE_DB, 0.0, since_speech + 1.0)
    counts = since_speech < HANGOVER_FRAMES
    heard = np.where(counts, np.minimum(heard + 1.0, LONGEST_FRAMES), heard)
    mean = np.where(counts, mean + (frame.mean(-1) - mean) / heard, mean)
    power = np.where(counts, power + ((frame**2).mean(-1) - power) / heard, power)
    return np.stack([mean, power, heard, floor, since_speech], axis=-1)
