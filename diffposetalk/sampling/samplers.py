"""Samplers: from noise to motion by calling D, the denoiser's estimate of x0.

Pure functions: noise is an argument, the history is a local variable, and every coefficient comes
from the schedule.  `start`, `solver_step` and `impute` are what exported graphs are made of as well
(`export.graphs.modules`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from diffposetalk.sampling.solver import solver_table
from diffposetalk.schedule import NoiseSchedule, posterior_sigma

Denoise = Callable[[Tensor, int], Tensor]
"""(x_t (B, n, D), t) -> estimate of x0 (B, n, D), after guidance and thresholding."""


class Known(NamedTuple):
    """Committed motion inside the window, which sampling must reproduce exactly.

    Attributes:
        motion: (B, n, D) normalised x0; the rows that are not known are ignored.
        mask: (B or 1, n, 1) bool, True where the frame is known.
    """

    motion: Tensor
    mask: Tensor


def known_prefix(motion: Tensor, n: int) -> Known:
    """The first m of n frames are known: motion (B, m, D) with m in 0..n."""
    m = motion.shape[1]
    padded = torch.cat([motion, motion.new_zeros(motion.shape[0], n - m, motion.shape[2])], dim=1)
    return Known(padded, (torch.arange(n, device=motion.device) < m).view(1, n, 1))


def dpm_solver_pp_2m(
    denoise: Denoise,
    noise: Tensor,
    steps: int,
    schedule: NoiseSchedule,
    known: Known | None = None,
    noise_scale: Tensor | None = None,
) -> Tensor:
    """Sample in `steps` network calls: DPM-Solver++ (2M), data prediction.

    Lu et al. 2022 (DPM-Solver++), algorithm 2, on `sampling_times`; the last call returns D itself.

    Args:
        denoise: D.
        noise: (B, n, D) standard normal.
        steps: network calls K >= 1.
        schedule: of the trained diffusion.
        known: frames to impute: they start as alpha x0 + sigma eps with their own noise, and D is
            replaced by the committed motion there, so that they follow their exact path.
        noise_scale: (D,) scale of the initial noise of the frames to be sampled; below 1 a channel
            starts nearer its mean.

    Returns:
        (B, n, D) x0; exactly `known.motion` at known frames.
    """
    solver = solver_table(schedule, steps)
    *_, alpha, sigma = solver.table[0].tolist()
    x = start(noise, alpha, sigma, known, noise_scale)
    x0: Tensor | None = None
    for t, (a, b, c, *_) in zip(solver.times.tolist(), solver.table.tolist(), strict=True):
        previous, x0 = x0, impute(denoise(x, t), known)
        if t != solver.times[-1]:
            x = solver_step(x, x0, previous, a, b, c)
    assert x0 is not None
    return x0


def solver_step(
    x: Tensor,
    x0: Tensor,
    previous: Tensor | None,
    a: Tensor | float,
    b: Tensor | float,
    c: Tensor | float,
) -> Tensor:
    """x at the next step, from the numbers of `solver_table`; `previous` is None at the first."""
    x = a * x + b * x0
    return x if previous is None else x + c * previous


class FewStepSampler(Protocol):
    """A sampler that takes as few network calls as it is told to; see `dpm_solver_pp_2m`."""

    def __call__(
        self,
        denoise: Denoise,
        noise: Tensor,
        steps: int,
        schedule: NoiseSchedule,
        known: Known | None = None,
        noise_scale: Tensor | None = None,
    ) -> Tensor: ...


SAMPLERS: dict[str, FewStepSampler] = {"dpm++": dpm_solver_pp_2m}
"""What `LiveDefaults.sampler` may name; one that is put in here runs live on torch."""


def ancestral(
    denoise: Denoise,
    noise: Tensor,
    step_noise: Sequence[Tensor] | Tensor,
    schedule: NoiseSchedule,
    known: Known | None = None,
    noise_scale: Tensor | None = None,
) -> Tensor:
    """Sample in all N trained steps (Ho et al. 2020, algorithm 2, x0 form): the slow reference.

    Args:
        denoise, noise, known, noise_scale: as for `dpm_solver_pp_2m`.
        step_noise: standard normal; `step_noise[t - 2]` (B, n, D) is added in the step from t to
            t - 1, for t = 2..N (the step from 1 adds none).

    Returns:
        (B, n, D) x0.
    """
    alpha_bar, betas = schedule.alpha_bar, schedule.betas
    sigma_posterior = posterior_sigma(schedule)
    first = schedule.steps
    x = start(noise, float(schedule.alpha[first]), float(schedule.sigma[first]), known, noise_scale)
    for t in range(schedule.steps, 0, -1):
        x0 = impute(denoise(x, t), known)
        remaining = 1.0 - alpha_bar[t]
        from_x = (1.0 - alpha_bar[t - 1]) * math.sqrt(1.0 - betas[t]) / remaining
        from_x0 = betas[t] * math.sqrt(alpha_bar[t - 1]) / remaining
        x = float(from_x) * x + float(from_x0) * x0
        if t > 1:
            x = x + float(sigma_posterior[t]) * step_noise[t - 2]
    return impute(x, known)


def add_noise(x0: Tensor, noise: Tensor, t: Tensor, schedule: NoiseSchedule) -> Tensor:
    """Draw x_t from q(x_t | x0): x0 and noise (B, n, D), t (B,) integer."""
    alpha = torch.as_tensor(schedule.alpha, dtype=x0.dtype, device=x0.device)[t]
    sigma = torch.as_tensor(schedule.sigma, dtype=x0.dtype, device=x0.device)[t]
    return alpha[:, None, None] * x0 + sigma[:, None, None] * noise


def impute(x0: Tensor, known: Known | None) -> Tensor:
    """Put the committed motion in place of the estimate at known frames."""
    return x0 if known is None else torch.where(known.mask, known.motion, x0)


def start(
    noise: Tensor,
    alpha: Tensor | float,
    sigma: Tensor | float,
    known: Known | None,
    noise_scale: Tensor | None,
) -> Tensor:
    """x at the first step: noise, cooled by channel, and the noised committed motion."""
    fresh = noise if noise_scale is None else noise * noise_scale
    if known is None:
        return fresh
    return torch.where(known.mask, alpha * known.motion + sigma * noise, fresh)
