"""An engine that goes on from its own state, which stays in the GPU's memory.

As `onnx_resident`: two sets of state buffers change places, each with its own captured CUDA graph,
which holds the copies of the new sound and noise, the engine, and the copy of the frames.  No
machine with a GPU has run it yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.backends.tensorrt.calls import Calls, gpu_errors
from stream.backends.tensorrt.session import EngineSession

NEW = ("pcm", "noise")
"""Inputs that differ at every call; others are copied when they change."""


class ResidentEngine:
    """The engine of an exported `hop_K` graph and its state.

    Args:
        engine: loaded; an input `x` is state where there is an output `next_x`.
    """

    def __init__(self, engine: EngineSession) -> None:
        self._engine = engine
        self.states = [name for name in engine.inputs if f"next_{name}" in engine.outputs]
        self._answers = [n for n in engine.outputs if n.removeprefix("next_") not in self.states]
        self._sides: list[dict[str, Any]] = []
        self._side = 0
        self._calls: dict[tuple[Any, ...], list[Calls]] = {}
        self._last: dict[tuple[Any, ...], dict[str, NDArray[Any]]] = {}

    def start(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from this state from the next call on."""
        with self._engine.lock, gpu_errors():
            self._start(state)

    def _start(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._side = 0
        for name, buffer in (self._sides[0] if self._sides else {}).items():
            buffer.copy_(self._engine.buffer(state[name]))
        self._sides = self._sides or [
            {name: self._engine.buffer(state[name]) for name in self.states} for _ in range(2)
        ]
        self._engine.synchronize()  # the copies are not on the engine's stream

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of the state after the last call."""
        with self._engine.lock:
            return {name: b.cpu().numpy().copy() for name, b in self._sides[self._side].items()}

    def run(self, feed: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """What a call gives, for contiguous inputs that are not state.

        Raises:
            stream.backends.protocol.RuntimeProblem: the inputs do not fit, or the GPU fails.
        """
        with self._engine.lock, gpu_errors():
            return self._run(feed)

    def _run(self, feed: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        given = {name: feed[name] for name in self._engine.inputs if name not in self.states}
        key = tuple(array.shape for array in given.values())
        if key not in self._calls:
            self._calls[key] = self._prepare(given)
            self._last[key] = given
        last = self._last[key]
        for name, array in given.items():
            if name not in NEW and not np.array_equal(array, last[name]):
                self._calls[key][0].put(name, array)  # both sides share it
                last[name] = array
        (answer,) = self._calls[key][self._side].run(given)
        self._side = 1 - self._side
        return answer

    def _prepare(self, given: Mapping[str, NDArray[Any]]) -> list[Calls]:
        """Calls from each side of the state to the other."""
        shared = {name: self._engine.buffer(array) for name, array in given.items()}
        both = []
        for side in range(2):
            after = {f"next_{name}": b for name, b in self._sides[1 - side].items()}
            buffers = shared | self._sides[side] | after
            both.append(self._engine.calls(buffers, NEW, self._answers))
        return both
