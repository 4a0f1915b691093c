"""The past that a denoiser learns from: wrong in the ways that its own will be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffposetalk.schedule import noise_schedule, sampling_times
from diffposetalk.spec import DiffusionSpec
from head.channels import CHANNELS, ROTATION
from training.labels.gaze_drift import SHARE, TURNED, add_gaze_drift
from training.reports.long_run import mean_gaze
from training.starter.adjacent_windows import LENGTHS, Dropout, draw_times, missing_slots, perturb
from training.starter.mel_pretraining import LIPS

T_P, N, D = 12, 6, 54
LOOKS = [i for i, name in enumerate(CHANNELS) if name.startswith("eyeLook")]


@pytest.fixture
def rng() -> np.random.Generator:
    torch.manual_seed(0)
    return np.random.default_rng(0)


def test_lips_say_nothing_in_three_tenths_of_the_pasts(rng: np.random.Generator) -> None:
    context = torch.randn(1500, T_P, D)
    past = perturb(context, rng)
    lips = past[..., list(LIPS)]
    still = (lips.diff(dim=1).abs().amax((1, 2)) < 0.6).float().mean()
    assert 0.15 < still < 0.25
    told = torch.stack(
        [
            torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]
            for a, b in zip(lips, context[..., list(LIPS)], strict=True)
        ]
    )
    assert 0.25 < (told.abs() < 0.4).float().mean() < 0.35, "noise, or another window's lips"
    assert (past - context)[..., ROTATION].abs().max() < 0.1, "the head goes on from where it is"


def test_eyes_have_wandered_in_some_pasts_and_come_back(rng: np.random.Generator) -> None:
    mean, std = torch.zeros(D), torch.full((D,), 0.1)
    motion = torch.zeros(2000, T_P + N, D)
    motion[..., CHANNELS.index("eyeLookUpLeft")] = 1.0  # weight 0.1
    seen = torch.arange(2000) % 4 > 0
    out = add_gaze_drift(motion, T_P, seen, mean, std, rng)
    off = (out - motion)[..., LOOKS].abs().amax(-1)
    moved = off[:, 0] > 0
    assert not moved[~seen].any(), "where no past tells it, there is nothing to come back from"
    assert float(moved[seen].float().mean()) == pytest.approx(SHARE, abs=0.05)
    assert (off[moved, :T_P].diff(dim=1).abs() < 1e-6).all(), "all of the past is off by the same"
    assert (off[moved, T_P - 1 :].diff(dim=1) < 1e-6).all(), "then that fades"
    assert (off[moved, -1] < off[moved, 0]).all()
    still = [i for i in range(50) if i not in LOOKS] + [53]
    assert torch.equal(out[..., still], motion[..., still])
    raw = out * std
    assert raw[..., LOOKS].min() >= 0.0 and raw[..., LOOKS].max() <= 1.0
    up, down = (raw[..., CHANNELS.index(f"eyeLook{name}Left")] for name in ("Up", "Down"))
    assert (torch.minimum(up, down) == 0.0).all(), "nobody looks up and down at once"


def test_heads_have_turned_in_other_pasts_and_come_back(rng: np.random.Generator) -> None:
    motion, std = torch.zeros(2000, T_P + N, D), torch.full((D,), 0.1)
    seen = torch.arange(2000) % 4 > 0
    raw = add_gaze_drift(motion, T_P, seen, torch.zeros(D), std, rng)[..., ROTATION] * std[ROTATION]
    turned = raw[:, 0].abs().amax(-1) > 0
    assert not turned[~seen].any()
    assert float(turned[seen].float().mean()) == pytest.approx(SHARE, abs=0.05)
    np.testing.assert_allclose(raw[turned, 0].std(0), TURNED, rtol=0.1)
    torch.testing.assert_close(raw[:, T_P - 1], raw[:, 0])
    assert (raw[turned, T_P:].abs() < raw[turned, T_P - 1 : -1].abs()).all()


def test_some_windows_have_no_past_or_a_part_of_one(rng: np.random.Generator) -> None:
    missing = missing_slots(4000, T_P, 0.2, rng, least=torch.full((4000,), -3))
    assert 0.17 < (missing > 0).float().mean() < 0.23
    assert 0.45 < (missing[missing > 0] == T_P).float().mean() < 0.65
    least = torch.arange(50)
    assert torch.equal(missing_slots(50, T_P, 0.0, rng, least=least), least.clamp(max=T_P))


def test_a_mean_gaze_is_told_in_degrees() -> None:
    motion = np.zeros((10, D))
    for name, weight in (("OutLeft", 0.1), ("InRight", 0.1), ("DownLeft", 0.2), ("DownRight", 0.2)):
        motion[:5, CHANNELS.index(f"eyeLook{name}")] = weight
    assert mean_gaze(motion) == pytest.approx((np.degrees(0.0275), -np.degrees(0.046)))


def test_half_of_the_times_are_those_of_samplers_with_few_calls() -> None:
    """The other half is any of them; one call and two count double in the first half."""
    schedule = noise_schedule(DiffusionSpec())
    times = draw_times(40_000, schedule, np.random.default_rng(0)).numpy()
    grid = [t for calls in (1, 1, 2, 2, 3, 4, 8) for t in sampling_times(schedule, calls)]
    share = {t: grid.count(t) / len(grid) for t in grid}
    assert times.min() == 1 and times.max() == 500
    for t, weight in share.items():
        wanted = 0.5 * weight + 0.5 / 500
        assert np.mean(times == t) == pytest.approx(wanted, abs=0.01), t
    elsewhere = np.mean(~np.isin(times, grid))
    assert elsewhere == pytest.approx(0.5 * (1 - len(share) / 500), abs=0.01)


def test_conditions_are_left_out_as_often_as_is_said() -> None:
    """The starter's shares, and the lengths of its windows, which add up."""
    drop = Dropout()
    assert (drop.style, drop.both, drop.audio) == (0.15, 0.05, 0.05)
    assert (drop.truncate, drop.start) == (0.5, 0.12)
    shares = (0.06, 0.15, 0.38, 0.13, 0.07, 0.06, 0.07, 0.05, 0.03)
    assert dict(zip((1, 2, 3, 4, 6, 12, 25, 50, 100), shares, strict=True)) == LENGTHS
    assert sum(LENGTHS.values()) == pytest.approx(1.0)


def test_a_past_that_is_whole_in_most_windows() -> None:
    missing = missing_slots(40_000, 10, 0.2, np.random.default_rng(0))
    assert float((missing == 0).float().mean()) == pytest.approx(0.8, abs=0.01)
    # Half of the others begin the stream; the rest lack 1 to 10 slots alike.
    assert float((missing == 10).float().mean()) == pytest.approx(0.1 + 0.01, abs=0.01)
    for k in range(1, 10):
        assert float((missing == k).float().mean()) == pytest.approx(0.01, abs=0.005)
    least = missing_slots(3, 10, 0.0, np.random.default_rng(0), torch.tensor([0, 4, 99]))
    assert least.tolist() == [0, 4, 10]
