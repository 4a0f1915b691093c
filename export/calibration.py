"""How large activations grow: speech through the product's own session, and what its calls met.

A session runs the bundle's graphs on the sound, its own motion as its past; its calls are kept, and
a share of them goes through the same graphs with an output for each product's input.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffposetalk.bundle.bundle import Bundle
from diffposetalk.spec import FloatArray
from export.onnx_export import ExportError, build_graphs, write_graphs
from export.qdq import tapped
from stream.backends.onnx.backend import OnnxBackend
from stream.core.session import Session

MOST_CALLS = 64
"""Calls of each graph that are looked at, spread over the sound."""
SHORTEST = 2.0
"""Seconds of sound, at least."""

Feed = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Calibration:
    """Ranges of activations.

    Attributes:
        source: what they were measured on, in words.
        peaks: largest size of the input of each product, by the name of its weights.
    """

    source: str
    peaks: Mapping[str, float]


class _Watched:
    """A graph that can be run, and what it was given."""

    def __init__(self, graph: Any, feeds: list[Feed]) -> None:
        self._graph, self._feeds = graph, feeds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._graph, name)

    def run(self, feed: Feed) -> Any:
        self._feeds.append({name: np.array(feed[name]) for name in self._graph.inputs})
        return self._graph.run(feed)


class _WatchedBackend(OnnxBackend):
    """A bundle's graphs on the CPU, and what each was given."""

    def __init__(self, bundle: Bundle, graphs: Path) -> None:
        self.feeds: dict[str, list[Feed]] = defaultdict(list)
        super().__init__(bundle, graphs)

    def _session(self, path: Path) -> Any:
        return _Watched(super()._session(path), self.feeds[path.stem])


def calibrate(bundle: Bundle, sound: FloatArray) -> Calibration:
    """Measure a bundle's activations on speech, (n,) at 16 kHz, at its live defaults.

    Raises:
        ExportError: too short a sound, or graphs that cannot be built or run.
    """
    seconds = len(sound) / bundle.spec.sample_rate_hz
    if seconds < SHORTEST:
        raise ExportError(f"a calibration takes {SHORTEST:.0f} s of speech or more")
    steps = [bundle.spec.live.steps]
    with tempfile.TemporaryDirectory() as folder:
        plain, probed = Path(folder) / "plain", Path(folder) / "probed"
        graphs = build_graphs(bundle, steps, external_weights=False)
        taps = {name: tapped(model) for name, model in graphs.items()}
        for place, models in ((plain, graphs), (probed, taps)):
            write_graphs(place, models, bundle, precision="fp32", external_weights=False)
        try:
            backend = _WatchedBackend(bundle, plain)
            session = Session(backend)
            session.feed(sound)
            session.finish()
            probe = OnnxBackend(bundle, probed)
        except RuntimeError as error:
            raise ExportError(f"calibration: {error}") from None
        peaks: dict[str, float] = {}
        for name, feeds in backend.feeds.items():
            graph = probe.open_graph(name)
            chosen = np.linspace(0, len(feeds) - 1, min(MOST_CALLS, len(feeds)), dtype=int)
            for index in chosen:
                out = dict(zip(graph.outputs, graph.run(feeds[index]), strict=True))
                for key, value in out.items():
                    if key.startswith("peak:"):
                        known = peaks.get(key[5:], 0.0)
                        peaks[key[5:]] = round(max(known, float(value)), 5)
    live = bundle.spec.live
    source = f"{seconds:.0f} s of speech, hop {live.hop}, lookahead {live.lookahead}"
    return Calibration(source, dict(sorted(peaks.items())))
