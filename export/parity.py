"""Do two backends agree?  `posetalk bench parity starter` prints it for all that are here.

Per hop: identical sound, noise, state and settings go into both, at every batch size.  Closed loops
are another matter (a backend's own output becomes its context), and are judged by how the motion
moves, as low precision diverges harmlessly.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import tyro

from diffposetalk.spec import FloatArray, ModelSpec, WindowRule
from stream.backends.names import BACKENDS
from stream.backends.protocol import Backend, Conditions, SamplerCall
from stream.backends.registry import load_backend
from stream.core.options import SessionOptions
from stream.core.session import Session

TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2, "bf16": 1e-1, "int8": 5e-1}
"""Largest difference per hop, in normalised units (deviations of the training motion)."""

SCALES = ((1.0, 1.0), (1.6, 1.0), (1.0, 2.2), (1.15, 3.0))
"""Audio and style guidance: each set of branches once."""


@dataclass(frozen=True)
class Case:
    """Model calls that any backend of a bundle can be given.

    Attributes:
        pcm: (B, 640 (T_p + n)) sound of context and window.
        calls: with everything but the speech, which each backend encodes for itself.
    """

    pcm: FloatArray
    calls: Sequence[SamplerCall]


def random_case(
    spec: ModelSpec,
    rule: WindowRule,
    batch: int,
    steps: int,
    *,
    scales: tuple[float, float] = (1.0, 1.0),
    seed: int = 0,
) -> Case:
    """`batch` calls with everything that may differ between sessions differing.

    adjacent: a short window without known frames, some context missing; sliding: T_w tokens, half
    of them known, padding at the end.
    """
    rng = np.random.default_rng([seed, batch, steps])
    T_p, D = spec.T_p, spec.d_motion
    n = min(5, spec.T_w) if rule == "adjacent" else spec.T_w
    m = 0 if rule == "adjacent" else n // 2

    def normal(*shape: int) -> FloatArray:
        return rng.standard_normal(shape).astype(np.float32)

    calls = []
    for i in range(batch):
        audio, style = (scale if scale == 1.0 else scale + 0.1 * i for scale in scales)
        calls.append(
            SamplerCall(
                features=np.zeros((n, 0), np.float32),
                context_features=np.zeros((T_p, 0), np.float32),
                context_motion=normal(T_p, D),
                missing=(T_p - i) % (T_p + 1),
                noise=normal(n, D),
                noise_scale=rng.uniform(0.3, 1.6, D).astype(np.float32),
                known=normal(m, D),
                valid=n if rule == "adjacent" else n - 3 * (i % 2),
                conditions=Conditions(
                    shape=normal(spec.n_shape),
                    style=normal(spec.style.d_style if spec.use_style else 0),
                    audio_guidance=audio,
                    style_guidance=style if spec.use_style else 1.0,
                ),
                steps=steps,
                threshold_quantile=spec.live.threshold_quantile,
            )
        )
    pcm = np.stack([babble((T_p + n) * spec.frame_samples, seed=i + seed) for i in range(batch)])
    return Case(pcm, calls)


def answer(backend: Backend, case: Case) -> FloatArray:
    """What a backend makes of a case: (B, n, D)."""
    T_p = backend.spec.T_p
    encoded = backend.encode_window_many(list(case.pcm))
    calls = [
        SamplerCall(**{**vars(call), "features": rows[T_p:], "context_features": rows[:T_p]})
        for call, rows in zip(case.calls, encoded, strict=True)
    ]
    return np.stack(backend.sample_many(calls))


class MotionStatistics(NamedTuple):
    """How a run moves, in normalised units: its level, its range, its speed, by channel (D,)."""

    mean: FloatArray
    std: FloatArray
    speed: FloatArray


def closed_loop(backend: Backend, hops: int, rule: WindowRule | None = None) -> FloatArray:
    """Normalised motion (n, D) of a session over `hops` hops, its own output as its context."""
    session = Session(backend, options=SessionOptions(window_rule=rule), seed=5)
    frames = session.hop * hops + session.lookahead
    made = session.feed(babble(frames * backend.spec.frame_samples, seed=1)) + session.finish()
    statistics = backend.statistics
    raw = np.stack([frame.motion for frame in made])
    return np.asarray((raw - statistics.motion_mean) / statistics.motion_std, np.float32)


def describe(motion: FloatArray) -> MotionStatistics:
    """Level, range and speed of each channel."""
    return MotionStatistics(motion.mean(0), motion.std(0), np.abs(np.diff(motion, axis=0)).mean(0))


def babble(samples: int, seed: int = 0) -> FloatArray:
    """Sound with the loudness of speech, (n,): noise in syllables."""
    rng = np.random.default_rng(seed)
    syllables = np.abs(np.sin((np.arange(samples) + 4000 * seed) / 2600.0)) ** 2
    return (0.15 * syllables * rng.standard_normal(samples)).astype(np.float32)


@dataclass(frozen=True)
class ParitySettings:
    """What to compare."""

    bundle: Annotated[str, tyro.conf.Positional] = "starter"
    """Bundle by name or folder."""
    backends: tuple[str, ...] = tuple(b for b in BACKENDS if b not in ("auto", "fake", "torch"))
    """Compared with torch; those that cannot run here say so."""
    hops: int = 100
    """Hops of the closed loop."""


def report(settings: ParitySettings) -> None:
    """Print the largest difference per hop, and how closed loops move."""
    reference = load_backend("torch", settings.bundle)
    spec = reference.spec
    own = describe(closed_loop(reference, settings.hops))
    for name in settings.backends:
        try:
            other = load_backend(name, settings.bundle)
        except (ValueError, RuntimeError) as error:
            print(f"{name}: not run: {error}")
            continue
        rules: tuple[WindowRule, ...] = ("adjacent", "sliding")
        for rule, steps in itertools.product(rules, (1, 2, 4)):
            worst = 0.0
            for scales, batch in itertools.product(SCALES, (1, 8)):
                case = random_case(spec, rule, batch, steps, scales=scales)
                gap = np.abs(answer(other, case) - answer(reference, case)).max()
                worst = max(worst, float(gap))
            print(f"{name} {rule} K={steps}: largest difference {worst:.1e}")
        its = describe(closed_loop(other, settings.hops))
        print(
            f"{name} closed loop of {settings.hops} hops: range x "
            f"{its.std.mean() / own.std.mean():.3f}, speed x "
            f"{its.speed.mean() / own.speed.mean():.3f}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 printed, 2 wrong usage."""
    report(tyro.cli(ParitySettings, prog="posetalk bench parity", args=arguments))
    return 0
