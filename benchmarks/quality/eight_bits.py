"""How far int8 and fp8 engines would be from fp32: `posetalk bench eight-bits starter`.

Their graphs, with everything else in fp32, as onnxruntime's CPU kernels round them: what an engine
adds is the fp16 around them.  Ranges come from the first half of the speech; the second is spoken.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from diffposetalk.bundle.bundle import Bundle, load_bundle
from diffposetalk.spec import FloatArray
from export.calibration import calibrate
from export.onnx_export import build_graphs, write_graphs
from export.parity import answer, babble, describe, random_case
from export.qdq import quantised
from stream.backends.onnx.backend import OnnxBackend
from stream.backends.onnx.session import GraphSession
from stream.backends.protocol import Backend
from stream.core.session import Session
from stream.frames import SAMPLE_RATE
from stream.sources.file import FileSource


@dataclass(frozen=True)
class Loss:
    """What one precision loses against fp32, in deviations of the training motion.

    Attributes:
        rms, largest: difference of a hop's motion at identical inputs.
        spread, speed: ratios of how a closed loop moves: its range and its speed, over channels.
    """

    precision: str
    rms: float
    largest: float
    spread: float
    speed: float


class AsWritten(OnnxBackend):
    """Graphs as they are written: onnxruntime's own fusions know no fp8."""

    def _session(self, path: Path) -> GraphSession:
        return GraphSession(
            path, self._weights, device="cpu", threads=self.threads, as_written=True
        )


def losses(bundle: Bundle, sound: FloatArray, batch: int = 8) -> list[Loss]:
    """Measure both precisions on speech, (n,) at 16 kHz, at the live defaults.

    Raises:
        export.onnx_export.ExportError: too short a sound, or a network that cannot be exported.
    """
    live, half = bundle.spec.live, len(sound) // 2
    calibration = calibrate(bundle, sound[:half])
    graphs = build_graphs(bundle, [live.steps], external_weights=False)
    scales = (live.audio_guidance, live.style_guidance)
    case = random_case(bundle.spec, live.window_rule, batch, live.steps, scales=scales)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "fp32"
        write_graphs(plain, graphs, bundle, precision="fp32", external_weights=False)
        reference = OnnxBackend(bundle, plain)
        expected, own = answer(reference, case), describe(_spoken(reference, sound[half:]))
        found = []
        for kind in ("int8", "fp8"):
            made = build_graphs(bundle, [live.steps], external_weights=False)
            made = {n: quantised(model, kind, calibration.peaks) for n, model in made.items()}
            write_graphs(
                Path(folder) / kind, made, bundle, precision="fp32", external_weights=False
            )
            backend = AsWritten(bundle, Path(folder) / kind)
            gap = answer(backend, case) - expected
            its = describe(_spoken(backend, sound[half:]))
            found.append(
                Loss(
                    kind,
                    float(np.sqrt(np.mean(gap**2))),
                    float(np.abs(gap).max()),
                    float(its.std.mean() / own.std.mean()),
                    float(its.speed.mean() / own.speed.mean()),
                )
            )
    return found


def _spoken(backend: Backend, sound: FloatArray) -> FloatArray:
    """Normalised motion (n, D) of a session that speaks a sound."""
    session = Session(backend, seed=5)
    frames = session.feed(sound) + session.finish()
    statistics = backend.statistics
    raw = np.stack([frame.motion for frame in frames])
    return np.asarray((raw - statistics.motion_mean) / statistics.motion_std, np.float32)


@dataclass(frozen=True)
class EightBitSettings:
    """What to measure."""

    bundle: Annotated[str, tyro.conf.Positional] = "starter"
    """Bundle by name or folder."""
    speech: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: noise)")
    ] = None
    """A sound file; without one, noise in syllables."""


def report(settings: EightBitSettings) -> None:
    """Print a line for each precision."""
    sound = babble(SAMPLE_RATE * 20)
    if settings.speech is not None:
        sound = np.concatenate([b.samples for b in FileSource(settings.speech, pace="fast")])
    for loss in losses(load_bundle(settings.bundle), sound):
        print(
            f"{loss.precision}: a hop differs by {loss.rms:.3f} rms, {loss.largest:.2f} at most; "
            f"closed loop: range x {loss.spread:.3f}, speed x {loss.speed:.3f}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 printed, 2 wrong usage."""
    report(tyro.cli(EightBitSettings, prog="posetalk bench eight-bits", args=arguments))
    return 0
