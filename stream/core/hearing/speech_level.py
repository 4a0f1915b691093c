"""How loud speech is, told apart from the room that it is spoken in.

Causal and from the sound of whole frames alone.  Speech is what stands well above the quietest
moment of the last 0.6 s, so that a steady noise, however loud, is none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PRIOR_DB, PRIOR_FRAMES = -28.0, 4
"""The level of speech before any was heard, and how many frames of it that is worth."""
LONGEST_FRAMES = 40
"""Of speech, after which its past fades: 1.6 s."""
FLOOR_FRAMES, PRIOR_FLOOR_DB = 15, -45.0
GATE_DB, LEAST_DB = 9.0, -66.0
"""Speech is GATE_DB above the least of the last FLOOR_FRAMES, and never below LEAST_DB."""
FALL = 0.5
"""What is quieter than the voice so far counts for less: rooms are, and ends of words."""

FRAMES_AT_ONCE = 64
"""Of many streams: more samples than theirs would leave the cache."""

NEVER = 1_000_000


AT_START: NDArray[np.float64] = np.array([PRIOR_DB, 0.0, NEVER, *[PRIOR_FLOOR_DB] * FLOOR_FRAMES])
"""The state of a stream that begins: what `SpeechLevel` has, and the last FLOOR_FRAMES."""


def loudness_of(frames: NDArray[np.floating]) -> Any:
    """Decibels of full scale of frames (..., n): (...)."""
    rows = frames.reshape(-1, frames.shape[-1])
    power, squares = np.empty(len(rows)), np.empty((min(len(rows), FRAMES_AT_ONCE), rows.shape[1]))
    for at in range(0, len(rows), FRAMES_AT_ONCE):
        part = slice(at, at + FRAMES_AT_ONCE)
        room = squares[: len(rows[part])]
        np.square(rows[part], dtype=np.float64, out=room)
        np.add.reduce(room, -1, out=power[part])
    power /= rows.shape[1]
    return 10.0 * np.log10(power.reshape(frames.shape[:-1]) + 1e-10)


class SpeechLevel:
    """The level of one stream's speech so far; or that of several streams, one beside the other.

    Args:
        state: (..., 3 + FLOOR_FRAMES) of each stream, see AT_START.

    Attributes:
        state: after the frames so far; replaced, never written into.
    """

    def __init__(self, state: NDArray[np.float64] | None = None) -> None:
        self.state = AT_START if state is None else state

    @property
    def decibels(self) -> Any:
        """Mean power of its frames, of full scale, (...)."""
        return self.state[..., 0][()]

    @property
    def heard(self) -> Any:
        """Frames of speech so far, at most LONGEST_FRAMES, (...)."""
        return self.state[..., 1][()]

    @property
    def since(self) -> Any:
        """Frames since the last one with speech, many before the first, (...)."""
        return self.state[..., 2][()]

    def hear(self, frame: NDArray[np.float64]) -> None:
        """Hear the streams' next frames, (..., n)."""
        self.follow(loudness_of(frame))

    def follow(self, loudness: Any) -> None:
        """The same with their loudness alone, (...)."""
        before, heard, since = self.decibels, self.heard, self.since
        after = np.empty_like(self.state)
        after[..., 3:-1], after[..., -1] = self.state[..., 4:], loudness
        floor = np.maximum(after[..., 3:].min(-1), -90.0)
        speech = loudness > np.maximum(floor + GATE_DB, LEAST_DB)
        heard = np.where(speech, np.minimum(heard + 1.0, LONGEST_FRAMES), heard)
        rate = np.where(loudness > before, 1.0, FALL) / (PRIOR_FRAMES + heard)
        after[..., 0] = before + np.where(speech, rate * (loudness - before), 0.0)
        after[..., 1], after[..., 2] = heard, np.where(speech, 0.0, since + 1.0)
        self.state = after
