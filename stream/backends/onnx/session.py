"""One ONNX graph in onnxruntime: threads chosen, provider checked, one line for what goes wrong."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffposetalk.bundle.graph_links import check_links
from diffposetalk.bundle.graphs import LARGEST_GRAPH
from head.files.regular_file import read_regular
from stream.backends.protocol import RuntimeProblem

# Before the import, which would start it: a program that hears a microphone sends nothing.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


TYPES: Mapping[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
"""Of what goes in and out, by onnxruntime's names."""


class GraphSession:
    """A graph that can be run, from any thread.

    Attributes:
        lock: on a GPU the buffers of a shape belong to one call at a time, and so do those that a
            caller binds itself; on the CPU calls share nothing and run side by side.

    Args:
        path: of the graph.
        weights: folder of the file that holds its weights.
        device: `cpu`, `cuda` or `tensorrt`; the latter two also with the number of a GPU, as
            `cuda:1`.
        threads: of the CPU kernels.
        as_written: node by node, without onnxruntime's own fusions.
        captures: whether `cuda` captures the calls of `run_binding`, each number of them once.

    Raises:
        RuntimeProblem: no such provider here, or not a graph.
    """

    def __init__(
        self,
        path: Path,
        weights: Path,
        *,
        device: str,
        threads: int,
        as_written: bool = False,
        captures: bool = False,
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
        kind, _, index = device.partition(":")
        self._index = int(index or 0)
        provider = PROVIDERS[kind]
        if not has_provider(provider):
            raise RuntimeProblem(_no_provider(provider))
        if kind != "cpu":
            _find_libraries()
        try:
            graph = read_regular(path, LARGEST_GRAPH)
            check_links(graph, weights)
        except (OSError, ValueError) as error:
            raise RuntimeProblem(f"{path} cannot be opened: {error}") from None
        try:
            self._session = onnxruntime.InferenceSession(
                graph, options, providers=_providers(kind, self._index, captures), enable_fallback=0
            )
        except Exception as error:  # its own types have no common base
            raise RuntimeProblem(f"onnxruntime cannot open {path}: {_line(error)}") from None
        used = self._session.get_providers()
        if provider not in used:
            # It was built with it and lacks a library or a GPU; then it says nothing and goes on.
            raise RuntimeProblem(_no_provider(provider, f" (it would run on {used[0]})"))
        self.provider = used[0]
        self._memory = None if kind == "cpu" else "cuda"  # where inputs and outputs lie
        self.lock = threading.RLock()
        self.inputs = [value.name for value in self._session.get_inputs()]
        self.outputs = [value.name for value in self._session.get_outputs()]
        every = (*self._session.get_inputs(), *self._session.get_outputs())
        self.dims = {value.name: value.shape for value in every}
        self.types = {value.name: TYPES[value.type] for value in every if value.type in TYPES}
        self._buffers: dict[tuple[Any, ...], dict[str, Any]] = {}

    def run(self, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """The outputs for contiguous inputs, in their order; inputs it does not take are left out.

        Raises:
            RuntimeProblem: the inputs do not fit.
        """
        try:
            if self._memory is not None:
                with self.lock:
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
                name: self.buffer(feed[name].shape, feed[name].dtype) for name in self.inputs
            }
        for name, buffer in self._buffers[key].items():
            buffer.update_inplace(feed[name])
        binding = self.binding()
        for name, buffer in self._buffers[key].items():
            binding.bind_ortvalue_input(name, buffer)
        for name in self.outputs:
            binding.bind_output(name, memory, self._index)
        self._session.run_with_iobinding(binding)
        out: list[NDArray[np.float32]] = binding.copy_outputs_to_cpu()
        return out

    # --- for callers that bind their own buffers -----------------------------------------------
    def buffer(self, shape: Sequence[int], dtype: Any, *, on_host: bool = False) -> Any:
        """Memory for a tensor where the graph runs, or on the host."""
        make = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        if on_host or self._memory is None:
            return make(list(shape), dtype, "cpu", 0)
        return make(list(shape), dtype, self._memory, self._index)

    def binding(self) -> Any:
        """Inputs and outputs to be bound."""
        return self._session.io_binding()

    def run_binding(self, binding: Any, number: int | None = None) -> None:
        """Run with what is bound, until it is done.

        Args:
            number: of the capture that a call with this binding is; always of one thread.

        Raises:
            RuntimeProblem: the inputs do not fit.
        """
        try:
            options = onnxruntime.RunOptions()
            if number is not None:
                options.add_run_config_entry("gpu_graph_id", str(number))
            self._session.run_with_iobinding(binding, options)
            binding.synchronize_outputs()
        except Exception as error:
            raise RuntimeProblem(f"onnxruntime: {_line(error)}") from None


def has_provider(provider: str) -> bool:
    """Whether this build of onnxruntime has an execution provider, by onnxruntime's name for it."""
    return provider in onnxruntime.get_available_providers()


def _find_libraries() -> None:
    """Load CUDA's libraries from where pip puts them; what is missing shows when a graph opens."""
    onnxruntime.set_default_logger_severity(4)  # or it writes pages before we say one line
    with contextlib.redirect_stdout(io.StringIO()):
        onnxruntime.preload_dlls()


def _no_provider(provider: str, instead: str = "") -> str:
    return (
        f"onnxruntime has no {provider} here{instead}: choose `--backend onnxruntime`, or, "
        "where there is an NVIDIA GPU, run `pip install 'posetalk[gpu]'`"
    )


def _providers(kind: str, index: int, captures: bool = False) -> Sequence[Any]:
    """What to ask onnxruntime for: the one provider, and the CPU for what it lacks.

    fp32 is fp32: without TF32, which keeps 10 bits of a product's mantissa.
    """
    cpu = PROVIDERS["cpu"]
    if kind == "cpu":
        return [cpu]
    options = {"device_id": str(index), "use_tf32": "0"}
    if captures:
        options["enable_cuda_graph"] = "1"
    cuda = (PROVIDERS["cuda"], options)
    if kind == "cuda":
        return [cuda, cpu]
    # That provider has no such option of its own; the libraries below it read this when they load.
    os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "posetalk"
    # It builds its engines at the first call of each shape, which takes minutes: they are kept.
    engines = {
        "device_id": str(index),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache / "tensorrt"),
    }
    return [(PROVIDERS["tensorrt"], engines), cuda, cpu]


def _line(error: BaseException) -> str:
    """An error of onnxruntime's on one line, without the address it came from."""
    return " ".join(str(error).split())[:300]
