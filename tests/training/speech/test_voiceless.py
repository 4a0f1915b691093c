"""Sound without a voice, and voices without a sound: what lips shall make of them."""

from __future__ import annotations

import numpy as np
import pytest

from stream.frames import SAMPLE_RATE
from training.speech import augment, voiceless
from training.speech.track import make_track
from training.speech.tracks import TrackSettings

SECONDS = 3


@pytest.mark.parametrize("kind", ["tone", "chord", "hum", "clicks", "laughter"])
def test_a_kind_of_sound_sounds_and_differs_each_time(kind: str) -> None:
    make = getattr(voiceless, kind)
    a, b = (make(SECONDS * SAMPLE_RATE, np.random.default_rng(seed)) for seed in (0, 1))
    for sound in (a, b):
        assert sound.shape == (SECONDS * SAMPLE_RATE,) and sound.dtype == np.float32
        assert np.isfinite(sound).all() and np.std(sound) > 1e-3
    assert not np.allclose(a, b)
    assert np.array_equal(a, make(SECONDS * SAMPLE_RATE, np.random.default_rng(0)))


def test_pieces_are_within_range_and_some_are_loud() -> None:
    sound = voiceless.without_a_voice(20 * SAMPLE_RATE, np.random.default_rng(2))
    blocks = sound[: len(sound) // 640 * 640].reshape(-1, 640)
    level = 10 * np.log10(np.mean(blocks**2, 1) + 1e-12)
    assert level.max() > -30 and level.min() < -70


def test_a_track_without_a_voice_keeps_the_lips_at_rest() -> None:
    track = make_track(_job([]))
    assert (track["phone"] == 0).all() and track["set"] == "voiceless"
    lips = track["motion"][:, 53]  # the jaw's angle, radians
    assert np.ptp(lips) < 0.02
    assert np.ptp(track["columns"].astype(np.float32)) > 1.0, "something is heard all the same"


def test_a_whisper_keeps_the_words_and_loses_the_pitch() -> None:
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    pulses = (np.diff(np.floor(time * 120.0), prepend=0.0) > 0).astype(np.float32)
    loud = (np.sin(2 * np.pi * 1.5 * time) > 0).astype(np.float32)
    voice = np.convolve(pulses, np.exp(-np.arange(80) / 8.0), "same").astype(np.float32) * loud
    whisper = augment.whispered(voice, np.random.default_rng(0))
    assert whisper.shape == voice.shape and whisper.dtype == np.float32
    assert _periodicity(voice) > 0.8 > 0.4 > _periodicity(whisper)
    envelopes = [np.abs(x).reshape(-1, 640).mean(1) for x in (voice, whisper)]
    assert np.corrcoef(envelopes)[0, 1] > 0.9


def _periodicity(sound: np.ndarray) -> float:
    """The greatest correlation of the first loud part with itself, 5 to 12 ms later."""
    part = sound[800:4800] - sound[800:4800].mean()
    whole = float(part @ part)
    return max(float(part[:-lag] @ part[lag:]) / whole for lag in range(80, 200))


def _job(utterances: list[object]) -> dict[str, object]:
    settings = TrackSettings()
    return {
        "seed": [1, 2],
        "style_seed": settings.seed,
        "utterances": utterances,
        "seconds": 4.0,
        "noises": [],
        "n_mels": 80,
        "set": "voiceless",
        "hearings": 1,
        "crowd": [],
        "motion_only": False,
        "lookahead": settings.lookahead,
        "input_gain": True,
        "teacher": False,
    }
