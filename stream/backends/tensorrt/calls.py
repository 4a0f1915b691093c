"""Calls of one engine in one set of buffers: pinned host copies and, where it works, a CUDA graph.

No machine with a GPU has run it yet.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.backends.protocol import RuntimeProblem
from stream.backends.readiness import Readiness

log = logging.getLogger(__name__)

WARM_UPS = 2
"""Plain calls before a graph is captured: lazy set-up must not be captured with it."""


class Capturing:
    """Whether an engine's calls are captured; where one can't be, none is, and it is said once."""

    def __init__(self, name: str, *, wanted: bool, readiness: Readiness) -> None:
        self._name, self._wanted = name, wanted
        self.readiness = readiness

    @property
    def wanted(self) -> bool:
        """Whether a call that is made for the first time is captured now."""
        return self._wanted and self.readiness.may_capture

    def refuse(self, error: Exception) -> None:
        """Make plain calls from now on."""
        self._wanted = False
        log.warning("no CUDA graph of %s, it runs without: %s", self._name, line(error))


class Calls:
    """Calls in one set of buffers; whoever calls holds the engine's lock.

    Args:
        buffers: the device's memory of every input and output.
        inputs: those that are copied to the device at every call, outputs: those copied back.
        capturing: of the engine; gpu: its number.
        began: called once, when the first call is done.
        before, after: what is done on the device before the engine, and after it.
    """

    def __init__(
        self,
        torch: Any,
        context: Any,
        stream: Any,
        buffers: Mapping[str, Any],
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        capturing: Capturing,
        gpu: int,
        began: Callable[[], None],
        before: Callable[[], None] = lambda: None,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        self._torch, self._context, self._stream = torch, context, stream
        self._buffers, self._inputs, self._outputs = buffers, inputs, outputs
        self._capturing, self._gpu, self._began = capturing, gpu, began
        self._before, self._after = before, after
        self._host = {
            name: torch.empty(buffers[name].shape, dtype=buffers[name].dtype, pin_memory=True)
            for name in (*inputs, *outputs)
        }
        self._graph: Any = None
        self._is_new = True

    def run(self, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """What is wanted, for what is given; the first call warms up and captures.

        Raises:
            RuntimeProblem: the GPU fails.
        """
        for name in self._inputs:
            self._host[name].numpy()[...] = feed[name]
        with gpu_errors(), self._torch.cuda.device(self._gpu):
            if self._is_new:
                self._begin()
            with self._torch.cuda.stream(self._stream):
                if self._graph is not None:
                    self._graph.replay()
                else:
                    self._enqueue()
            self._stream.synchronize()
            if self._is_new:
                self._is_new = False
                self._began()
        return [self._host[name].numpy().copy() for name in self._outputs]

    def put(self, name: str, array: NDArray[Any]) -> None:
        """Copy an input that is not copied at every call."""
        with self._torch.cuda.device(self._gpu), self._torch.cuda.stream(self._stream):
            self._buffers[name].copy_(self._torch.from_numpy(np.ascontiguousarray(array)))

    def _begin(self) -> None:
        """Warm up, and capture, where that is wanted; half a graph is never kept."""
        if not self._capturing.wanted:
            return
        with self._torch.cuda.stream(self._stream):
            for _ in range(WARM_UPS):
                self._enqueue()
        self._stream.synchronize()
        graph = self._torch.cuda.CUDAGraph()
        try:
            # Other threads go on allocating: only what this one does may spoil the capture.
            with self._torch.cuda.graph(
                graph, stream=self._stream, capture_error_mode="thread_local"
            ):
                self._enqueue()
        except RuntimeError as error:
            self._capturing.refuse(error)
        else:
            self._graph = graph

    def _enqueue(self) -> None:
        """Inputs to the device, the engine, outputs back: all on the stream."""
        for name in self._inputs:
            self._buffers[name].copy_(self._host[name], non_blocking=True)
        self._before()
        if not self._context.execute_async_v3(self._stream.cuda_stream):
            raise RuntimeProblem("TensorRT could not run the engine")
        self._after()
        for name in self._outputs:
            self._host[name].copy_(self._buffers[name], non_blocking=True)


@contextlib.contextmanager
def gpu_errors() -> Iterator[None]:
    """What goes wrong on the GPU, as one line.

    Raises:
        RuntimeProblem: instead of torch's RuntimeError.
    """
    try:
        yield
    except RuntimeProblem:
        raise
    except RuntimeError as error:
        raise RuntimeProblem(f"the GPU failed: {line(error)}") from None


def line(error: BaseException) -> str:
    """An error of a library's on one line."""
    return " ".join(str(error).split())[:300]
