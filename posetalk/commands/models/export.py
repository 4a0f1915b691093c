"""`posetalk export`: a bundle's networks as graphs that run without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from head.errors import NotInstalled
from posetalk.commands.options import Debug, Flag

if TYPE_CHECKING:
    from diffposetalk.bundle.bundle import Bundle
    from diffposetalk.bundle.graphs import Manifest

Target = Literal["onnx", "tensorrt", "tensorrt-rtx"]
Precision = Literal["fp32", "bf16", "fp16", "int8", "fp8"]


@dataclass(frozen=True, kw_only=True)
class Export:
    """Export a bundle's networks: `live` then runs them without torch, and so can your program.

    Two graphs: sound to features, and noise to motion with all sampling steps inside; with
    --whole-hops more that do both and hand on their own state.
    `docs/export.md` says what goes in and out.
    """

    bundle: Annotated[
        str,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="BUNDLE", help_behavior_hint="(default: starter)"),
    ] = "starter"
    """`starter`, or the folder of another bundle."""
    to: Target = "onnx"
    """ONNX files for onnxruntime and others, or TensorRT engines: `tensorrt-rtx` builds them
    without a GPU, `tensorrt` for the GPU that is here."""
    steps: Annotated[
        tuple[int, ...],
        tyro.conf.arg(
            metavar="K ...",
            help_behavior_hint="(default: without -o any number, with it the bundle's)",
        ),
    ] = ()
    """Sampling steps, 1 to 20; a graph for each number."""
    precision: Precision = "fp32"
    """Of the arithmetic. As ONNX, int8 is for CPUs, and bf16 and fp16 are for GPUs; engines come in
    all five (fp8 needs a GPU of compute capability 8.9 or newer)."""
    speech: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: the demo speech)")
    ] = None
    """Speech that engines in int8 and fp8 are calibrated on."""
    whole_hops: Flag = False
    """More graphs: whole hops at the bundle's live settings, whose states stay where they run.
    `live` then makes its hops in one, and on a GPU a server those of its clients in another."""
    output: Annotated[
        Path | None,
        tyro.conf.arg(
            aliases=["-o"],
            metavar="DIR",
            help="Folder for a copy of the bundle with the graphs in it (`posetalk live --bundle "
            "DIR`), which then hold their own weights, as other programs want them.",
            help_behavior_hint="(default: in BUNDLE itself)",
        ),
    ] = None
    debug: Debug = False

    def run(self) -> int:
        from diffposetalk.bundle.bundle import load_bundle
        from posetalk.terminal.console import UsageError, say
        from posetalk.terminal.progress import working

        wrong = [k for k in self.steps if not 1 <= k <= 20]
        if wrong:
            raise UsageError(f"--steps {wrong[0]}: choose 1 to 20")
        bundle = load_bundle(self.bundle)
        own = bundle.spec.live.steps
        steps: tuple[int | None, ...] = tuple(dict.fromkeys(self.steps or (own,)))
        with working(f"exporting {self.bundle}"):
            if self.to != "onnx":
                folder, manifest = self._engines(bundle, steps)
            else:
                folder, manifest = self._onnx(bundle, steps)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
        say(f"{folder}: {', '.join(manifest.graphs)} in {manifest.precision}, {size:.1f} MB")
        if self.to == "onnx" and self.precision in ("fp16", "bf16"):
            say(f"onnxruntime has no {self.precision} on the CPU: run these on a GPU")
        if self.to != "onnx":
            say("built, never run: engines run on a GPU only, where others are built if need be")
        if self.output is not None:
            how = "" if self.to == "onnx" else f" --backend {self.to}"
            how += "" if own in steps else f" --steps {steps[0]}"
            say(f"run them with: posetalk live --bundle {self.output}{how}")
        return 0

    def _onnx(self, bundle: Bundle, steps: tuple[int | None, ...]) -> tuple[Path, Manifest]:
        try:
            from export.onnx_export import export_onnx
            from export.shipped_graphs import STEPS
        except ModuleNotFoundError as error:
            raise NotInstalled(
                f"exporting needs {error.name}: run `pip install 'posetalk[export]'`"
            ) from None
        if self.output is None and not self.steps:
            steps = STEPS
        return export_onnx(
            bundle, steps, precision=self.precision, out=self.output, whole_hops=self.whole_hops
        )

    def _engines(self, bundle: Bundle, steps: tuple[int | None, ...]) -> tuple[Path, Manifest]:
        """TensorRT engines, by the part of `export` that builds them."""
        try:
            from export.tensorrt import export_engines
        except ModuleNotFoundError as error:
            raise NotInstalled(
                f"exporting needs {error.name}: run `pip install 'posetalk[export]'`"
            ) from None
        sound = None
        if self.precision in ("int8", "fp8"):
            import numpy as np

            import posetalk
            from posetalk.app.animate import read_blocks

            speech = self.speech or posetalk.demo_speech()
            sound = np.concatenate([*read_blocks(speech, bundle.spec.sample_rate_hz)])
        return export_engines(
            bundle,
            steps,
            target=self.to,
            precision=self.precision,
            out=self.output,
            sound=sound,
            whole_hops=self.whole_hops,
        )
