"""A recording in which a voice-like tone speaks when it is told to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000


def recording(folder: Path, spoken: list[tuple[float, float]]) -> Path:
    """Three seconds of a quiet room in which a voice-like tone sounds from and to these seconds."""
    rng = np.random.default_rng(0)
    time = np.arange(3 * RATE) / RATE
    voice = 0.2 * sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 12))
    sound = 1e-4 * rng.standard_normal(len(time))
    for start, end in spoken:
        inside = (time >= start) & (time < end)
        sound[inside] += voice[inside]
    path = folder / "said.wav"
    soundfile.write(path, sound, RATE)
    return path
