"""How loud speech is, told apart from the room that it is spoken in.

Causal and from the sound of whole frames alone.  Speech is what stands well above the quietest
moment of the last 0.6 s, so that a steady noise, however loud, is none.
"""

from __future__ import annotations

import math

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

NEVER = 1_000_000


class SpeechLevel:
    """The level of one stream's speech so far.

    Attributes:
        decibels: mean power of its frames, of full scale.
        heard: frames of speech so far, at most LONGEST_FRAMES.
        since: frames since the last one with speech; many before the first.
    """

    def __init__(self) -> None:
        self.decibels = PRIOR_DB
        self.heard = 0
        self.since = NEVER
        self._recent = np.full(FLOOR_FRAMES, PRIOR_FLOOR_DB)

    def hear(self, frame: NDArray[np.float64]) -> None:
        """Hear the stream's next frame, (n,)."""
        loudness = 10.0 * math.log10(float(np.mean(frame**2)) + 1e-10)
        self._recent = np.append(self._recent[1:], loudness)
        floor = max(float(self._recent.min()), -90.0)
        if loudness <= max(floor + GATE_DB, LEAST_DB):
            self.since += 1
            return
        self.since = 0
        self.heard = min(self.heard + 1, LONGEST_FRAMES)
        rate = (1.0 if loudness > self.decibels else FALL) / (PRIOR_FRAMES + self.heard)
        self.decibels += rate * (loudness - self.decibels)
