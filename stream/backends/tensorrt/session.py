"""One TensorRT engine on a CUDA GPU: fixed buffers, and a captured graph per shape.

Written for `tensorrt` 10 and 11 and for `tensorrt_rtx` by their documentation; the device's memory
and streams are torch's.  No machine with a GPU has run it yet.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.backends.protocol import RuntimeProblem
from stream.backends.readiness import Readiness
from stream.backends.tensorrt.build import EXTRAS, LIBRARIES, Dims
from stream.backends.tensorrt.calls import Calls, Capturing, gpu_errors
from stream.backends.tensorrt.engine_store import Gpu
from stream.backends.tensorrt.runtime_cache import RuntimeCache

MOST_SHAPES = 64
"""Shapes whose buffers, context and graph are kept; the one used longest ago goes first."""


class EngineSession:
    """An engine that can be run from any thread, like `onnx.session.GraphSession`.

    A captured graph holds its execution context, so each shape that is kept has one of its own.
    They never run at the same time, and so all of them work in one piece of the device's memory.

    Attributes:
        lock: its buffers and its stream belong to one call at a time.
        torch: the module, whose memory and streams it works with.
        capturing: whether its calls are captured.

    Args:
        name: of the graph.
        engine: serialised.
        target: `tensorrt` or `tensorrt-rtx`.
        dims: of the graph's inputs, by name, as a manifest has them.
        gpu: number of the GPU.
        readiness: of the backend: whether calls of a new kind are captured.
        cache: file in which `tensorrt-rtx` keeps the kernels that it compiled; None: nowhere.

    Raises:
        RuntimeProblem: no library, no GPU, or an engine that does not load here.
    """

    def __init__(
        self,
        name: str,
        engine: bytes,
        target: str,
        dims: Dims,
        *,
        gpu: int = 0,
        readiness: Readiness | None = None,
        cache: Path | None = None,
    ) -> None:
        self._trt, self.torch = libraries(target, gpu)
        self.lock = threading.RLock()
        self._device = gpu
        with self.torch.cuda.device(gpu):
            self._runtime = self._trt.Runtime(self._trt.Logger(self._trt.Logger.ERROR))
            self._engine = self._runtime.deserialize_cuda_engine(engine)
            if self._engine is None:
                raise RuntimeProblem(
                    f"{LIBRARIES[target]} {self._trt.__version__} does not take the engine {name} "
                    "on this GPU: choose `--backend onnxruntime` or `torch`"
                )
            names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
            given = self._trt.TensorIOMode.INPUT
            self.inputs = [n for n in names if self._engine.get_tensor_mode(n) == given]
            self.outputs = [n for n in names if n not in self.inputs]
            self._batched = [n for n in self.inputs if dims[n][0] == "batch"]
            profiles = range(self._engine.num_optimization_profiles)
            ends = [self._engine.get_tensor_profile_shape(self._batched[0], i) for i in profiles]
            self._batches = [(least[0], most[0]) for least, _, most in ends]
            self._stream = self.torch.cuda.Stream(gpu)
            self._room = int(self._engine.device_memory_size_v2)
            self._memory = self.torch.empty(
                (max(1, self._room),), dtype=self.torch.uint8, device=f"cuda:{gpu}"
            )
            self._cache = RuntimeCache(self._trt, self._engine, cache)
        self.capturing = Capturing(
            name, wanted=not self._cache.captures, readiness=readiness or Readiness()
        )
        self._shapes: dict[tuple[Any, ...], Calls] = {}
        self.provider = target

    @property
    def max_batch(self) -> int:
        """Sessions that one call can hold."""
        return self.sizes[-1]

    @property
    def sizes(self) -> list[int]:
        """Sessions that a call of each profile can hold, in rising order."""
        return sorted(most for _, most in self._batches)

    def run(self, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """The outputs for contiguous inputs, in their order; inputs it does not take are left out.

        Rows are filled up to the smallest profile that holds them, the last one as often as it
        takes, and what comes of those is dropped.

        Raises:
            RuntimeProblem: the inputs do not fit the engine's ranges, or the GPU fails.
        """
        count = len(feed[self._batched[0]])
        _, size = self._profile(count)
        wanted = {name: np.ascontiguousarray(feed[name]) for name in self.inputs}
        if size > count:
            for name in self._batched:
                more = np.repeat(wanted[name][-1:], size - count, axis=0)
                wanted[name] = np.concatenate([wanted[name], more])
        key = tuple(array.shape for array in wanted.values())
        with self.lock, gpu_errors():
            calls = self._shapes.pop(key, None)
            if calls is None:
                buffers = {name: self.buffer(array) for name, array in wanted.items()}
                calls = self.calls(buffers, self.inputs, self.outputs)
                self._shapes = dict(list(self._shapes.items())[1 - MOST_SHAPES :])
            self._shapes[key] = calls
            return [answer[:count] for answer in calls.run(wanted)]

    def buffer(self, array: NDArray[Any]) -> Any:
        """A copy of an array in the device's memory."""
        return self.torch.from_numpy(np.ascontiguousarray(array)).to(f"cuda:{self._device}")

    def synchronize(self) -> None:
        """Wait until the device has done all that it was given."""
        self.torch.cuda.synchronize(self._device)

    @contextlib.contextmanager
    def on_stream(self) -> Iterator[None]:
        """Nothing else runs meanwhile; what is given to the device is in the order of its calls.

        Raises:
            RuntimeProblem: the GPU fails.
        """
        cuda = self.torch.cuda
        with self.lock, gpu_errors(), cuda.device(self._device), cuda.stream(self._stream):
            yield

    def calls(
        self,
        buffers: Mapping[str, Any],
        given: Sequence[str],
        wanted: Sequence[str],
        *,
        before: Callable[[], None] = lambda: None,
        after: Callable[[], None] = lambda: None,
    ) -> Calls:
        """Calls that work in these buffers.

        Args:
            buffers: the device's memory of all inputs and of the outputs that stay there.
            given: inputs that are copied to the device at every call, wanted: outputs that are
                copied back.
            before, after: see `Calls`; what is given may then be memory that is theirs alone.

        Raises:
            RuntimeProblem: the shapes do not fit the engine's ranges.
        """
        torch, place = self.torch, f"cuda:{self._device}"
        profile, _ = self._profile(buffers[self._batched[0]].shape[0])
        with torch.cuda.device(self._device):
            context = self._cache.context()
            context.set_device_memory(self._memory.data_ptr(), self._room)
            if not context.set_optimization_profile_async(profile, self._stream.cuda_stream):
                raise RuntimeProblem(f"the engine has no profile {profile}")
            self._stream.synchronize()
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
                    places[name] = torch.empty(shape, dtype=torch.float32, device=place)
            for name in (*self.inputs, *self.outputs):
                context.set_tensor_address(name, places[name].data_ptr())
        return Calls(
            torch,
            context,
            self._stream,
            places,
            given,
            wanted,
            capturing=self.capturing,
            gpu=self._device,
            began=self._cache.save,
            before=before,
            after=after,
        )

    def _profile(self, count: int) -> tuple[int, int]:
        """The smallest profile that holds `count` rows, and how many it wants.

        Raises:
            RuntimeProblem: there is none.
        """
        fits = [(most, i) for i, (_, most) in enumerate(self._batches) if count <= most]
        if not fits:
            raise RuntimeProblem(
                f"the engine takes 1 to {self.max_batch} sessions in a call, not {count}"
            )
        index = min(fits)[1]
        return index, max(count, self._batches[index][0])


def libraries(target: str, gpu: int = 0) -> tuple[Any, Any]:
    """TensorRT's module of a target, and torch, on a machine with a GPU of that number.

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
    if gpu >= torch.cuda.device_count():
        raise RuntimeProblem(
            f"there is no GPU {gpu} here: choose --gpu 0 to {torch.cuda.device_count() - 1}"
        )
    return importlib.import_module(name), torch


def gpu_here(gpu: int = 0) -> Gpu | None:
    """The GPU of that number, as torch names it; None: there is none, or no torch."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return None
    if not torch.cuda.is_available() or gpu >= torch.cuda.device_count():
        return None
    major, minor = torch.cuda.get_device_capability(gpu)
    return Gpu(torch.cuda.get_device_name(gpu), float(f"{major}.{minor}"))
