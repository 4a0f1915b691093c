"""A model in another precision: told to torch, exported as graphs for onnxruntime."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks.harness.processes import BenchmarkError
from benchmarks.harness.setting import Setting


class Exports:
    """Bundles exported so far; gone with `stack`."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._made: dict[tuple[str, str, int | None], str] = {}

    def prepared(self, setting: Setting) -> Setting:
        """The setting, on a bundle that has graphs in its precision.

        Raises:
            BenchmarkError: they cannot be made, or the backend has no choice.
        """
        if setting.precision is None or setting.backend == "torch":
            return setting  # torch says itself what it has not
        if setting.backend not in ("auto", "onnxruntime"):
            raise BenchmarkError(
                f"precision {setting.precision}: {setting.backend} has one precision here; "
                "take the backend onnxruntime or torch"
            )
        key = (setting.bundle, setting.precision, setting.steps)
        if key not in self._made:
            self._made[key] = str(self._export(setting, setting.precision))
        return replace(setting, bundle=self._made[key])

    def _export(self, setting: Setting, precision: str) -> Path:
        try:
            from export.onnx_export import export_onnx
        except ImportError as error:
            raise BenchmarkError(
                f"precision {precision}: exporting needs {error.name}: run `pip install "
                "'posetalk[export]'`"
            ) from None
        from diffposetalk.bundle.bundle import load_bundle

        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="posetalk-bench-"))
        bundle = load_bundle(setting.bundle)
        steps = setting.steps or bundle.spec.live.steps
        export_onnx(bundle, [steps], precision=precision, out=Path(folder) / precision)
        return Path(folder) / precision
