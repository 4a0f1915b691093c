"""Rooms, telephones, codecs, levels: they change the sound and keep its length and timing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from training.speech import lines

RATE = lines.SAMPLE_RATE


def clip(seconds: float = 2.0) -> np.ndarray:
    """Bursts of a buzz with sharp onsets."""
    t = np.arange(round(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 30))
    return (0.1 * buzz * (t % 0.5 < 0.3)).astype(np.float32)


WAYS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "room": lines.measured_room,
    "telephone": lines.telephone,
    "cellular": lines.cellular,
    "opus": lambda samples, rng: lines.opus(samples, 12_000),
    "level": lines.wandering_level,
}


@pytest.mark.parametrize("name", WAYS)
def test_length_timing_and_chance(name: str) -> None:
    samples, way = clip(), WAYS[name]
    heard = way(samples, np.random.default_rng(1))
    assert heard.shape == samples.shape and heard.dtype == np.float32
    assert np.isfinite(heard).all()
    assert np.array_equal(heard, way(samples, np.random.default_rng(1)))
    # The envelopes line up within 10 ms.
    one, other = (np.abs(s[: len(s) // 80 * 80]).reshape(-1, 80).mean(1) for s in (samples, heard))
    lags = range(-10, 11)
    inner = slice(12, len(one) - 12)
    fit = [np.corrcoef(one[inner], np.roll(other, -lag)[inner])[0, 1] for lag in lags]
    assert abs(lags[int(np.argmax(fit))]) <= 2 and max(fit) > 0.5
    quiet = way(np.zeros(RATE, np.float32), np.random.default_rng(1))
    assert np.abs(quiet).max() < 1e-3


def test_a_telephone_has_no_treble_and_a_room_rings() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(RATE).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(lines.telephone(noise, rng)))
    assert spectrum[5000:].mean() < 0.03 * spectrum[1000:2500].mean()
    click = np.zeros(RATE, np.float32)
    click[100] = 1.0
    dry, wet = (lines.measured_room(click, np.random.default_rng(2), rt60=t) for t in (0.15, 0.8))
    late = slice(100 + RATE // 4, None)
    assert np.square(wet[late]).sum() > 20 * np.square(dry[late]).sum()


def test_levels_are_those_of_microphones_and_wander() -> None:
    samples = clip(12.0)
    for decibels in (-55.0, -30.0, -12.0):
        assert lines.speech_level(lines.at_level(samples, decibels)) == pytest.approx(
            decibels, abs=0.5
        )
    found = [
        lines.speech_level(lines.wandering_level(samples, np.random.default_rng(k)))
        for k in range(40)
    ]
    assert min(found) < -40 and max(found) > -20
    assert min(found) > -57 and max(found) < -8
    heard = lines.wandering_level(samples, np.random.default_rng(3)).reshape(-1, 8000)
    each = [lines.speech_level(part) for part in heard]
    assert np.ptp(each) > 3.0


def test_quantising_comes_after_the_level() -> None:
    quiet = lines.at_level(clip(), -70.0)
    assert len(np.unique(lines.coarse(quiet))) < 60 < len(np.unique(quiet))


def test_music_is_tonal_and_of_unit_size() -> None:
    played = lines.music(4 * RATE, np.random.default_rng(0))
    assert played.std() == pytest.approx(1.0, abs=0.01)
    spectrum = np.abs(np.fft.rfft(played))[:20_000]
    assert np.sort(spectrum)[-200:].sum() > 0.1 * spectrum.sum()
    assert not np.array_equal(played, lines.music(4 * RATE, np.random.default_rng(1)))
