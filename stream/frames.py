"""The value that flows out of a session: one FLAME frame on the audio clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE, FPS = 16_000, 25
FRAME_SAMPLES = SAMPLE_RATE // FPS


@dataclass(eq=False, slots=True)
class Frame:
    """One finished frame; nobody changes it (`frozen` would take three times as long to make it).

    Attributes:
        sequence: 0, 1, 2, ... since the session's start or reset.
        sample: absolute index of the frame's first audio sample (640 per frame at 16 kHz).
        motion: (D,) float32, raw units: expression weights, head rotation (axis-angle, radians),
            jaw (radians).
    """

    sequence: int
    sample: int
    motion: NDArray[np.float32]
