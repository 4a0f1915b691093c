"""A graph in onnxruntime that goes on from its own state, which stays where it runs.

The state lies in two sets of buffers: a call reads one and writes the other, and they change
places.  What is new is copied in, the frames are copied out, and nothing else crosses between host
and device; all buffers and bindings are made once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.backends.onnx.session import GraphSession

Arrays = Mapping[str, NDArray[Any]]
NEW = ("pcm", "noise")
"""Inputs that differ at every call; others are copied when they change."""


class ResidentGraph:
    """An exported `hop_K` graph and its state.

    Args:
        graph: opened; an input `x` is state where there is an output `next_x`.
    """

    def __init__(self, graph: GraphSession) -> None:
        self._graph = graph
        self.states = [name for name in graph.inputs if f"next_{name}" in graph.outputs]
        (self._answer,) = (n for n in graph.outputs if n.removeprefix("next_") not in self.states)
        self._sides: list[dict[str, Any]] = []
        self._side = 0
        self._calls: dict[tuple[Any, ...], _Call] = {}

    def start(self, state: Arrays) -> None:
        """Go on from this state from the next call on."""
        with self._graph.lock:
            self._start(state)

    def _start(self, state: Arrays) -> None:
        if not self._fits(state):
            self._sides = [
                {
                    name: self._graph.buffer(state[name].shape, state[name].dtype)
                    for name in self.states
                }
                for _ in range(2)
            ]
            self._calls = {}
        self._side = 0
        for name, buffer in self._sides[0].items():
            buffer.update_inplace(np.ascontiguousarray(state[name]))

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of the state after the last call."""
        with self._graph.lock:
            return {name: np.array(buf.numpy()) for name, buf in self._sides[self._side].items()}

    def run(self, feed: Arrays) -> NDArray[np.float32]:
        """What a call gives, for contiguous inputs that are not state.

        Raises:
            stream.backends.protocol.RuntimeProblem: the inputs do not fit.
        """
        with self._graph.lock:
            return self._run(feed)

    def _run(self, feed: Arrays) -> NDArray[np.float32]:
        given = [name for name in self._graph.inputs if name not in self.states]
        key = tuple(feed[name].shape for name in given)
        if key not in self._calls:
            self._calls[key] = self._prepare({name: feed[name] for name in given})
        call = self._calls[key]
        for name, buffer in call.buffers.items():
            array = feed[name]
            if name in NEW or not np.array_equal(array, call.last[name]):
                buffer.update_inplace(array)
                call.last[name] = array
        self._graph.run_binding(call.bindings[self._side])
        self._side = 1 - self._side
        return np.array(call.answers[1 - self._side].numpy())

    def _fits(self, state: Arrays) -> bool:
        """Whether there are buffers of this state's shapes."""
        return bool(self._sides) and all(
            tuple(self._sides[0][name].shape()) == state[name].shape for name in self.states
        )

    def _prepare(self, feed: Arrays) -> _Call:
        """Buffers for inputs of these shapes, and a binding for each side of the state."""
        buffers = {n: self._graph.buffer(a.shape, a.dtype) for n, a in feed.items()}
        for name, array in feed.items():
            buffers[name].update_inplace(array)
        dims = self._graph.dims[self._answer]
        shape = (len(feed["pcm"]), *dims[1:])
        bindings, answers = [], []
        for side in range(2):
            binding = self._graph.binding()
            inputs = buffers | self._sides[side]
            for name in self._graph.inputs:
                binding.bind_ortvalue_input(name, inputs[name])
            for name in self.states:
                binding.bind_ortvalue_output(f"next_{name}", self._sides[1 - side][name])
            answers.append(self._graph.buffer(shape, np.float32, on_host=True))
            binding.bind_ortvalue_output(self._answer, answers[-1])
            bindings.append(binding)
        return _Call(buffers, bindings, answers, dict(feed))


class _Call:
    """Calls of one set of shapes: input buffers, bindings, where frames arrive, what went in."""

    def __init__(
        self,
        buffers: dict[str, Any],
        bindings: list[Any],
        answers: list[Any],
        last: dict[str, NDArray[Any]],
    ) -> None:
        self.buffers, self.bindings, self.answers, self.last = buffers, bindings, answers, last
