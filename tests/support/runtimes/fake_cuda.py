"""Two GPUs in name only: what posetalk calls of torch and of TensorRT's runtime, on the host.

Engines are those of `fake_tensorrt`: onnxruntime runs their graphs, reading and writing at the
addresses that were set.  As on a GPU, what is captured does not run until it is replayed.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime


class FakeTorch:
    """The module.

    Attributes:
        weights: folder that the graphs' weights lie in.
        copies: bytes that crossed between host and device, in so many `crossings`.
        captured, replayed: how many graphs, how often.
        refusals: engines that will not load, from now on.
        capture_error: what a capture fails with, if it shall.
        contexts: of engines, that were made; compiled: what a runtime cache holds.
    """

    float32, uint8 = np.float32, np.uint8

    def __init__(self, weights: Path) -> None:
        self.weights = weights
        self.copies = self.crossings = self.captured = self.replayed = self.refusals = 0
        self.capture_error = ""
        self.contexts: list[Context] = []
        self.compiled = b""
        self.recording: list[Callable[[], Any]] | None = None
        self.recorder: threading.Thread | None = None
        self.cuda = SimpleNamespace(
            Stream=lambda gpu: SimpleNamespace(cuda_stream=7, synchronize=lambda: None),
            stream=contextlib.nullcontext,
            device=contextlib.nullcontext,
            device_count=lambda: 2,
            synchronize=lambda gpu: None,
            is_available=lambda: True,
            CUDAGraph=lambda: Graph(self),
            graph=self._capture,
        )

    def do(self, work: Callable[[], Any]) -> None:
        """Now, or when the graph that is being captured is replayed."""
        if self.recording is None or threading.current_thread() is not self.recorder:
            work()
        else:
            self.recording.append(work)

    def from_numpy(self, array: Any) -> Memory:
        return Memory(self, np.array(array), "host")

    def empty(
        self, shape: Any, dtype: Any, device: str = "host", pin_memory: bool = False
    ) -> Memory:
        return Memory(self, np.full(tuple(shape), 99, dtype), device)

    def index_select(self, pool: Memory, dim: int, at: Memory, out: Memory) -> None:
        assert dim == 0 and out.shape == (len(at.array), *pool.shape[1:])
        assert {pool.place, at.place, out.place} == {out.place} and out.place != "host"

        def work() -> None:
            out.array[...] = pool.array[at.array]

        self.do(work)

    @contextlib.contextmanager
    def _capture(self, graph: Graph, stream: Any, capture_error_mode: str) -> Iterator[None]:
        assert self.recording is None and stream.cuda_stream == 7
        assert capture_error_mode == "thread_local"
        self.recording, self.recorder = graph.work, threading.current_thread()
        try:
            yield
        finally:
            self.recording = None
            if self.capture_error:
                raise RuntimeError(self.capture_error)
        self.captured += 1


class Graph:
    def __init__(self, torch: FakeTorch) -> None:
        self.torch = torch
        self.work: list[Callable[[], Any]] = []

    def replay(self) -> None:
        assert not self.torch.capture_error, "half a graph"
        self.torch.replayed += 1
        for work in self.work:
            work()


class Memory:
    """A tensor."""

    def __init__(self, torch: FakeTorch, array: Any, place: str) -> None:
        self.torch, self.array, self.place = torch, array, place
        self.shape, self.dtype = array.shape, array.dtype

    def data_ptr(self) -> int:
        return int(self.array.ctypes.data)

    def numpy(self) -> Any:
        assert self.place == "host", "the device's memory is not the host's"
        return self.array

    def to(self, device: str) -> Memory:
        return Memory(self.torch, self.array.copy(), device)

    def __getitem__(self, key: Any) -> Memory:
        if isinstance(key, int):  # a row, of numbers as well
            return self._same(self.array[key : key + 1].reshape(self.shape[1:]))
        return self._same(self.array[key])

    def view(self, *shape: int) -> Memory:
        return self._same(self.array.reshape(shape))

    def _same(self, array: Any) -> Memory:
        assert np.shares_memory(array, self.array), "a view is no copy"
        return Memory(self.torch, array, self.place)

    def index_copy_(self, dim: int, at: Memory, source: Memory) -> None:
        assert dim == 0 and source.shape == (len(at.array), *self.shape[1:])

        def work() -> None:
            self.array[at.array] = source.array

        self.torch.do(work)

    def cpu(self) -> Memory:
        return Memory(self.torch, self.array.copy(), "host")

    def copy_(self, other: Memory, non_blocking: bool = False) -> None:
        def work() -> None:
            self.array[...] = other.array
            if other.place != self.place:
                self.torch.copies += self.array.nbytes
                self.torch.crossings += 1

        self.torch.do(work)


class Runtime:
    """Of a fake TensorRT; `torch` says where the weights are."""

    def __init__(self, torch: FakeTorch) -> None:
        self.torch = torch

    def deserialize_cuda_engine(self, engine: bytes) -> Engine | None:
        if self.torch.refusals:
            self.torch.refusals -= 1
            return None
        first, _, graph = engine.partition(b"\n")
        return Engine(self.torch, graph, json.loads(first.partition(b" ")[2]))


class Engine:
    def __init__(self, torch: FakeTorch, graph: bytes, profiles: list[Any]) -> None:
        self.torch, self.profiles = torch, profiles
        self.num_optimization_profiles = len(profiles)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        folder = "session.model_external_initializers_file_folder_path"
        options.add_session_config_entry(folder, str(torch.weights))
        self.session = onnxruntime.InferenceSession(graph, options)
        self.inputs = {value.name: value for value in self.session.get_inputs()}
        self.outputs = {value.name: value for value in self.session.get_outputs()}
        self.num_io_tensors = len(self.inputs) + len(self.outputs)
        self.device_memory_size_v2 = 4096

    def get_tensor_name(self, index: int) -> str:
        return [*self.inputs, *self.outputs][index]

    def get_tensor_mode(self, name: str) -> str:
        return "input" if name in self.inputs else "output"

    def get_tensor_profile_shape(self, name: str, index: int) -> Any:
        return self.profiles[index][name]

    def create_runtime_config(self) -> RuntimeConfig:
        return RuntimeConfig(self.torch)

    def create_execution_context(self, how: Any) -> Context:
        if isinstance(how, RuntimeConfig):
            assert how.cuda_graph_strategy == "whole graph"
            how = how.strategy
        assert how == "by caller"
        self.torch.contexts.append(Context(self))
        return self.torch.contexts[-1]


class RuntimeConfig:
    """Of TensorRT for RTX, and its cache at once."""

    def __init__(self, torch: FakeTorch) -> None:
        self.torch = torch
        self.cuda_graph_strategy = self.strategy = ""

    def set_execution_context_allocation_strategy(self, strategy: str) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> RuntimeConfig:
        return self

    def set_runtime_cache(self, cache: RuntimeConfig) -> bool:
        return cache is self

    def deserialize(self, blob: bytes) -> bool:
        if not blob.startswith(b"compiled"):
            return False
        self.torch.compiled = blob
        return True

    def serialize(self) -> bytearray:
        self.torch.compiled = self.torch.compiled or b"compiled"
        return bytearray(self.torch.compiled)


class Context:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.profile: int | None = None
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.memory = 0

    def set_device_memory(self, memory: int, size: int) -> None:
        assert size == self.engine.device_memory_size_v2
        self.memory = memory

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self.profile = index
        return stream == 7 and index < len(self.engine.profiles)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name] = shape
        assert self.profile is not None
        ends = self.engine.profiles[self.profile].get(name)
        if ends and not all(a <= n <= b for a, n, b in zip(ends[0], shape, ends[2], strict=True)):
            return False
        dims = self.engine.inputs[name].shape
        return len(dims) == len(shape) and all(
            isinstance(d, str) or d == n for d, n in zip(dims, shape, strict=True)
        )

    def infer_shapes(self) -> list[str]:
        return [name for name in self.engine.inputs if name not in self.shapes]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        batch, frames = self.shapes["pcm" if "pcm" in self.shapes else "noise"][:2]
        known = {"batch": batch, "frames": frames // (640 if "pcm" in self.shapes else 1)}
        return tuple(known.get(d, d) for d in self.engine.outputs[name].shape)

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == 7 and self.memory, "a context works in memory that it was given"
        self.engine.torch.do(self._execute)
        return True

    def _execute(self) -> None:
        kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
        feed = {}
        time.sleep(0)  # another thread's turn: it may not touch what this one works on
        for name, value in self.engine.inputs.items():
            array = np.empty(self.shapes[name], kinds[value.type])
            ctypes.memmove(array.ctypes.data, self.addresses[name], array.nbytes)
            feed[name] = array
        for name, array in zip(
            self.engine.outputs, self.engine.session.run(None, feed), strict=True
        ):
            ctypes.memmove(self.addresses[name], array.ctypes.data, array.nbytes)
