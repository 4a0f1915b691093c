"""The timeline of pushed speech: laid once, in order, and no more than it may hold."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.run.push.timeline import PushTimeline


@given(
    pieces=st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 4000)), max_size=12),
    ahead=st.sampled_from([0, 960_000]),
    most=st.sampled_from([640, 5000]),
)
@settings(max_examples=30)
def test_what_was_pushed_is_laid_once_in_order_with_silence_between(
    pieces: list[tuple[int, int]], ahead: int, most: int
) -> None:
    timeline = PushTimeline(ahead=ahead, capacity=960_000, cushion=640)
    now, laid, mark = 0, [np.zeros(0, "f4")], 1
    for wait, length in pieces:
        now += wait
        assert timeline.push(np.arange(mark, mark + length, dtype="f4"), now)
        mark += length
        laid.append(timeline.take(now, most))
        assert timeline.end <= now + ahead
    for _ in range(60):
        now += 640
        laid.append(timeline.take(now, most))
    whole = np.concatenate(laid)
    assert np.array_equal(whole[whole > 0], np.arange(1, mark, dtype="f4"))
    assert len(whole) == timeline.end
    if most == 5000:
        assert timeline.end >= now  # it has caught up


def test_a_timeline_lays_as_little_as_it_is_asked_for() -> None:
    timeline = PushTimeline(ahead=960_000, capacity=960_000, cushion=640)
    assert timeline.push(np.ones(10, "f4"), 0)
    assert [len(timeline.take(0, most)) for most in (0, 1, 5)] == [0, 1, 5]


def test_a_timeline_holds_a_minute_and_no_more() -> None:
    timeline = PushTimeline(ahead=960_000, capacity=960_000, cushion=640)
    assert timeline.push(np.ones(950_000, "f4"), 0)
    assert not timeline.push(np.ones(20_000, "f4"), 0)
    timeline.take(0, 960_000)
    assert timeline.push(np.ones(20_000, "f4"), 16_000)


def test_a_timeline_at_rest_takes_all_that_it_may_hold_and_not_a_sample_more() -> None:
    for clock in (0, 5_000):
        timeline = PushTimeline(ahead=960_000, capacity=960_000, cushion=0)
        assert not timeline.push(np.ones(960_001, "f4"), clock)
        assert timeline.waiting == 0
        assert timeline.push(np.ones(960_000, "f4"), clock)
        assert not timeline.fits(1, clock)
