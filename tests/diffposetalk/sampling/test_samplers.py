"""Samplers on a distribution whose denoiser is known in closed form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from diffposetalk.sampling.samplers import (
    Known,
    add_noise,
    ancestral,
    dpm_solver_pp_2m,
    known_prefix,
)
from diffposetalk.schedule import NoiseSchedule, noise_schedule, sampling_times
from diffposetalk.spec import DiffusionSpec

SCHEDULE = noise_schedule(DiffusionSpec())
MEAN, STD = 0.3, 0.5


def gaussian(x: Tensor, t: int) -> Tensor:
    """E[x0 | x_t] when x0 ~ N(MEAN, STD^2)."""
    alpha, sigma = float(SCHEDULE.alpha[t]), float(SCHEDULE.sigma[t])
    gain = alpha * STD**2 / (alpha**2 * STD**2 + sigma**2)
    return MEAN + gain * (x - alpha * MEAN)


def exact(noise: Tensor) -> Tensor:
    """Where the probability-flow ODE takes x_498 = noise: it keeps the number of deviations."""
    alpha, sigma = float(SCHEDULE.alpha[498]), float(SCHEDULE.sigma[498])
    return MEAN + STD * (noise - alpha * MEAN) / (alpha**2 * STD**2 + sigma**2) ** 0.5


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("calls", range(1, 21))
def test_network_calls_are_the_steps(calls: int) -> None:
    seen: list[int] = []

    def denoise(x: Tensor, t: int) -> Tensor:
        seen.append(t)
        return gaussian(x, t)

    result = dpm_solver_pp_2m(denoise, noise(1, 3, 2), calls, SCHEDULE)
    assert tuple(seen) == sampling_times(SCHEDULE, calls)
    assert result.shape == (1, 3, 2)


def test_solver_converges_with_second_order() -> None:
    """In float64, halving the step must quarter the error; the first order would halve it."""
    x = noise(1, 50, 4).double()
    errors = {
        calls: (dpm_solver_pp_2m(gaussian, x, calls, SCHEDULE) - exact(x)).abs().max().item()
        for calls in (10, 20, 40, 80)
    }
    assert errors[20] < 0.03
    assert errors[40] < errors[20] / 3
    assert errors[80] < errors[40] / 3


def test_one_call_returns_the_estimate() -> None:
    x = noise(2, 4, 3)
    torch.testing.assert_close(dpm_solver_pp_2m(gaussian, x, 1, SCHEDULE), gaussian(x, 498))


def test_a_perfect_denoiser_is_never_doubted() -> None:
    truth = noise(1, 5, 3, seed=1)
    for calls in (1, 2, 3, 7):
        out = dpm_solver_pp_2m(lambda x, t: truth, noise(1, 5, 3), calls, SCHEDULE)
        torch.testing.assert_close(out, truth, rtol=0, atol=0)


@pytest.mark.parametrize("calls", [1, 2, 4, 9])
def test_known_frames_are_kept_and_follow_their_own_noise(calls: int) -> None:
    """At every step x_t = alpha x0 + sigma eps there, so D sees what it was trained on."""
    x, motion = noise(2, 6, 3), noise(2, 2, 3, seed=1)
    known = known_prefix(motion, 6)

    def denoise(x_t: Tensor, t: int) -> Tensor:
        path = float(SCHEDULE.alpha[t]) * motion + float(SCHEDULE.sigma[t]) * x[:, :2]
        torch.testing.assert_close(x_t[:, :2], path, rtol=0, atol=2e-5)
        return gaussian(x_t, t)

    scale = torch.tensor([0.0, 0.5, 1.0])
    out = dpm_solver_pp_2m(denoise, x, calls, SCHEDULE, known, scale)
    torch.testing.assert_close(out[:, :2], motion, rtol=0, atol=0)
    free = dpm_solver_pp_2m(gaussian, x, calls, SCHEDULE, noise_scale=scale)
    torch.testing.assert_close(out[:, 2:], free[:, 2:])  # gaussian() treats frames apart


def test_what_is_imputed_enters_the_history() -> None:
    """A neighbour that copies a known frame must see the committed motion, not D's idea of it."""
    known = known_prefix(torch.full((1, 1, 1), 2.0), 2)

    def copies(x: Tensor, t: int) -> Tensor:
        return torch.stack([torch.full_like(x[:, 0], -9.0), x[:, 0]], dim=1)

    out = dpm_solver_pp_2m(copies, torch.zeros(1, 2, 1), 20, SCHEDULE, known)
    t = sampling_times(SCHEDULE, 20)[-1]
    assert out[0, 1, 0].item() == pytest.approx(2.0 * float(SCHEDULE.alpha[t]), abs=1e-4)


def test_known_prefix() -> None:
    known = known_prefix(torch.ones(2, 0, 3), 4)
    assert known.motion.shape == (2, 4, 3)
    assert not known.mask.any()
    assert known_prefix(torch.ones(2, 3, 3), 4).mask.flatten().tolist() == [1, 1, 1, 0]


def test_initial_noise_is_scaled_by_channel() -> None:
    seen: list[Tensor] = []

    def denoise(x: Tensor, t: int) -> Tensor:
        seen.append(x)
        return x

    x = noise(1, 4, 2)
    dpm_solver_pp_2m(denoise, x, 1, SCHEDULE, noise_scale=torch.tensor([0.25, 1.0]))
    torch.testing.assert_close(seen[0], x * torch.tensor([0.25, 1.0]))


def test_ancestral_sampling_gives_the_distribution() -> None:
    steps = [noise(1, 4000, 1, seed=t) for t in range(SCHEDULE.steps - 1)]
    out = ancestral(gaussian, noise(1, 4000, 1, seed=999), steps, SCHEDULE)
    assert out.mean().item() == pytest.approx(MEAN, abs=0.03)
    assert out.std().item() == pytest.approx(STD, abs=0.03)


def test_ancestral_step_is_the_posterior() -> None:
    """One step against q(x_{t-1} | x_t, x0) worked out by hand, on a diffusion of three steps."""
    schedule = NoiseSchedule(noise_schedule(DiffusionSpec(steps=4)).betas[:3])  # betas 0, b1, b2
    b1, b2 = schedule.betas[1:]
    a1, a2 = 1 - b1, (1 - b1) * (1 - b2)
    x2, x0, z = torch.tensor([[[0.7]]]), torch.tensor([[[-0.4]]]), torch.tensor([[[1.3]]])
    seen: list[float] = []

    def denoise(x: Tensor, t: int) -> Tensor:
        seen.append(x.item())
        return x0

    out = ancestral(denoise, x2, [z], schedule)
    mean = ((1 - b2) ** 0.5 * (1 - a1) * 0.7 + a1**0.5 * b2 * -0.4) / (1 - a2)
    variance = (1 - a1) / (1 - a2) * b2
    assert seen == pytest.approx([0.7, mean + variance**0.5 * 1.3], rel=1e-5)
    assert out.item() == pytest.approx(-0.4, rel=1e-5)


def test_ancestral_keeps_known_frames() -> None:
    schedule = noise_schedule(DiffusionSpec(steps=20))
    known = Known(torch.full((1, 3, 1), 0.8), torch.tensor([True, False, True]).view(1, 3, 1))
    steps = noise(19, 1, 3, 1)
    out = ancestral(lambda x, t: torch.zeros_like(x), noise(1, 3, 1), steps, schedule, known)
    assert out.flatten().tolist() == pytest.approx([0.8, 0.0, 0.8], abs=1e-6)


def test_forward_noise() -> None:
    x0, eps = torch.full((2, 3, 1), 2.0), torch.full((2, 3, 1), -1.0)
    out = add_noise(x0, eps, torch.tensor([1, 400]), SCHEDULE)
    for row, t in enumerate((1, 400)):
        assert out[row, 0, 0].item() == pytest.approx(
            2.0 * SCHEDULE.alpha[t] - SCHEDULE.sigma[t], rel=1e-5
        )
