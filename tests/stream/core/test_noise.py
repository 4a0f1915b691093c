"""Noise belongs to its frame, and sways where it is asked to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.noise import NoiseTrack, frame_noise


@given(seed=st.integers(0, 2**64), start=st.integers(-50, 2**40), cut=st.integers(1, 20))
def test_noise_belongs_to_the_frame(seed, start, cut) -> None:
    start = max(start, 0)
    whole = frame_noise(seed, start, start + 20, 54)
    assert np.array_equal(whole[cut:], frame_noise(seed, start + cut, start + 20, 54))


@given(start=st.integers(0, 2**40), cut=st.integers(1, 19), frames=st.integers(1, 30))
@settings(max_examples=30)
def test_swaying_noise_belongs_to_the_frame_too(start, cut, frames) -> None:
    whole = NoiseTrack(7, 54, slice(50, 53), frames).take(start, start + 20)
    later = NoiseTrack(7, 54, slice(50, 53), frames).take(start + cut, start + 20)
    np.testing.assert_allclose(whole[cut:], later, atol=1e-6)
    white = frame_noise(7, start, start + 20, 54)
    assert np.array_equal(whole[:, :50], white[:, :50])
    assert frames > 1 or np.allclose(whole, white, atol=1e-6)


@given(
    moves=st.lists(st.tuples(st.integers(-40, 60), st.integers(0, 30)), max_size=12),
    frames=st.integers(1, 30),
)
@settings(max_examples=40)
def test_a_track_draws_the_noise_that_a_fresh_one_would(moves, frames) -> None:
    track, start = NoiseTrack(7, 54, slice(50, 53), frames), 0
    for step, length in moves:
        start = max(0, start + step)
        expected = NoiseTrack(7, 54, slice(50, 53), frames).take(start, start + length)
        assert np.array_equal(track.take(start, start + length), expected)


def test_swaying_noise_is_slow_and_has_unit_variance() -> None:
    noise = NoiseTrack(1, 54, slice(50, 53), 25).take(0, 4000)
    assert noise[:, 50:53].std() == pytest.approx(1.0, abs=0.1)
    assert np.diff(noise[:, 50:53], axis=0).std() < 0.3 < np.diff(noise[:, :50], axis=0).std()


@pytest.mark.parametrize(("seed", "frame"), [(0, 0), (7, 3), (2**63 + 5, 2**40), (7, -2)])
def test_a_frames_noise_is_philoxs_of_its_own_counter(seed, frame) -> None:
    counter = np.array([0, 0, 0, frame % 2**64], np.uint64)
    bits = np.random.Philox(key=seed, counter=counter)
    expected = np.random.Generator(bits).standard_normal(54, np.float32)
    before = frame_noise(seed, frame - 1, frame + 1, 54)
    assert np.array_equal(before[1], expected) and not np.array_equal(before[0], expected)
