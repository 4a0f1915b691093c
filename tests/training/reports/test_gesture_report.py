"""Gestures that go with the speech are told from those that do not."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.live_figures import BLINK
from training.reports.gesture_report import AT_ACCENT, BROWS, Spoken, blink_starts, figures, near

N = 2000


def gesturing(times: np.ndarray, said: np.ndarray) -> Spoken:
    """A nod, a flash of the brows and a blink at `times` (s) of speech with stresses at `said`."""
    motion, frame = np.zeros((N, 54)), np.arange(N) / 25
    for time in times:
        bump = np.exp(-0.5 * ((frame - time - 0.1) / 0.06) ** 2)
        motion[:, 50] += 0.05 * bump
        motion[:, BROWS] += 0.3 * bump[:, None]
        motion[(frame >= time) & (frame < time + 0.2), BLINK[0] : BLINK[1] + 1] = 1.0
    motion += 1e-4 * np.random.default_rng(0).standard_normal(motion.shape)
    return Spoken(motion, said, said)


def test_what_comes_with_the_speech_is_far_above_one_and_what_does_not_is_near_it() -> None:
    rng = np.random.default_rng(1)
    said = np.sort(rng.choice(np.arange(2, 78), 30, replace=False)) + 0.01
    strays = np.setdiff1d(np.arange(2, 78), said.astype(int))[:4] + 0.5
    with_it, without = (
        figures([gesturing(np.sort(times), said)])
        for times in (np.append(said, strays), rng.uniform(1, 79, 60))
    )
    for name in ("head", "nod", "brows", "blinks_at_ends"):
        assert with_it[name] > 5.0, name
        assert 0.5 < without[name] < 2.0, name
    assert with_it["blinks"] == pytest.approx(34 / (N / 1500))
    assert with_it["blink_ms"] == pytest.approx(200, abs=5)


def test_a_blink_that_the_clip_cuts_off_is_none() -> None:
    motion = np.zeros((50, 54))
    for first, last in ((0, 3), (10, 15), (47, 50)):
        motion[first:last, BLINK[0] : BLINK[1] + 1] = 1.0
    motion[30:33, BLINK[0] : BLINK[1] + 1] = 0.4  # lids that only droop
    assert blink_starts(motion) == ([10], [5])


def test_near_is_from_and_to_in_seconds() -> None:
    found = np.flatnonzero(near([1.0], 60, AT_ACCENT))
    assert (found + 0.5).tolist() == [24.5, 25.5, 26.5, 27.5, 28.5, 29.5, 30.5]


def test_a_face_that_does_nothing_has_no_ratio() -> None:
    still = figures([Spoken(np.zeros((100, 54)), [1.0], [1.0])])
    assert np.isnan(still["head"]) and np.isnan(still["blink_ms"]) and still["blinks"] == 0
