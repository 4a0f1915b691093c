"""Rounds in an engine of whole hops: states stay in torch's memory on the GPU.

What is new in a round is copied over at once, the states of its slots are gathered into the
engine's inputs, and put back from its outputs: all on the engine's stream and, with `tensorrt`, in
one captured graph for each profile and set of branches.  TensorRT for RTX captures its own part.
No machine with a GPU has run it yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.backends.protocol import FloatArray
from stream.backends.slots.hop_slots import Guided, Part, row_width
from stream.backends.slots.round_slots import SPARE
from stream.backends.tensorrt.build import Dims
from stream.backends.tensorrt.calls import Calls
from stream.backends.tensorrt.session import EngineSession

ANSWER = "new_motion"
WHOLE_NUMBERS = ("committed",)
"""States in int64; all others are in float32."""


class EngineRounds:
    """States of streams beside an engine, as `Rounds`.

    Args:
        engine: of an exported `hop_K`, with a profile for each size of a round.
        dims: of its inputs, by name, as a manifest has them.
        parts: of what is new.
        branches: inputs that say which branches there are.
        count: slots.
    """

    def __init__(
        self,
        engine: EngineSession,
        dims: Dims,
        parts: Mapping[str, Part],
        branches: Callable[[Guided], Mapping[str, FloatArray]],
        count: int,
    ) -> None:
        self._engine, self._dims, self._parts, self._branches = engine, dims, parts, branches
        known = engine.sizes
        self.sizes = [size for size in known if size < 2 * count] or known[:1]
        states = [name for name in engine.inputs if f"next_{name}" in engine.outputs]
        with engine.on_stream():
            self._pools = {name: self._zeros(name, count + SPARE) for name in states}
        self._calls: dict[tuple[int, Guided], Calls] = {}

    def prepare(self, size: int, guided: Guided) -> None:
        """See `Rounds`."""
        with self._engine.on_stream():
            self._call(size, guided)

    def run(self, fresh: FloatArray, guided: Guided) -> FloatArray:
        """See `Rounds`."""
        with self._engine.on_stream():
            return self._call(len(fresh), guided).run({"fresh": fresh})[0]

    def put(self, number: int, rows: Mapping[str, Any]) -> None:
        """See `Rounds`."""
        with self._engine.on_stream():
            for name, pool in self._pools.items():
                place = pool[number]
                row = np.asarray(rows[name], _kind(name)).reshape(tuple(place.shape))
                place.copy_(self._engine.torch.from_numpy(np.ascontiguousarray(row)))

    def get(self, number: int) -> dict[str, NDArray[Any]]:
        """See `Rounds`."""
        with self._engine.on_stream():
            return {name: pool[number].cpu().numpy().copy() for name, pool in self._pools.items()}

    def close(self) -> None:
        """See `Rounds`; no thread is theirs."""

    def _call(self, size: int, guided: Guided) -> Calls:
        """A round of this size; made and captured, in the spare slot, when it is new."""
        if (size, guided) not in self._calls:
            made = self._made(size, guided)
            made.run({"fresh": np.zeros((size, row_width(self._parts)), np.float32)})
            self._calls[size, guided] = made
        return self._calls[size, guided]

    def _made(self, size: int, guided: Guided) -> Calls:
        engine, torch, pools = self._engine, self._engine.torch, self._pools
        fresh = engine.buffer(np.zeros((size, row_width(self._parts)), np.float32))
        at = engine.buffer(np.zeros(size, np.int64))
        buffers = {name: engine.buffer(array) for name, array in self._branches(guided).items()}
        buffers |= {name: self._zeros(name, size) for name in engine.inputs if name not in buffers}
        after = {name: self._zeros(name, size) for name in pools}
        # Views of the matrix, from which each part goes where the engine wants it.
        views = {
            name: fresh[:, part.columns].view(size, *part.shape)
            for name, part in self._parts.items()
        }

        def gather() -> None:
            at.copy_(views["slot"])
            for name in engine.inputs:
                if name in views:
                    buffers[name].copy_(views[name])
            for name, pool in pools.items():
                torch.index_select(pool, 0, at, out=buffers[name])

        def scatter() -> None:
            for name, pool in pools.items():
                pool.index_copy_(0, at, after[name])

        places = buffers | {f"next_{name}": memory for name, memory in after.items()}
        return engine.calls(
            places | {"fresh": fresh}, ["fresh"], [ANSWER], before=gather, after=scatter
        )

    def _zeros(self, name: str, size: int) -> Any:
        return self._engine.buffer(np.zeros((size, *map(int, self._dims[name][1:])), _kind(name)))


def _kind(name: str) -> Any:
    return np.int64 if name in WHOLE_NUMBERS else np.float32
