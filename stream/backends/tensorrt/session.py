"""One TensorRT engine on a CUDA GPU: fixed buffers, and a captured graph per shape.

Written for `tensorrt` 10 and 11 and for `tensorrt_rtx` by their documentation; the device's memory
and streams are torch's.  No machine with a GPU has run it yet.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.backends.protocol import RuntimeProblem
from stream.backends.tensorrt.build import EXTRAS, LIBRARIES
from stream.backends.tensorrt.engine_store import Gpu

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
        self._shapes: dict[tuple[Any, ...], Calls] = {}
        self.provider = target

    def run(self, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """The outputs for contiguous inputs, in their order; inputs it does not take are left out.

        Raises:
            RuntimeProblem: the inputs do not fit the engine's ranges, or the GPU fails.
        """
        wanted = {name: np.ascontiguousarray(feed[name]) for name in self.inputs}
        key = tuple(array.shape for array in wanted.values())
        if key not in self._shapes:
            buffers = {name: self.buffer(array) for name, array in wanted.items()}
            self._shapes[key] = self.calls(buffers, self.inputs, self.outputs)
        return self._shapes[key].run(wanted)

    def buffer(self, array: NDArray[Any]) -> Any:
        """A copy of an array in the device's memory."""
        return self._torch.from_numpy(np.ascontiguousarray(array)).cuda()

    def synchronize(self) -> None:
        """Wait until the device has done all that it was given."""
        self._torch.cuda.synchronize()

    def calls(
        self, buffers: Mapping[str, Any], given: Sequence[str], wanted: Sequence[str]
    ) -> Calls:
        """Calls that work in these buffers.

        Args:
            buffers: the device's memory of all inputs and of the outputs that stay there.
            given: inputs that are copied to the device at every call, wanted: outputs that are
                copied back.

        Raises:
            RuntimeProblem: the shapes do not fit the engine's ranges.
        """
        torch, context = self._torch, self._engine.create_execution_context()
        for name in self.inputs:
            if not context.set_input_shape(name, tuple(buffers[name].shape)):
                raise RuntimeProblem(
                    f"the engine takes no {name} of shape {tuple(buffers[name].shape)}"
                )
        missing = context.infer_shapes()
        if missing:
            raise RuntimeProblem(f"the engine still misses {', '.join(missing)}")
        places = dict(buffers)
        for name in self.outputs:
            if name not in places:
                shape = tuple(context.get_tensor_shape(name))
                places[name] = torch.empty(shape, dtype=torch.float32, device="cuda")
        for name, place in places.items():
            context.set_tensor_address(name, place.data_ptr())
        return Calls(torch, context, self._stream, places, given, wanted)


class Calls:
    """Calls in one set of buffers: pinned host copies, and a captured graph after WARM_UPS."""

    def __init__(
        self,
        torch: Any,
        context: Any,
        stream: Any,
        buffers: Mapping[str, Any],
        inputs: Sequence[str],
        outputs: Sequence[str],
    ) -> None:
        self._torch, self._context, self._stream = torch, context, stream
        self._buffers, self._inputs, self._outputs = buffers, inputs, outputs
        self._host = {
            name: torch.empty(buffers[name].shape, dtype=buffers[name].dtype, pin_memory=True)
            for name in (*inputs, *outputs)
        }
        self._graph: Any = None
        self._calls = 0

    def run(self, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """What is wanted, for what is given.

        Raises:
            RuntimeProblem: the GPU fails.
        """
        for name in self._inputs:
            self._host[name].numpy()[...] = feed[name]
        self._calls += 1
        if self._graph is not None:
            with self._torch.cuda.stream(self._stream):
                self._graph.replay()
        elif self._calls > WARM_UPS:
            self._graph = self._torch.cuda.CUDAGraph()
            with self._torch.cuda.graph(self._graph, stream=self._stream):
                self._enqueue()
            with self._torch.cuda.stream(self._stream):
                self._graph.replay()
        else:
            with self._torch.cuda.stream(self._stream):
                self._enqueue()
        self._stream.synchronize()
        return [self._host[name].numpy().copy() for name in self._outputs]

    def put(self, name: str, array: NDArray[Any]) -> None:
        """Copy an input that is not copied at every call."""
        with self._torch.cuda.stream(self._stream):
            self._buffers[name].copy_(self._torch.from_numpy(np.ascontiguousarray(array)))

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
