"""Which recordings are fit to learn from, and to judge by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from training.corpora.alignment import well_aligned
from training.corpora.utterances import Utterance
from training.labels.phones import Phone

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


def test_words_that_the_alignment_missed_disqualify_a_recording(tmp_path: Path) -> None:
    phones = (Phone("AA", 0.5, 0.5),)  # all the rest is a pause
    for spoken, fit in (
        ([(0.5, 1.0)], True),
        ([(0.5, 1.0), (2.0, 2.1)], True),  # a click
        ([(0.5, 1.0), (1.6, 2.2)], False),
    ):
        utterance = Utterance("said", "a set", recording(tmp_path, spoken), 3.0, phones)
        assert well_aligned(utterance) is fit, spoken
