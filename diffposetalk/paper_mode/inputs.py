"""What paper mode takes: a loaded bundle, clips with their noise, and settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from diffposetalk.bundle.bundle import Bundle, load_bundle
from diffposetalk.inference.precision import make_ready
from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.schedule import noise_schedule, sampling_times
from diffposetalk.spec import FloatArray, ModelSpec
from head.errors import WrongValue

SamplerName = Literal["ancestral", "dpm++"]
SAMPLERS: tuple[SamplerName, ...] = ("ancestral", "dpm++")
DEFAULT_STEPS = 20
"""Network calls of DPM-Solver++; ancestral sampling takes all that were trained."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A bundle with its network on a device, for many calls."""

    bundle: Bundle
    model: DiffPoseTalk

    @staticmethod
    def of(bundle: str | Bundle | Loaded, device: str = "cpu", precision: str = "fp32") -> Loaded:
        """Load a bundle, by name or folder if need be; `precision` of what is not yet loaded.

        Raises:
            diffposetalk.bundle.bundle.BundleError: it cannot be read.
            ValueError: the network cannot have that precision.
        """
        if isinstance(bundle, Loaded):
            return bundle
        loaded = load_bundle(bundle) if isinstance(bundle, str) else bundle
        return Loaded(loaded, make_ready(loaded.model().to(device), precision))


@dataclass(frozen=True, eq=False)
class PaperClip:
    """What to animate.

    Attributes:
        samples: (n,) mono at 16 kHz.
        shape: (n_shape,) raw identity; the statistics' mean if None.
        style: (d_style,) vector, or a name or mix of the bundle's; its first style if None.
        seed: of the noise that is not given.
        initial_noise: (T_w, D), x_N of every window.
        step_noise: (windows, N, T_w, D) for ancestral sampling: [w, i] is added after the i-th call
            of window w, which is at t = N - i; the last is not used.
    """

    samples: FloatArray
    shape: FloatArray | None = None
    style: str | FloatArray | None = None
    seed: int = 0
    initial_noise: FloatArray | None = None
    step_noise: FloatArray | None = None


@dataclass(frozen=True)
class PaperSettings:
    """How to sample.

    Attributes:
        sampler: `ancestral`, or `dpm++` in few steps.
        steps: network calls; None = 20 for `dpm++`, all trained ones for `ancestral`.
        audio_guidance, style_guidance: None = the bundle's live ones (1.15 and 3 in imported
            bundles, as in the released demo).
        threshold: quantile of dynamic thresholding, None or 0 = off (0.99 is what the released code
            recommends for models with head motion).
    """

    sampler: SamplerName = "ancestral"
    steps: int | None = None
    audio_guidance: float | None = None
    style_guidance: float | None = None
    threshold: float | None = None


RELEASED = PaperSettings()
"""As the released demo samples, without thresholding."""

Progress = Callable[[float], None]
"""Told how much of the work is done, 0 to 1."""


def check_settings(settings: PaperSettings, spec: ModelSpec) -> None:
    """Judge settings before any work is done.

    Raises:
        ValueError: a value that cannot be, or that this model does not have.
    """
    if settings.sampler not in SAMPLERS:
        raise WrongValue(f"no sampler {settings.sampler!r}: choose {' or '.join(SAMPLERS)}")
    trained = spec.diffusion.steps
    if settings.sampler == "ancestral" and settings.steps not in (None, trained):
        raise WrongValue(
            f"ancestral sampling takes all {trained} steps; choose the sampler dpm++ for "
            f"{settings.steps}"
        )
    if settings.sampler == "dpm++":
        calls = DEFAULT_STEPS if settings.steps is None else settings.steps
        sampling_times(noise_schedule(spec.diffusion), calls)
    for scale in (settings.audio_guidance, settings.style_guidance):
        if scale is not None and not math.isfinite(scale):
            raise WrongValue(f"guidance {scale:g}: must be a finite number")
    if settings.threshold is not None and not 0.0 <= settings.threshold <= 1.0:
        raise WrongValue(f"threshold {settings.threshold:g}: a quantile is 0 to 1")
