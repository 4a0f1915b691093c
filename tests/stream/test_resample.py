"""Motion at another frame rate: the same frame by frame as at once, as long, and never repeated."""

from __future__ import annotations

import numpy as np
import pytest

from stream.resample import FILM_RATES, Resampler, at_rate, count_at_rate


@pytest.mark.parametrize("fps", [*FILM_RATES, 1, 90])
@pytest.mark.parametrize("length", [1, 2, 7, 26])
def test_frame_by_frame_is_as_at_once(fps: int, length: int) -> None:
    rows = np.random.default_rng(0).normal(size=(length, 5)).astype("f4")
    resampler, made = Resampler(fps), []
    for start in range(0, length, 3):
        made += resampler.feed(rows[start : start + 3])
    made += resampler.finish()
    assert np.allclose(np.stack(made), at_rate(rows, 25, fps), atol=1e-5)
    assert len(made) == count_at_rate(length, 25, fps)


@pytest.mark.parametrize("fps", FILM_RATES)
def test_a_steady_motion_stays_steady(fps: int) -> None:
    rows = np.arange(50, dtype="f4")[:, None]
    moved = at_rate(rows, 25, fps)[:, 0]
    assert np.allclose(moved, np.minimum(np.arange(len(moved)) * 25 / fps, 49), atol=1e-4)
    assert (np.diff(moved)[: -3 * fps // 25] > 0).all(), "no frame is shown twice"


def test_nothing_stays_nothing() -> None:
    resampler = Resampler(60)
    assert resampler.feed([]) == [] and resampler.finish() == []
    assert len(at_rate(np.zeros((0, 3), "f4"), 25, 60)) == 0


@pytest.mark.parametrize("fps", FILM_RATES)
def test_rows_that_never_came_leave_a_gap_and_no_jump(fps: int) -> None:
    resampler = Resampler(fps)
    begun = resampler.feed(np.zeros((5, 1), "f4"))
    resampler.skip(7)
    first = resampler.made
    later = resampler.feed(np.ones((3, 1), "f4"))
    assert len(begun) == 4 * fps // 25 + 1, "up to the fifth row"
    assert first / fps > 11 / 25 >= (first - 1) / fps, "none for the time of those that are missing"
    assert first + len(later) == resampler.made == 14 * fps // 25 + 1
    assert later[-1] == 1 and (np.diff(np.concatenate(later)) >= 0).all()
