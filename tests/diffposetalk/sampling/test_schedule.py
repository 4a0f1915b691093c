"""The forward process against the published numbers, and the steps at which it is sampled."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from diffposetalk.schedule import noise_schedule, posterior_sigma, sampling_times, schedule_buffers
from diffposetalk.spec import DiffusionSpec

COSINE = noise_schedule(DiffusionSpec())
SCHEDULES = ("cosine", "linear", "quadratic", "sigmoid")


def test_cosine_betas_are_the_released_ones() -> None:
    expected = {0: 0.0, 1: 1e-4, 2: 1.0682e-4, 250: 0.0062720, 499: 0.75001, 500: 0.999}
    for t, beta in expected.items():
        assert COSINE.betas[t] == pytest.approx(beta, rel=3e-5, abs=1e-8), t


def test_cosine_alpha_bars_are_the_released_ones() -> None:
    expected = {
        0: 1.0,
        1: 0.9999000,
        2: 0.9997932,
        50: 0.9720807,
        100: 0.8986948,
        250: 0.4938374,
        400: 0.0940444,
        499: 9.7143e-6,
        500: 9.7142e-9,
    }
    for t, alpha_bar in expected.items():
        assert COSINE.alpha_bar[t] == pytest.approx(alpha_bar, rel=1e-5), t
        if t in range(1, 401):
            assert COSINE.alpha_bar[t] == pytest.approx(alpha_bar, abs=2e-7), t


@pytest.mark.parametrize("t,lambda_", [(498, -5.08), (499, -5.77), (500, -9.22)])
def test_lambda_jumps_at_the_clipped_end(t: int, lambda_: float) -> None:
    assert COSINE.lambda_[t] == pytest.approx(lambda_, abs=0.005)


@pytest.mark.parametrize("name", SCHEDULES)
def test_signal_and_noise_share_the_variance(name: str) -> None:
    schedule = noise_schedule(DiffusionSpec(schedule=name))  # type: ignore[arg-type]
    assert schedule.steps == 500
    np.testing.assert_allclose(schedule.alpha**2 + schedule.sigma**2, 1.0, atol=1e-12)
    assert np.all(np.diff(schedule.lambda_) < 0)
    assert schedule.lambda_[0] == np.inf
    if name != "cosine":
        assert schedule.betas[[1, 500]] == pytest.approx([1e-4, 0.02], rel=0.5)


def test_buffers_have_the_released_tables() -> None:
    tables = schedule_buffers(COSINE)
    assert {name: table.shape for name, table in tables.items()} == dict.fromkeys(
        ("betas", "alphas", "alpha_bars", "sigmas_flex", "sigmas_inflex"), (501,)
    )
    assert all(table.dtype == np.float32 for table in tables.values())
    # The posterior adds nothing in the last step, and less than the forward step before.
    sigma = posterior_sigma(COSINE)
    assert sigma[0] == sigma[1] == 0.0
    assert np.all(sigma[2:] < np.sqrt(COSINE.betas[2:]))
    t = 250
    a = COSINE.alpha_bar
    assert sigma[t] ** 2 == pytest.approx((1 - a[t - 1]) / (1 - a[t]) * COSINE.betas[t])


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("calls", range(1, 21))
def test_sampling_times(name: str, calls: int) -> None:
    schedule = noise_schedule(DiffusionSpec(schedule=name))  # type: ignore[arg-type]
    times = sampling_times(schedule, calls)
    assert len(times) == calls
    assert times[0] == 498
    assert times[-1] >= 1
    assert all(a > b for a, b in pairwise(times))
    # Uniform in lambda, up to rounding to a whole t.
    wanted = np.linspace(schedule.lambda_[498], schedule.lambda_[1], calls + 1)[:-1]
    for t, target in zip(times, wanted, strict=True):
        near = abs(schedule.lambda_[[max(t - 1, 1), t + 1]] - schedule.lambda_[t]).max()
        assert abs(schedule.lambda_[t] - target) <= near


def test_crowded_times_move_to_the_next_free_one() -> None:
    short = noise_schedule(DiffusionSpec(steps=12))
    assert sampling_times(short, 10) == tuple(range(10, 0, -1))
    for calls in range(1, 11):
        times = sampling_times(short, calls)
        assert len(set(times)) == calls
        assert min(times) >= 1


@pytest.mark.parametrize("calls", [0, 499])
def test_impossible_calls(calls: int) -> None:
    with pytest.raises(ValueError, match="choose 1 to 498"):
        sampling_times(COSINE, calls)


def test_a_diffusion_has_steps() -> None:
    with pytest.raises(ValueError, match="at least 3 steps"):
        noise_schedule(DiffusionSpec(steps=2))
