"""Crops are heard as other throats and microphones would have them, and silence stays silence."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffposetalk.network.mel_front import HOP_SAMPLES, LOWEST, SCALE_DB, mel_filterbank
from stream.frames import SAMPLE_RATE
from training.speech import column_augment as augment

CENTRES_HZ = 700.0 * np.expm1(
    np.linspace(1127 * np.log1p(60 / 700), 1127 * np.log1p(7600 / 700), 82)[1:-1] / 1127.0
)


def formant(hertz: float, batch: int = 64) -> torch.Tensor:
    """Columns (batch, 16, 80) with one broad peak."""
    peak = 1.5 * np.exp(-0.5 * ((CENTRES_HZ - hertz) / (0.1 * hertz)) ** 2) - 1.0
    return torch.from_numpy(np.tile(peak.astype(np.float32), (batch, 16, 1)))


def test_a_formant_moves_by_the_throats_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "OTHER_THROAT", 1.0)
    moved = augment.other_throats(formant(1500.0), np.random.default_rng(0))
    heard = CENTRES_HZ[moved[:, 0].argmax(1).numpy()] / 1500.0
    # As far as the factors go, to a band.
    assert heard.min() < augment.LONGEST + 0.05 and heard.max() > augment.SHORTEST - 0.05
    assert (heard > augment.LONGEST - 0.05).all() and (heard < augment.SHORTEST + 0.05).all()
    assert torch.equal(moved[:, 0], moved[:, 7]), "all of a crop is spoken by one throat"


def test_a_throat_of_its_own_length_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "OTHER_THROAT", 1.0)
    monkeypatch.setattr(augment, "LONGEST", 1.0)
    monkeypatch.setattr(augment, "SHORTEST", 1.0)
    columns = torch.randn(3, 8, 80)
    assert torch.allclose(
        augment.other_throats(columns, np.random.default_rng(0)), columns, atol=1e-4
    )


def test_the_bands_are_the_encoders() -> None:
    tone = np.sin(2 * np.pi * 1500.0 * np.arange(HOP_SAMPLES * 40) / SAMPLE_RATE)
    power = np.abs(np.fft.rfft(tone[:512] * np.hanning(512))) ** 2
    band = int((power @ mel_filterbank(80)).argmax())
    assert abs(CENTRES_HZ[band] / 1500.0 - 1.0) < 0.05


def test_colour_is_a_curve_of_the_whole_crop_and_leaves_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(augment, "COLOURED", 1.0)
    columns = torch.zeros(400, 6, 80)
    columns[:, 3] = LOWEST
    out = augment.coloured(columns, np.random.default_rng(0))
    assert (out[:, 3] == LOWEST).all()
    curve = out[:, 0]
    assert torch.equal(curve, out[:, 5])
    knots = curve[:, [0, -1]].std() * SCALE_DB
    assert abs(float(knots) / augment.COLOUR_DB - 1.0) < 0.15
    bends = curve.diff(n=2, dim=1).abs() > 1e-4
    assert bends.sum(1).max() <= 2 * (augment.COLOUR_KNOTS - 2), "straight between its knots"


def test_holes_are_two_bands_and_a_moment_at_most() -> None:
    columns = torch.ones(300, 40, 80)
    out = augment.with_holes(columns, np.random.default_rng(0))
    holed = (out != 1.0).flatten(1).any(1)
    assert abs(float(holed.float().mean()) - augment.MASKED) < 0.1
    bands = (out != 1.0).all(1).sum(1)
    assert bands.max() <= 2 * augment.WIDEST_BAND and bands.max() > augment.WIDEST_BAND
    moments = (out != 1.0).all(2).sum(1)
    assert moments.max() < augment.LONGEST_GAP
    assert (columns == 1.0).all(), "what was given stays"


def test_the_same_chance_disturbs_alike_and_another_does_not() -> None:
    columns = torch.randn(8, 120, 80)
    first, again, other = (
        augment.disturbed(columns, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.isfinite(first).all() and first.shape == columns.shape
