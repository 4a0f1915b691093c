"""The level of the speech that comes in: of speech alone, in blocks of any size."""

from __future__ import annotations

import numpy as np
import pytest

from stream.run.input_level import InputLevel


def speech(seconds: float, decibels: float, room: float = -80.0) -> np.ndarray:
    """Noise in words of 8 frames with pauses of 3, over a quiet room."""
    frames = round(seconds * 25)
    made = np.random.default_rng(0).standard_normal((frames, 640))
    loud = np.where(np.arange(frames) % 11 < 8, decibels, room)
    return (made * 10 ** (loud / 20)[:, None]).astype(np.float32).reshape(-1)


def heard(samples: np.ndarray) -> InputLevel:
    level = InputLevel()
    level.hear(samples)
    return level


@pytest.mark.parametrize(
    ("decibels", "state"), [(-20.0, "ok"), (-35.0, "ok"), (-48.0, "ok"), (-56.0, "low")]
)
def test_the_level_is_that_of_the_speech_and_not_of_its_pauses(decibels: float, state: str) -> None:
    level = heard(speech(24.0, decibels))
    assert level.decibels == pytest.approx(decibels, abs=1.5)
    assert level.state == state
    assert f"{level.decibels:.0f} dBFS" in level.text


@pytest.mark.parametrize("size", [37, 640, 5000])
def test_blocks_of_any_size_give_the_same(size: int) -> None:
    samples = speech(1.5, -30.0)
    parts = InputLevel()
    for start in range(0, len(samples), size):
        parts.hear(samples[start : start + size])
    assert parts.decibels == heard(samples).decibels


def test_a_room_without_speech_has_no_level() -> None:
    room = 10 ** (-50 / 20) * np.random.default_rng(0).standard_normal(160_000)
    level = heard(room.astype(np.float32))
    assert level.decibels is None and level.state == "silent"
    assert level.text == "no speech yet"


def test_what_clips_is_told_for_a_while_even_resampled() -> None:
    soxr = pytest.importorskip("soxr")
    seconds = np.arange(48_000) / 48_000
    clipped = np.clip(2.5 * np.sin(2 * np.pi * 150 * seconds), -1.0, 1.0)
    samples = np.clip(soxr.resample(clipped, 48_000, 16_000), -1.0, 1.0).astype(np.float32)
    level = heard(samples)
    assert level.state == "clips" and "CLIPS" in level.text
    level.hear(speech(1.0, -30.0))
    assert level.state == "clips"
    level.hear(speech(2.0, -30.0))
    assert level.state == "ok"


def test_loud_speech_that_keeps_clear_of_full_scale_does_not_clip() -> None:
    samples = speech(4.0, -14.0)
    assert heard(np.clip(samples, -0.97, 0.97)).state == "ok"
