"""The forward process: how much signal and noise is left at step t, and at which t to sample.

Pure numpy.  Index 0 of every table is the clean end (t = 0), so a table has `steps + 1` entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from diffposetalk.spec import DiffusionSpec
from head.errors import WrongValue

COSINE_OFFSET = 0.008
COSINE_BETA_RANGE = (1e-4, 0.999)
BETA_RANGE = (1e-4, 0.02)


@dataclass(frozen=True)
class NoiseSchedule:
    """q(x_t | x0) = N(alpha x0, sigma^2 I), alpha^2 = alpha_bar, sigma^2 = 1 - alpha_bar.

    Attributes:
        betas: (steps + 1,) float64 variance added by each step, betas[0] = 0.
    """

    betas: NDArray[np.float64]

    @property
    def steps(self) -> int:
        """Trained diffusion steps N; t runs from N (noise) to 1, and 0 is clean."""
        return len(self.betas) - 1

    @cached_property
    def alpha_bar(self) -> NDArray[np.float64]:
        """(steps + 1,) cumulative product of 1 - beta."""
        return np.exp(np.cumsum(np.log1p(-self.betas)))

    @cached_property
    def alpha(self) -> NDArray[np.float64]:
        """(steps + 1,) scale of the signal."""
        return np.sqrt(self.alpha_bar)

    @cached_property
    def sigma(self) -> NDArray[np.float64]:
        """(steps + 1,) scale of the noise."""
        # expm1 keeps the digits that 1 - alpha_bar loses near t = 0.
        return np.sqrt(-np.expm1(np.cumsum(np.log1p(-self.betas))))

    @cached_property
    def lambda_(self) -> NDArray[np.float64]:
        """(steps + 1,) log(alpha / sigma), half the log signal-to-noise ratio; inf at t = 0."""
        with np.errstate(divide="ignore"):
            return np.log(self.alpha) - np.log(self.sigma)


def noise_schedule(spec: DiffusionSpec) -> NoiseSchedule:
    """The schedule that `spec` names.

    `cosine` is Nichol and Dhariwal's (2021, equation 17) with s = 0.008 and betas clipped to
    [1e-4, 0.999]; the others rise from 1e-4 to 0.02 (Ho et al. 2020).

    Raises:
        ValueError: fewer than 3 steps.
    """
    n = spec.steps
    if n < 3:
        raise WrongValue(f"a diffusion needs at least 3 steps, got {n}")
    low, high = BETA_RANGE
    if spec.schedule == "cosine":
        # In single precision, as the released models were trained: the rounding of the small betas
        # is part of their tables (alpha_bar at 499 is 9.7143e-6; exact arithmetic says 9.7149e-6).
        k = np.arange(n + 1, dtype=np.float32) / np.float32(n)
        angle = (k + np.float32(COSINE_OFFSET)) / np.float32(1.0 + COSINE_OFFSET)
        f = np.cos(angle * np.float32(np.pi / 2.0)) ** 2
        f = f / f[0]
        betas = np.clip((1.0 - f[1:] / f[:-1]).astype(np.float64), *COSINE_BETA_RANGE)
    elif spec.schedule == "linear":
        betas = np.linspace(low, high, n)
    elif spec.schedule == "quadratic":
        betas = np.linspace(low**0.5, high**0.5, n) ** 2
    else:
        betas = low + (high - low) / (1.0 + np.exp(-np.linspace(-6.0, 6.0, n)))
    return NoiseSchedule(np.concatenate([[0.0], betas]))


def schedule_buffers(schedule: NoiseSchedule) -> dict[str, NDArray[np.float32]]:
    """The five tables that released checkpoints carry, each (steps + 1,) float32.

    `sigmas_flex` is the forward deviation sqrt(beta); `sigmas_inflex` that of the posterior
    q(x_{t-1} | x_t, x0), which sampling uses.
    """
    return {
        name: table.astype(np.float32)
        for name, table in {
            "betas": schedule.betas,
            "alphas": 1.0 - schedule.betas,
            "alpha_bars": schedule.alpha_bar,
            "sigmas_flex": np.sqrt(schedule.betas),
            "sigmas_inflex": posterior_sigma(schedule),
        }.items()
    }


def posterior_sigma(schedule: NoiseSchedule) -> NDArray[np.float64]:
    """Deviation of q(x_{t-1} | x_t, x0), (steps + 1,): 0 at t = 0 and t = 1."""
    variance = np.zeros(schedule.steps + 1)
    noise = schedule.sigma**2
    variance[1:] = noise[:-1] / noise[1:] * schedule.betas[1:]
    return np.sqrt(variance)


def sampling_times(schedule: NoiseSchedule, calls: int) -> tuple[int, ...]:
    """The `calls` steps t at which a few-step sampler calls the network, strictly decreasing.

    Uniform in lambda from t = N - 2 (498 of 500) to t = 1, which the last call stands in for by
    returning its own x0.  The clipped last betas of the cosine schedule make lambda jump from -5.77
    at 499 to -9.22 at 500: starting there would waste calls where nothing can be seen.  Rounded to
    the nearest trained t; a duplicate moves to the next free t.

    Raises:
        ValueError: `calls` is not in 1..N - 2.
    """
    first = schedule.steps - 2
    if not 1 <= calls <= first:
        raise WrongValue(f"{calls} sampling steps: choose 1 to {first}")
    lambda_ = schedule.lambda_
    wanted = np.linspace(lambda_[first], lambda_[1], calls + 1)[:-1]
    # lambda falls as t grows, and interpolation wants it rising: read the table backwards.
    t = np.arange(first, 0, -1)
    nearest = np.rint(np.interp(wanted, lambda_[t], t)).astype(int)
    times: list[int] = []
    for call, guess in enumerate(nearest.tolist()):
        left = calls - 1 - call
        highest = times[-1] - 1 if times else first
        # Each later call needs a t of its own below this one, hence the lower bound.
        times.append(max(min(guess, highest), 1 + left))
    return tuple(times)
