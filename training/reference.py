"""What measuring needs of torch: the 500-step sampler in a session's place, and mel columns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffposetalk.mel import FLOOR_DB, PRIOR_LEVEL_DB
from diffposetalk.samplers import Denoise, Known, ancestral
from diffposetalk.schedule import NoiseSchedule
from stream.backends.torch_backend import TorchBackend
from training.tracks import columns_of


def is_torch(backend: Any) -> bool:
    """Whether the slow reference can run on this backend."""
    return isinstance(backend, TorchBackend)


@contextmanager
def ancestral_steps(backend: Any, seed: int = 0) -> Iterator[None]:
    """Within this block, a torch backend's calls take all trained steps, whatever they ask for.

    As the official code samples: the initial noise is as given and not scaled, every step's is
    fresh.
    """
    generator = torch.Generator(backend.device).manual_seed(seed)

    def sample(
        denoise: Denoise, noise: Tensor, steps: int, schedule: NoiseSchedule,
        known: Known | None = None, noise_scale: Tensor | None = None,
    ) -> Tensor:
        fresh = [
            torch.randn(noise.shape, generator=generator, device=noise.device)
            for _ in range(schedule.steps - 1)
        ]
        return ancestral(denoise, noise, fresh, schedule, known)

    kept, backend.sampler = backend.sampler, sample
    try:
        yield
    finally:
        backend.sampler = kept


def heard_columns(samples: NDArray[np.float32], n_mels: int = 80) -> NDArray[np.float16]:
    """Mel columns of (640 n,) samples as the live encoder normalises them: (4 n, n_mels)."""
    found: NDArray[np.float16] = columns_of(samples, n_mels, 1.0, [PRIOR_LEVEL_DB, 0.0, FLOOR_DB])
    return found
