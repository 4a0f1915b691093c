from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.clock import FakeClock, MonotonicClock, unix_time
from stream.sources.capture_clock import CaptureClock

delays = st.lists(st.floats(0, 0.5), min_size=1, max_size=200)


@given(delays, st.floats(-1e4, 1e6))
def test_never_after_the_arrival_and_exact_once_a_block_came_undelayed(
    delay: list[float], start: float
) -> None:
    clock = CaptureClock(16000)
    for index, late in enumerate(delay, 1):
        arrival = start + index * 0.02 + late
        captured = clock.update(index * 320, arrival)
        assert captured <= arrival + 1e-6
        least = min(delay[:index])
        assert captured == pytest.approx(start + index * 0.02 + least, abs=1e-5)


@given(st.floats(-2e-3, 2e-3))
def test_a_device_with_a_wrong_rate_does_not_carry_the_estimate_away(drift: float) -> None:
    clock = CaptureClock(16000, window=5.0)
    for index in range(1, 60 * 50):
        truth = index * 0.02 * (1 + drift)
        captured = clock.update(index * 320, truth)
        assert truth - captured <= 5.0 * abs(drift) * 1.01 + 1e-9


def test_memory_is_constant() -> None:
    clock = CaptureClock(16000)
    for index in range(100_000):
        clock.update(index * 320, index * 0.02)
    assert len(clock._buckets) == 10


def test_bursts_of_a_sound_server_do_not_shake_the_estimate() -> None:
    rng = np.random.default_rng(1)
    clock = CaptureClock(16000)
    spread = []
    for index in range(1, 3000):
        arrival = np.ceil(index * 0.02 / 0.1) * 0.1 + rng.exponential(0.002)
        captured = clock.update(index * 320, arrival)
        spread.append(captured - index * 0.02)
    assert max(spread[100:]) - min(spread[100:]) < 0.003


def test_unix_time_of_a_moment() -> None:
    import time

    clock = MonotonicClock()
    assert unix_time(clock, clock.now() - 10) == pytest.approx(time.time() - 10, abs=0.05)


def test_fake_clock_moves_by_waiting() -> None:
    import threading

    clock = FakeClock(5.0)
    assert not clock.wait(threading.Event(), 2.0)
    assert clock.now() == 7.0
