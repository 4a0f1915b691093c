"""Model calls as captured CUDA graphs: fixed buffers, one launch a call.

A call of a network is hundreds of small kernels; launched one by one they take longer than they
run.  A graph of them is captured once for each kind of call and replayed.  Between host and device
go the rows of the call and its answers, through pinned buffers that are made with the graph.

Written by torch's documentation and never run on a GPU.  What is not the GPU's own is tested with
`EagerCapture` in the place of `CudaCapture`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream.backends.readiness import Readiness

log = logging.getLogger(__name__)

Row = Any
"""A float32 array, or a tensor on the device: one row of a batch."""
Rows = Sequence[Row] | NDArray[Any]
"""Rows one by one, or as one array."""
Outputs = tuple[Tensor, ...]
Function = Callable[..., Outputs]
"""Tensors by name, (B, ...) each, and settings -> tensors (B, ...); the same kernels every time."""

MOST_GRAPHS = 256
"""Kinds of calls that are kept; the one that was used longest ago goes first."""
WARM_UPS = 2
"""Plain calls before the capture: what libraries set up at first use must not be captured."""


class Capture(Protocol):
    """What runs a piece of work again and again on the same memory."""

    device: torch.device

    def host_buffer(self, shape: Sequence[int]) -> Tensor:
        """Float32 memory of the host from which the device can copy by itself."""
        ...

    def capture(self, work: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], None]]:
        """Where the answers will be, and what puts them there."""
        ...

    def wait(self) -> None:
        """Until everything is done that was begun."""
        ...


class CudaCapture:
    """Graphs on a stream, in one pool of memory: they never run at the same time."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._pool = torch.cuda.graph_pool_handle()

    def host_buffer(self, shape: Sequence[int]) -> Tensor:
        return torch.empty(tuple(shape), pin_memory=True)

    def capture(self, work: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], None]]:
        aside = torch.cuda.Stream(self.device)
        aside.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                work()
        torch.cuda.current_stream(self.device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Other threads go on allocating: only what this one does may spoil the capture.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            outputs = work()
        return outputs, graph.replay

    def wait(self) -> None:
        torch.cuda.current_stream(self.device).synchronize()


class EagerCapture:
    """Runs the work itself each time; the answers still come in the same memory."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = torch.device(device)

    def host_buffer(self, shape: Sequence[int]) -> Tensor:
        return torch.empty(tuple(shape))

    def capture(self, work: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], None]]:
        outputs = tuple(torch.empty_like(tensor) for tensor in work())

        def replay() -> None:
            for place, tensor in zip(outputs, work(), strict=True):
                place.copy_(tensor)

        return outputs, replay

    def wait(self) -> None:
        """It is done when it returns."""


class PlainCalls:
    """Functions of rows, called as they are; `CapturedCalls` is the fast one."""

    fixed_shapes = False

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.readiness = Readiness()

    def run(
        self,
        function: Function,
        rows: Mapping[str, Rows],
        settings: Mapping[str, Any],
        stay: int = 0,
    ) -> list[Any]:
        """The function's answers: arrays, the last `stay` ones tensors on the device."""
        with torch.inference_mode():
            outputs = function(**{name: self._batch(own) for name, own in rows.items()}, **settings)
            host = len(outputs) - stay
            return [output.cpu().numpy() for output in outputs[:host]] + list(outputs[host:])

    def _batch(self, rows: Rows) -> Tensor:
        """Equal rows as one batch; a single one is not copied."""
        if isinstance(rows[0], Tensor):
            return torch.stack(list(rows))
        if len(rows) == 1:
            batch = np.asarray(rows[0], np.float32, order="C")[None]  # a number's, too
        else:
            batch = np.stack([*rows]).astype(np.float32, copy=False)
        return torch.from_numpy(batch).to(self._device)


class CapturedCalls:
    """Functions of rows, each captured once for every shape, set of names and settings.

    The number of rows is rounded up to a power of two, so that a handful of graphs serves any
    number of sessions; the rows that are too many repeat the last one and are dropped.
    """

    fixed_shapes = True
    """A number in the settings is part of the graph, so those that may change come as rows."""

    def __init__(
        self,
        capture: Capture,
        lock: threading.Lock | None = None,
        readiness: Readiness | None = None,
    ) -> None:
        self._capture = capture
        self.readiness = readiness or Readiness()
        self._plain = PlainCalls(capture.device)
        self._calls: dict[Hashable, _Call] = {}
        # Buffers belong to one call at a time, and so does the memory that all captures share.
        self._lock = lock or threading.Lock()

    def __len__(self) -> int:
        return len(self._calls)

    def another(self) -> CapturedCalls:
        """Captures of another's functions on the same device, in the same memory."""
        return CapturedCalls(self._capture, self._lock, self.readiness)

    def run(
        self,
        function: Function,
        rows: Mapping[str, Rows],
        settings: Mapping[str, Hashable],
        stay: int = 0,
    ) -> list[Any]:
        """The function's answers: arrays, the last `stay` ones tensors on the device.

        Args:
            rows: by name, equally many, of one shape for each name; float32.
        """
        count = len(next(iter(rows.values())))
        shapes = {name: tuple(own[0].shape) for name, own in rows.items()}
        with self._lock, torch.inference_mode():
            call = self._call(function, shapes, count, settings, stay)
            if call is None:
                return self._plain.run(function, rows, settings, stay)
            return call.run(rows, count)

    def prepare(
        self,
        function: Function,
        shapes: Mapping[str, tuple[int, ...]],
        count: int,
        settings: Mapping[str, Hashable],
        stay: int = 0,
    ) -> None:
        """Capture what `run` will need for so many rows of these shapes, unless it is there, or
        this is not the time for it."""
        with self._lock, torch.inference_mode():
            self._call(function, shapes, count, settings, stay)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nothing else runs meanwhile; for whoever touches memory that functions work on."""
        with self._lock, torch.inference_mode():
            yield

    def _call(
        self,
        function: Function,
        shapes: Mapping[str, tuple[int, ...]],
        count: int,
        settings: Mapping[str, Hashable],
        stay: int,
    ) -> _Call | None:
        """The captured call; None: it was never made, and may not be captured now."""
        size = 1 << (count - 1).bit_length()
        key = (function.__name__, size, tuple(shapes.items()), tuple(sorted(settings.items())))
        call = self._calls.pop(key, None)
        if call is None:
            if not self.readiness.may_capture:
                return None
            full = {name: (size, *shape) for name, shape in shapes.items()}
            call = _Call(self._capture, function, full, settings, stay)
            self._calls = dict(list(self._calls.items())[1 - MOST_GRAPHS :])
        self._calls[key] = call
        return call


class _Call:
    """One kind of call: its buffers on both sides, and what replays it."""

    def __init__(
        self,
        capture: Capture,
        function: Function,
        shapes: Mapping[str, tuple[int, ...]],
        settings: Mapping[str, Hashable],
        stay: int,
    ) -> None:
        self._capture = capture
        self._host = {name: capture.host_buffer(shape) for name, shape in shapes.items()}
        self._device = {
            name: torch.zeros(shape, device=capture.device) for name, shape in shapes.items()
        }
        self._work = lambda: function(**self._device, **settings)
        self._name = function.__name__
        # On zeros, so that a function that goes on from a state of its own may keep them apart.
        self._outputs, self._replay = self._begin()
        self._answers = [
            capture.host_buffer(output.shape)
            for output in self._outputs[: len(self._outputs) - stay]
        ]

    def run(self, rows: Mapping[str, Rows], count: int) -> list[Any]:
        for name, own in rows.items():
            self._put(name, own)
        self._replay()
        for answer, output in zip(self._answers, self._outputs, strict=False):
            answer.copy_(output, non_blocking=True)
        kept = [output[:count].clone() for output in self._outputs[len(self._answers) :]]
        self._capture.wait()
        # Copies, as the next call writes into the same memory.
        return [answer[:count].numpy().copy() for answer in self._answers] + kept

    def _put(self, name: str, rows: Rows) -> None:
        """Rows into the device's buffer, the last one as often as it takes."""
        place = self._device[name]
        if isinstance(rows[0], Tensor):
            full = [*rows, *[rows[-1]] * (len(place) - len(rows))]
            for slot, row in zip(place, full, strict=True):
                slot.copy_(row)
            return
        pinned = self._host[name].numpy()
        if isinstance(rows, np.ndarray):
            pinned[: len(rows)] = rows
        else:
            for index, row in enumerate(rows):
                pinned[index] = row
        pinned[len(rows) :] = rows[-1]
        place.copy_(self._host[name], non_blocking=True)

    def _begin(self) -> tuple[Outputs, Callable[[], None]]:
        """Capture; where that fails, say so and make plain calls."""
        try:
            return self._capture.capture(self._work)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            log.warning("no CUDA graph of %s, it runs without: %s", self._name, reason)
            return EagerCapture(str(self._capture.device)).capture(self._work)
