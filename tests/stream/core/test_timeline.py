"""Sound with a bounded past: what goes in within bounds, what comes out by its absolute place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.timeline import Timeline


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([0.5, -1.0, 1.0], [0.5, -1.0, 1.0]),
        ([0.5, -1.5], [0.5, -1.0]),
        ([1.5, -0.5], [1.0, -0.5]),
        ([np.nan, 0.25], [0.0, 0.25]),
        ([np.inf, -np.inf, 0.5], [1.0, -1.0, 0.5]),
        ([], []),
    ],
)
def test_samples_are_kept_within_their_bounds(given: list[float], kept: list[float]) -> None:
    timeline = Timeline()
    timeline.append(np.array(given, np.float32))
    assert timeline.end == len(kept)
    assert timeline.read(0, len(kept)).tolist() == kept


def test_a_range_is_read_by_its_place_and_the_past_is_dropped() -> None:
    sound = np.random.default_rng(0).uniform(-1, 1, 70_000).astype(np.float32)
    timeline, at = Timeline(), 0
    for length in (1, 15_999, 1, 30_000, 0, 23_999):
        timeline.append(sound[at : at + length])
        at += length
        for start in (max(timeline.start, at - 9_000), at):
            np.testing.assert_array_equal(timeline.read(start, at), sound[start:at])
        timeline.drop_before(at - 9_000)
    assert timeline.start == 61_000 and timeline.end == 70_000
    with pytest.raises(IndexError):
        timeline.read(60_999, 61_001)
    with pytest.raises(IndexError):
        timeline.read(69_999, 70_001)


def test_before_the_first_sample_and_after_the_end_there_is_silence() -> None:
    timeline = Timeline()
    timeline.append(np.full(10, 0.5, np.float32))
    assert timeline.read(-2, 1).tolist() == [0, 0, 0.5]
    timeline.closed = True
    assert timeline.read(9, 12).tolist() == [0.5, 0, 0]
    with pytest.raises(ValueError, match="reset"):
        timeline.append(np.zeros(1, np.float32))
    with pytest.raises(ValueError, match="mono"):
        Timeline().append(np.zeros((2, 2), np.float32))


@given(st.lists(st.integers(0, 3000), max_size=40), st.integers(0, 2**31))
@settings(max_examples=50)
def test_timeline_returns_what_was_appended(sizes, seed) -> None:
    rng = np.random.default_rng(seed)
    audio = rng.uniform(-1, 1, sum(sizes)).astype(np.float32)
    line = Timeline()
    at = 0
    for size in sizes:
        line.append(audio[at : at + size])
        at += size
        low = int(rng.integers(line.start, at + 1))
        assert np.array_equal(line.read(low, at), audio[low:at])
        line.drop_before(low)
    assert np.array_equal(line.read(-5, 0), np.zeros(5, np.float32)[:5])
    line.close()
    assert np.array_equal(line.read(at, at + 7), np.zeros(7, np.float32))


def test_timeline_says_what_is_gone_and_what_has_not_come() -> None:
    line = Timeline()
    line.append(np.ones(100, np.float32))
    line.drop_before(50)
    with pytest.raises(IndexError, match="gone"):
        line.read(49, 60)
    with pytest.raises(IndexError, match="have arrived"):
        line.read(60, 101)
