"""A whole hop in one call, whose state stays with the model: an optional capability of a backend.

`backend.hop_graph(...)` gives one where the bundle has an exported graph of such hops, else None;
`stream.core.device_session` has the session that uses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from diffposetalk.spec import FloatArray
from stream.backends.branches import guidance_inputs
from stream.backends.protocol import Conditions

State = Mapping[str, NDArray[Any]]
"""What a hop starts from, by name, with a leading dimension of 1: see `export.graphs.hop`."""


@dataclass(frozen=True)
class HopCall:
    """One hop of H frames.

    Attributes:
        pcm: (640 H,) the hop's sound; normalised where windows are encoded whole.
        noise: (H, D) of those frames.
        noise_scale, conditions: as in `SamplerCall`.
    """

    pcm: FloatArray
    noise: FloatArray
    noise_scale: FloatArray
    conditions: Conditions


class StatefulGraph(Protocol):
    """A graph whose state stays where it runs."""

    @property
    def states(self) -> Sequence[str]:
        """Names of its state."""
        ...

    def start(self, state: State) -> None:
        """Go on from this state."""
        ...

    def run(self, feed: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """One call: new motion (1, H, D)."""
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of the state."""
        ...


class HopGraph:
    """Hops of one stream.

    Args:
        graph: it runs here.
        dims: of its inputs, by name.
    """

    def __init__(self, graph: StatefulGraph, dims: Mapping[str, Sequence[int | str]]) -> None:
        self._graph = graph
        self._dims = dims

    def size(self, name: str) -> int:
        """Rows of a state, or samples of `sound`."""
        return int(self._dims[name][1])

    def width(self, name: str) -> int:
        """Channels of a state."""
        return int(self._dims[name][2])

    def start(self, state: State) -> None:
        """Go on from this state."""
        self._graph.start(state)

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of the state."""
        return self._graph.state()

    def run(self, call: HopCall) -> FloatArray:
        """The hop's motion: (H, D) normalised.

        Raises:
            stream.backends.protocol.RuntimeProblem: the model fails; the state is as it was.
        """
        feed = {
            "pcm": call.pcm[None],
            "noise": call.noise[None],
            "noise_scale": call.noise_scale[None],
        }
        for name, vector in call.conditions.vectors().items():
            feed[name] = np.ascontiguousarray(vector[None], np.float32)
        return self._graph.run(feed | guidance_inputs([call.conditions]))[0]
