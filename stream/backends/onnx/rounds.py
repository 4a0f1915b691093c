"""Rounds in onnxruntime: states stay in its memory, a round is one call of an exported graph.

`round_K` gathers, hears, samples and scatters (`export.graphs.rounds`); each pool of states is
bound as an input and as its own output, so that it is written where it lies.  On CUDA calls are
captured by the provider's own option (`enable_cuda_graph`), a graph for each size and set of
branches.  The provider keeps its graphs by thread, and runs what it captures several times: so one
thread makes all calls, and every call is first made where nobody's state is.  Written by
onnxruntime's documentation and never run on a GPU; on the CPU the same calls are made without.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from stream.backends.onnx.session import GraphSession
from stream.backends.protocol import FloatArray, RuntimeProblem
from stream.backends.readiness import Readiness
from stream.backends.slots.hop_slots import Guided
from stream.backends.slots.round_slots import SPARE

log = logging.getLogger(__name__)

Given = TypeVar("Given")
Branches = Callable[[Guided], Mapping[str, FloatArray]]
"""Inputs of a graph that say which branches there are, for scales that guide."""
ANSWER = "new_motion"
NOT_CAPTURED = -1
"""As the number of a call, by onnxruntime's own convention."""


class _Call(NamedTuple):
    """Calls of one size: what goes in, what comes out, what is bound, the number of the capture."""

    fresh: Any
    answer: Any
    binding: Any
    number: int


class OnnxRounds:
    """States of streams where a graph runs, as `Rounds`.

    Args:
        open_round: opens `round_K`, with captures or without.
        door: `slots`, which puts states in and takes them out.
        branches: of the graph's inputs.
        count: slots.
        sizes: of a round, in rising order.
        readiness: whether rounds of a new kind are captured.
    """

    def __init__(
        self,
        open_round: Callable[[bool], GraphSession],
        door: GraphSession,
        branches: Branches,
        count: int,
        sizes: Sequence[int],
        readiness: Readiness,
    ) -> None:
        self.sizes, self._readiness = sizes, readiness
        self._open, self._door, self._branches = open_round, door, branches
        self._owner = ThreadPoolExecutor(1, thread_name_prefix="rounds")
        self._calls: dict[tuple[int, Guided], _Call] = {}
        self._made = 0
        self._closed = False
        self._captures = True
        self._graph = self._own(self._opened)
        self._states = [
            name for name in self._graph.inputs if f"next_{name}" in self._graph.outputs
        ]
        self._pools: dict[str, Any] = {}
        for name in self._states:
            shape = (count + SPARE, *self._graph.dims[name][1:])
            self._pools[name] = self._graph.buffer(shape, self._graph.types[name])
            self._pools[name].update_inplace(np.zeros(shape, self._graph.types[name]))

    def prepare(self, size: int, guided: Guided) -> None:
        """See `Rounds`."""
        self._own(lambda: self._call(size, guided))

    def run(self, fresh: FloatArray, guided: Guided) -> FloatArray:
        """See `Rounds`."""
        return self._own(lambda: self._run(fresh, guided))

    def put(self, number: int, rows: Mapping[str, Any]) -> None:
        """See `Rounds`."""
        self._own(lambda: self._through_the_door(number, rows))

    def get(self, number: int) -> dict[str, NDArray[Any]]:
        """See `Rounds`."""
        if self._closed:  # nothing of the door is captured: any thread may use it now
            return self._through_the_door(number, None)
        return self._own(lambda: self._through_the_door(number, None))

    def close(self) -> None:
        """See `Rounds`."""
        self._closed = True
        self._owner.shutdown(wait=False)

    # --- on the one thread ---------------------------------------------------------------------
    def _own(self, do: Callable[[], Given]) -> Given:
        """What the one thread has made of it.

        Raises:
            RuntimeProblem: these rounds are closed.
        """
        if self._closed:
            raise RuntimeProblem("these rounds are closed: no more are made")
        return self._owner.submit(do).result()

    def _opened(self) -> GraphSession:
        """The graph, without captures where it cannot have them."""
        if self._captures:
            try:
                return self._open(True)
            except RuntimeProblem as error:
                self._refuse(error)
        return self._open(False)

    def _refuse(self, error: Exception) -> None:
        """Make plain calls from now on; half a capture is never used."""
        self._captures = False
        self._calls = {}
        log.warning("no CUDA graph of rounds, they run without: %s", error)

    def _run(self, fresh: FloatArray, guided: Guided) -> FloatArray:
        call = self._call(len(fresh), guided)
        call.fresh.update_inplace(np.ascontiguousarray(fresh))
        self._graph.run_binding(call.binding, call.number)
        return np.array(call.answer.numpy())

    def _call(self, size: int, guided: Guided) -> _Call:
        """What a round of this size needs; made and, where it can be, captured when it is new."""
        if (size, guided) not in self._calls:
            call = self._bound(size, guided)
            try:
                self._graph.run_binding(call.binding, call.number)  # of the spare slot
            except RuntimeProblem as error:
                if not self._captures or call.number == NOT_CAPTURED:
                    raise
                self._refuse(error)
                self._graph = self._open(False)
                call = self._bound(size, guided)
            self._calls[size, guided] = call
        return self._calls[size, guided]

    def _bound(self, size: int, guided: Guided) -> _Call:
        graph, binding = self._graph, self._graph.binding()
        feed: dict[str, NDArray[Any]] = {
            "fresh": np.zeros((size, graph.dims["fresh"][1]), np.float32)
        }
        feed |= self._branches(guided)
        bound = {name: graph.buffer(feed[name].shape, np.float32) for name in feed}
        for name in graph.inputs:
            if name in bound:
                bound[name].update_inplace(feed[name])
            binding.bind_ortvalue_input(name, bound[name] if name in bound else self._pools[name])
        for name in self._states:
            binding.bind_ortvalue_output(f"next_{name}", self._pools[name])
        answer = graph.buffer((size, *graph.dims[ANSWER][1:]), np.float32)
        binding.bind_ortvalue_output(ANSWER, answer)
        self._made += 1
        number = self._made if self._readiness.may_capture else NOT_CAPTURED
        return _Call(bound["fresh"], answer, binding, number)

    def _through_the_door(
        self, number: int, rows: Mapping[str, Any] | None
    ) -> dict[str, NDArray[Any]]:
        """What was in a slot; with rows, these are there now."""
        door, binding = self._door, self._door.binding()
        binding.bind_cpu_input("slot", np.array([number], np.int64))
        binding.bind_cpu_input("write", np.array([rows is not None]))
        own = {}
        for name in self._states:
            kind, shape = self._graph.types[name], (1, *self._graph.dims[name][1:])
            given = np.zeros(shape, kind)
            if rows is not None:
                given[...] = np.asarray(rows[name], kind).reshape(shape)
            binding.bind_cpu_input(f"put_{name}", given)
            binding.bind_ortvalue_input(name, self._pools[name])
            binding.bind_ortvalue_output(f"next_{name}", self._pools[name])
            own[name] = door.buffer(shape, kind, on_host=True)
            binding.bind_ortvalue_output(f"own_{name}", own[name])
        door.run_binding(binding)
        return {name: np.array(value.numpy())[0] for name, value in own.items()}
