"""One TensorRT engine on a CUDA GPU: fixed buffers, and a captured graph per shape.

Written for `tensorrt` 10 and 11 and for `tensorrt_rtx` by their documentation; the device's memory
and streams are torch's.  No machine with a GPU has run it yet.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.backends.engine_store import Gpu
from stream.backends.problem import RuntimeProblem
from stream.backends.tensorrt_build import EXTRAS, LIBRARIES

WARM_UPS = 3
"""Plain calls before a shape's graph is captured: lazy set-up must not be captured with it."""


class EngineSession:
    """An engine that can be run, like `onnx_session.GraphSession`.

    Args:
        name: of the graph.
        engine: serialised.
        target: `tensorrt` or `tensorrt-rtx`.

    Raises:
        RuntimeProblem: no library, no GPU, or an engine that does not load here.
    """

    def __init__(self, name: str, engine: bytes, target: str) -> None:
        self._trt, self._torch = libraries(target)
        self._runtime = self._trt.Runtime(self._trt.Logger(self._trt.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine(engine)
        if self._engine is None:
            raise RuntimeProblem(
                f"{LIBRARIES[target]} {self._trt.__version__} does not take the engine {name} on "
                "this GPU: choose `--backend onnxruntime` or `torch`"
            )
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        given = self._trt.TensorIOMode.INPUT
        self.inputs = [n for n in names if self._engine.get_tensor_mode(n) == given]
        self.outputs = [n for n in names if n not in self.inputs]
        self._stream = self._torch.cuda.Stream()
        self._shapes: dict[tuple[Any, ...], _Shape] = {}
        self.provider = target

    def run(self, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """The outputs for contiguous inputs, in their order; inputs it does not take are left out.

        Raises:
            RuntimeProblem: the inputs do not fit the engine's ranges, or the GPU fails.
        """
        wanted = {name: np.ascontiguousarray(feed[name]) for name in self.inputs}
        key = tuple(array.shape for array in wanted.values())
        if key not in self._shapes:
            self._shapes[key] = self._prepare(wanted)
        return self._shapes[key].run(wanted)

    def _prepare(self, feed: Mapping[str, NDArray[Any]]) -> _Shape:
        """Buffers and an execution context for these shapes."""
        context = self._engine.create_execution_context()
        torch = self._torch
        buffers = {}
        for name, array in feed.items():
            if not context.set_input_shape(name, array.shape):
                raise RuntimeProblem(f"the engine takes no {name} of shape {array.shape}")
            buffers[name] = torch.from_numpy(array).cuda()
        missing = context.infer_shapes()
        if missing:
            raise RuntimeProblem(f"the engine still misses {', '.join(missing)}")
        for name in self.outputs:
            shape = tuple(context.get_tensor_shape(name))
            buffers[name] = torch.empty(shape, dtype=torch.float32, device="cuda")
        for name, buffer in buffers.items():
            context.set_tensor_address(name, buffer.data_ptr())
        return _Shape(torch, context, self._stream, buffers, self.inputs, self.outputs)


class _Shape:
    """Calls of one set of shapes: pinned host copies, device buffers, and a captured graph."""

    def __init__(
        self, torch: Any, context: Any, stream: Any, buffers: dict[str, Any],
        inputs: list[str], outputs: list[str],
    ) -> None:
        self._torch, self._context, self._stream = torch, context, stream
        self._buffers, self._inputs, self._outputs = buffers, inputs, outputs
        self._host = {
            name: torch.empty(buffer.shape, dtype=buffer.dtype, pin_memory=True)
            for name, buffer in buffers.items()
        }
        self._graph: Any = None
        self._calls = 0

    def run(self, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        for name in self._inputs:
            self._host[name].numpy()[...] = feed[name]
        self._calls += 1
        if self._graph is not None:
            self._graph.replay()
        elif self._calls > WARM_UPS:
            self._graph = self._torch.cuda.CUDAGraph()
            with self._torch.cuda.graph(self._graph, stream=self._stream):
                self._enqueue()
            self._graph.replay()
        else:
            with self._torch.cuda.stream(self._stream):
                self._enqueue()
        self._torch.cuda.synchronize()
        return [self._host[name].numpy().copy() for name in self._outputs]

    def _enqueue(self) -> None:
        """Inputs to the device, the engine, outputs back: all on the stream."""
        for name in self._inputs:
            self._buffers[name].copy_(self._host[name], non_blocking=True)
        if not self._context.execute_async_v3(self._stream.cuda_stream):
            raise RuntimeProblem("TensorRT could not run the engine")
        for name in self._outputs:
            self._host[name].copy_(self._buffers[name], non_blocking=True)


def libraries(target: str) -> tuple[Any, Any]:
    """TensorRT's module of a target, and torch, on a machine with a GPU.

    Raises:
        RuntimeProblem: one of the three is not here.
    """
    name = LIBRARIES[target]
    for module, install in ((name, EXTRAS[target]), ("torch", "torch")):
        if importlib.util.find_spec(module) is None:
            raise RuntimeProblem(
                f"{module} is not installed: run `pip install 'posetalk[{install}]'`"
            )
    torch = importlib.import_module("torch")
    if not torch.cuda.is_available():
        raise RuntimeProblem("there is no CUDA GPU here: choose `--backend onnxruntime`")
    return importlib.import_module(name), torch


def gpu_here() -> Gpu | None:
    """The GPU that torch names; None: there is none, or no torch."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    major, minor = torch.cuda.get_device_capability()
    return Gpu(torch.cuda.get_device_name(), float(f"{major}.{minor}"))
