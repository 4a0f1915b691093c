"""The play-out buffer: order, evenness, the smallest delay that 99 % of the frames meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viewer.play.playout import PlayoutBuffer, smallest_offset

RATE, HOP, PERIOD = 16000, 640, 0.04
TICK = 0.005


@dataclass(frozen=True)
class Stamp:
    sample: int


def play(
    buffer: PlayoutBuffer[Stamp], arrivals: list[tuple[float, int]], until: float
) -> list[tuple[float, int]]:
    """(time, sample) of what is shown when asked every 5 ms; arrivals are (time, sample)."""
    waiting, shown, tick = sorted(arrivals), [], 0
    while tick * TICK < until:
        now = tick * TICK
        while waiting and waiting[0][0] <= now:
            when, sample = waiting.pop(0)
            buffer.push(Stamp(sample), when)
        frame = buffer.due(now)
        if frame is not None:
            shown.append((now, frame.sample))
        tick += 1
    return shown


delays = st.lists(st.floats(0, 0.3), min_size=1, max_size=120)


@settings(max_examples=60)
@given(delays, st.none() | st.floats(0, 0.3), st.integers(-(10**9), 10**12))
def test_any_arrival_plays_in_order_and_every_frame_is_accounted_for(
    jitter: list[float], delay: float | None, first: int
) -> None:
    buffer: PlayoutBuffer[Stamp] = PlayoutBuffer(RATE, delay)
    arrivals = [(k * PERIOD + d, first + k * HOP) for k, d in enumerate(jitter)]
    shown = play(buffer, arrivals, len(jitter) * PERIOD + 1.5)
    samples = [sample for _, sample in shown]
    assert samples == sorted(set(samples))
    assert set(samples) <= {sample for _, sample in arrivals}
    counts = buffer.counts
    assert counts.pushed == len(jitter)
    assert counts.shown == len(samples)
    assert counts.pushed == counts.shown + counts.late + counts.skipped + counts.overflowed


@settings(max_examples=40)
@given(st.lists(st.floats(0, 0.1), min_size=5, max_size=100))
def test_a_delay_that_covers_the_jitter_shows_every_frame_evenly(jitter: list[float]) -> None:
    buffer: PlayoutBuffer[Stamp] = PlayoutBuffer(RATE, delay=0.15)
    jitter[0] = 0.0  # the fastest comes first: the offset is settled from the start
    arrivals = [(k * PERIOD + d, k * HOP) for k, d in enumerate(jitter)]
    shown = play(buffer, arrivals, len(jitter) * PERIOD + 1)
    assert [sample for _, sample in shown] == [k * HOP for k in range(len(jitter))]
    steps = np.diff([when for when, _ in shown])
    assert np.all(np.abs(steps - PERIOD) <= TICK + 1e-9)
    assert buffer.counts.late == buffer.counts.skipped == 0


def test_adaptive_delay_is_the_smallest_that_99_percent_meet() -> None:
    random = np.random.default_rng(1)
    buffer: PlayoutBuffer[Stamp] = PlayoutBuffer(RATE)
    arrivals = []
    for k in range(1500):
        burst = PERIOD * (1 - k % 2)  # two frames arrive together
        arrivals.append((k * PERIOD + burst + 0.1 + random.exponential(0.004), k * HOP))
    shown = play(buffer, arrivals, 61)
    lag = [when - sample / RATE for when, sample in shown if sample > 500 * HOP]
    transits = [when - sample / RATE for when, sample in arrivals]
    assert smallest_offset(transits) <= np.median(lag) <= smallest_offset(transits) + 0.02
    assert buffer.counts.late + buffer.counts.skipped < 0.02 * 1500
    transit = buffer.transit
    assert transit is not None
    assert transit.least == pytest.approx(0.1, abs=0.002)
    assert transit.delay == pytest.approx(smallest_offset(transits) - 0.1, abs=0.01)


def test_adaptive_delay_grows_at_once_and_shrinks_slowly() -> None:
    buffer: PlayoutBuffer[Stamp] = PlayoutBuffer(RATE)
    slow = range(300, 330)
    arrivals = [(k * PERIOD + (0.5 if k in slow else 0.1), k * HOP) for k in range(1500)]
    played = play(buffer, arrivals, 61)
    shown = {sample // HOP: when - sample / RATE for when, sample in played}
    assert shown[290] == pytest.approx(0.1, abs=2 * TICK)
    assert shown[340] == pytest.approx(0.5, abs=0.05)
    assert shown[1490] == pytest.approx(0.1, abs=2 * TICK)
    lags = [shown[k] for k in sorted(shown) if k > 340]
    assert np.min(np.diff(lags)) > -PERIOD / 2  # sped up, never jumped


def test_late_frames_are_counted_and_not_shown() -> None:
    buffer: PlayoutBuffer[Stamp] = PlayoutBuffer(RATE, delay=0.0)
    buffer.push(Stamp(640), 1.0)
    assert buffer.due(1.0) == Stamp(640)
    buffer.push(Stamp(0), 1.0)
    buffer.push(Stamp(640), 1.0)
    assert buffer.due(2.0) is None
    assert (buffer.counts.late, buffer.counts.shown) == (2, 1)


def test_the_newest_of_several_due_frames_wins() -> None:
    buffer: PlayoutBuffer[Stamp] = PlayoutBuffer(RATE, delay=0.0)
    for k in (2, 0, 1, 3):
        buffer.push(Stamp(k * HOP), 0.0)
    assert buffer.due(PERIOD * 2) == Stamp(3 * HOP)  # the offset is that of the fastest frame
    assert (buffer.counts.shown, buffer.counts.skipped) == (1, 3)


def test_the_buffer_is_bounded_and_drops_the_oldest() -> None:
    buffer: PlayoutBuffer[Stamp] = PlayoutBuffer(RATE, delay=9.0, capacity=10)
    for k in range(25):
        buffer.push(Stamp(k * HOP), k * PERIOD)
    assert buffer.counts.overflowed == 15
    shown = [buffer.due(9 + k * PERIOD) for k in range(25)]
    assert [f.sample // HOP for f in shown if f is not None] == list(range(15, 25))


def test_reset_accepts_a_new_timeline_from_zero() -> None:
    buffer: PlayoutBuffer[Stamp] = PlayoutBuffer(RATE)
    buffer.push(Stamp(10**9), 5.0)
    assert buffer.due(6.0) == Stamp(10**9)
    buffer.reset()
    assert buffer.due(6.0) is None and buffer.position(6.0) is None
    buffer.push(Stamp(0), 7.0)
    assert (buffer.counts.pushed, buffer.counts.shown) == (2, 1)
    assert buffer.due(7.0) == Stamp(0)
    assert buffer.position(7.5) == pytest.approx(0.5 * RATE)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="0 seconds or more"):
        PlayoutBuffer(RATE, delay=-0.1)
    with pytest.raises(ValueError, match="1 frame or more"):
        PlayoutBuffer(RATE, capacity=0)
