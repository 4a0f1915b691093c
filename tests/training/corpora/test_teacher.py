"""The teacher's features: one for each motion frame, and none twice or never at a seam."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from training.corpora import teacher

RATE = 16_000


class Echo:
    """An encoder whose features are the numbers of the columns that it hears."""

    def feature_extractor(self, samples: Any, padding: int) -> Any:
        return samples[None, ::160]

    def encode(self, columns: Any) -> Any:
        assert columns.shape == (1, 3000)
        return columns[:, ::2, None]


@pytest.mark.parametrize("seconds", [0.5, 12.34, 30.0, 31.0, 58.0, 90.02])
def test_windows_join_without_a_seam(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher, "whisper", lambda: Echo())
    samples = (np.arange(round(seconds * RATE)) / RATE).astype(np.float32)
    told = teacher.teacher_features(samples)
    frames = len(samples) // 640
    assert told.shape == (frames, 1) and told.dtype == np.float16
    expected = np.arange(frames) * 0.04 + 0.01  # the mean of what its two features say
    np.testing.assert_allclose(told[:, 0], expected, rtol=1e-3, atol=0.002)


@pytest.mark.extra("corpora")
def test_whisper_says_finite_numbers_that_move() -> None:
    time = np.arange(4 * RATE) / RATE
    voice = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 20))
    samples = (0.1 * voice * (np.sin(2 * np.pi * 3 * time) > 0)).astype(np.float32)
    told = teacher.teacher_features(samples)
    assert told.shape == (100, 384) and np.isfinite(told).all()
    assert told.astype(np.float32).std(0).mean() > 0.1
