"""One ONNX graph in onnxruntime: threads chosen, provider checked, one line for what goes wrong."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.backends.protocol import RuntimeProblem

# Before the import, which would start it: a program that hears a microphone sends nothing.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


class GraphSession:
    """A graph that can be run.

    Args:
        path: of the graph.
        weights: folder of the file that holds its weights.
        device: `cpu`, `cuda` or `tensorrt`.
        threads: of the CPU kernels.
        as_written: node by node, without onnxruntime's own fusions.

    Raises:
        RuntimeProblem: no such provider here, or not a graph.
    """

    def __init__(
        self, path: Path, weights: Path, *, device: str, threads: int, as_written: bool = False
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        if as_written:
            none = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.graph_optimization_level = none
        options.log_severity_level = 4  # what goes wrong is raised, once
        # Threads that spin between calls take the cores from microphone, server and picture.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(weights)
        )
        provider = PROVIDERS[device]
        if provider not in onnxruntime.get_available_providers():
            raise RuntimeProblem(_no_provider(provider))
        if device != "cpu":
            _find_libraries()
        try:
            self._session = onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=_providers(device), enable_fallback=0
            )
        except Exception as error:  # its own types have no common base
            raise RuntimeProblem(f"onnxruntime cannot open {path}: {_line(error)}") from None
        used = self._session.get_providers()
        if provider not in used:
            # It was built with it and lacks a library or a GPU; then it says nothing and goes on.
            raise RuntimeProblem(_no_provider(provider, f" (it would run on {used[0]})"))
        self.provider = used[0]
        self._memory = None if device == "cpu" else "cuda"  # where inputs and outputs lie
        self.inputs = [value.name for value in self._session.get_inputs()]
        self.outputs = [value.name for value in self._session.get_outputs()]
        self.dims = {
            value.name: value.shape
            for value in (*self._session.get_inputs(), *self._session.get_outputs())
        }
        self._buffers: dict[tuple[Any, ...], dict[str, Any]] = {}

    def run(self, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """The outputs for contiguous inputs, in their order; inputs it does not take are left out.

        Raises:
            RuntimeProblem: the inputs do not fit.
        """
        try:
            if self._memory is not None:
                return self._run_bound(feed, self._memory)
            wanted = {name: feed[name] for name in self.inputs}
            out: list[NDArray[np.float32]] = self._session.run(self.outputs, wanted)
            return out
        except Exception as error:
            raise RuntimeProblem(f"onnxruntime: {_line(error)}") from None

    def _run_bound(
        self, feed: Mapping[str, NDArray[Any]], memory: str
    ) -> list[NDArray[np.float32]]:
        """Inputs copied into buffers that stay on the device, outputs copied back once."""
        key = tuple(feed[name].shape for name in self.inputs)
        if key not in self._buffers:
            self._buffers[key] = {
                name: onnxruntime.OrtValue.ortvalue_from_numpy(feed[name], memory, 0)
                for name in self.inputs
            }
        else:
            for name, buffer in self._buffers[key].items():
                buffer.update_inplace(feed[name])
        binding = self.binding()
        for name, buffer in self._buffers[key].items():
            binding.bind_ortvalue_input(name, buffer)
        for name in self.outputs:
            binding.bind_output(name, memory)
        self._session.run_with_iobinding(binding)
        out: list[NDArray[np.float32]] = binding.copy_outputs_to_cpu()
        return out

    # --- for callers that bind their own buffers -----------------------------------------------
    def buffer(self, shape: Sequence[int], dtype: Any, *, on_host: bool = False) -> Any:
        """Memory for a tensor where the graph runs, or on the host."""
        memory = "cpu" if on_host else self._memory or "cpu"
        return onnxruntime.OrtValue.ortvalue_from_shape_and_type(list(shape), dtype, memory, 0)

    def binding(self) -> Any:
        """Inputs and outputs to be bound."""
        return self._session.io_binding()

    def run_binding(self, binding: Any) -> None:
        """Run with what is bound, until it is done.

        Raises:
            RuntimeProblem: the inputs do not fit.
        """
        try:
            self._session.run_with_iobinding(binding)
            binding.synchronize_outputs()
        except Exception as error:
            raise RuntimeProblem(f"onnxruntime: {_line(error)}") from None


def _find_libraries() -> None:
    """Load CUDA's libraries from where pip puts them; what is missing shows when a graph opens."""
    onnxruntime.set_default_logger_severity(4)  # or it writes pages before we say one line
    with contextlib.redirect_stdout(io.StringIO()):
        onnxruntime.preload_dlls()


def _no_provider(provider: str, instead: str = "") -> str:
    return (
        f"onnxruntime has no {provider} here{instead}: choose `--backend onnxruntime`, or install "
        "onnxruntime-gpu and its libraries"
    )


def _providers(device: str) -> Sequence[Any]:
    """What to ask onnxruntime for: the one provider, and the CPU for what it lacks."""
    cpu = PROVIDERS["cpu"]
    if device == "cpu":
        return [cpu]
    if device == "cuda":
        return [PROVIDERS["cuda"], cpu]
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "posetalk"
    # It builds its engines at the first call of each shape, which takes minutes: they are kept.
    engines = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(cache / "tensorrt")}
    return [(PROVIDERS["tensorrt"], engines), PROVIDERS["cuda"], cpu]


def _line(error: BaseException) -> str:
    """An error of onnxruntime's on one line, without the address it came from."""
    return " ".join(str(error).split())[:300]
