"""Live normalisation: what is speech sets the level, once per frame, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.level_normaliser import PRIOR_DEVIATION, RunningLevel


def noise(frames: int, level: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal((frames, 640))).astype(np.float32)


def speech(frames: int, level: float = 0.1, seed: int = 0) -> np.ndarray:
    """Noise in words of 8 frames with pauses of 2, over a quiet room."""
    loud = (np.arange(frames) % 10 < 8)[:, None]
    return np.where(loud, noise(frames, level, seed), noise(frames, 0.0005, seed + 1))


def test_the_level_of_speech_becomes_a_clips() -> None:
    for level in (0.05, 0.1, 0.3):
        clip, running = speech(150, level) + np.float32(0.01), RunningLevel()
        normal = running.apply(clip)
        assert running.deviation == pytest.approx(clip.std(), rel=0.15)
        assert normal[-50:].std() == pytest.approx(1.0, rel=0.15)
        assert running.mean == pytest.approx(clip.mean(), rel=0.2)


@pytest.mark.parametrize("level", [0.0, 0.0005, 0.005, 0.02])
def test_a_silent_or_noisy_room_is_not_pumped_up(level: float) -> None:
    running = RunningLevel()
    out = running.apply(noise(1500, level))
    assert running.deviation == pytest.approx(PRIOR_DEVIATION, rel=0.05)
    assert out[-25:].std() < 1.2 * level / PRIOR_DEVIATION + 1e-6
    talked = RunningLevel()
    talked.apply(speech(100, 0.1))
    before = talked.deviation
    talked.apply(noise(1500, level / 10))
    assert talked.deviation == pytest.approx(before, rel=0.1)


@given(cuts=st.lists(st.integers(0, 20), max_size=8))
@settings(max_examples=20)
def test_frames_are_the_same_in_any_portions(cuts: list[int]) -> None:
    clip = speech(60)
    whole, parts, at, running = RunningLevel().apply(clip), [], 0, RunningLevel()
    for cut in [*cuts, 60]:
        parts.append(running.apply(clip[at : at + cut]))
        at = min(60, at + cut)
    assert np.array_equal(np.concatenate(parts), whole)


def test_later_sound_changes_no_earlier_frame() -> None:
    a, b = speech(40), speech(40)
    b[20:] = speech(20, level=0.5, seed=7)
    ours, theirs = RunningLevel().apply(a), RunningLevel().apply(b)
    assert np.array_equal(ours[:20], theirs[:20]) and not np.array_equal(ours[20:], theirs[20:])
