"""The onnxruntime backend: a bundle's exported graphs; no torch anywhere."""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from diffposetalk.bundle.bundle import Bundle, load_bundle
from diffposetalk.bundle.graphs import (
    FOLDER,
    HOP,
    LOOP,
    ROUND,
    SLOTS,
    SPEECH,
    GraphsError,
    check_graphs,
    read_manifest,
)
from diffposetalk.network.mel_front import FLOOR_DB, PRIOR_LEVEL_DB
from diffposetalk.sampling.solver import solver_table
from diffposetalk.schedule import noise_schedule
from stream.backends.branches import branch_inputs, guidance_inputs
from stream.backends.protocol import (
    BATCH_ON_CPU,
    BATCH_ON_GPU,
    FloatArray,
    RuntimeProblem,
    SamplerCall,
    Statistics,
)
from stream.backends.readiness import Readiness
from stream.backends.threads import usable_cores

if TYPE_CHECKING:
    from stream.backends.hop import HopGraph, StatefulGraph
    from stream.backends.onnx.session import GraphSession
    from stream.backends.slots.hop_slots import Guided, HopKind, HopSlots

THREADS, MOST_THREADS = 1, 4
"""A hop of the starter is too small for two threads; with HuBERT there is work for some."""

CPU_PRECISIONS = ("fp32", "int8")
"""Half precision fails there (bf16 is not implemented, fp16 ends the process)."""


class MelState(NamedTuple):
    """The speech encoder's streaming state of one stream, see
    `diffposetalk.network.mel.MelState`.
    """

    columns: FloatArray
    hidden: FloatArray
    frames: FloatArray
    tail: FloatArray
    level: FloatArray


GRAPH_SAMPLER = "dpm++"
"""What the exported graphs have in them, see `LiveDefaults.sampler`."""


class OnnxBackend:
    """A bundle's ONNX graphs behind the `Backend` protocol.

    Args:
        bundle: statistics, named styles and weights.
        graphs: folder of the graphs; None: the bundle's own.
        device: `cpu`, `cuda` or `tensorrt`, onnxruntime's execution provider; the latter two also
            with the number of a GPU, as `cuda:1`.
        threads: of the CPU kernels.
        slots: whether sessions' states lie in slots, where there are graphs of rounds; None: on
            `cuda`, as on a CPU there is nothing to gain.

    Raises:
        diffposetalk.bundle.graphs.GraphsError: no graphs, or those of another network.
        RuntimeProblem: onnxruntime cannot run them as asked.
    """

    name = "onnxruntime"

    def __init__(
        self,
        bundle: Bundle,
        graphs: Path | None = None,
        *,
        device: str = "cpu",
        threads: int | None = None,
        slots: bool | None = None,
    ) -> None:
        self.spec = bundle.spec
        self.styles: Mapping[str, FloatArray] = bundle.styles
        self.statistics: Statistics = bundle.statistics
        self.head_id, self.bundle_hash = bundle.head_id, bundle.hash
        self._folder = bundle.folder / FOLDER if graphs is None else graphs
        self.manifest = read_manifest(self._folder)
        check_graphs(self.manifest, self._folder, bundle)
        if device == "cpu" and self.manifest.precision not in CPU_PRECISIONS:
            raise GraphsError(
                f"the graphs in {self._folder} are in {self.manifest.precision}, which onnxruntime "
                "cannot run on a CPU: use `--backend onnxruntime-cuda`, or export in fp32 or int8"
            )
        if bundle.spec.live.sampler != GRAPH_SAMPLER:
            raise GraphsError(
                f"the graphs in {self._folder} sample by {GRAPH_SAMPLER}, the bundle by "
                f"{bundle.spec.live.sampler}: use `--backend torch`"
            )
        self._weights = bundle.folder if self.manifest.weights else self._folder
        if threads is None:
            threads = THREADS if self.incremental else min(MOST_THREADS, usable_cores())
        self._device, self.threads = device, threads
        self._has_slots = device.startswith("cuda") if slots is None else slots
        self.precision = self.manifest.precision
        self._samplers: dict[str, GraphSession] = {}
        self._readiness = Readiness()
        self._opening = threading.Lock()  # an engine may take minutes, and is built once
        self._schedule = noise_schedule(bundle.spec.diffusion)
        self._speech = self.open_graph(SPEECH)
        self._silence: MelState | None = None
        self.place = self._speech.provider.removesuffix("ExecutionProvider").lower()

    @classmethod
    def load(
        cls, bundle: str = "starter", device: str = "cpu", threads: int | None = None
    ) -> OnnxBackend:
        """Load a bundle by name or folder.

        Raises:
            diffposetalk.bundle.bundle.BundleError: it cannot be read.
            diffposetalk.bundle.graphs.GraphsError, RuntimeProblem: as the class.
        """
        return cls(load_bundle(bundle), device=device, threads=threads)

    @property
    def max_batch(self) -> int:
        """What the graphs were made for, else what is of use where they run."""
        most = self.manifest.ranges.get("batch", [1, None])[1]
        return most or (BATCH_ON_CPU if self._device == "cpu" else BATCH_ON_GPU)

    @property
    def incremental(self) -> bool:
        """`mel` features are causal and final; `hubert` ones belong to their window."""
        return self.spec.speech.kind == "mel"

    # --- speech --------------------------------------------------------------------------------
    def speech_state(self) -> MelState | None:
        """Silence before the first sample."""
        if self.incremental and self._silence is None:
            self._silence = self._hear_silence()
        return self._silence

    def _hear_silence(self) -> MelState:
        """What the encoder keeps of silence that is longer than it reaches back."""
        dims, spec = self.manifest.graphs[SPEECH].inputs, self.spec
        sizes = [[int(size) for size in dims[name][1:]] for name in MelState._fields]
        # Digital silence, a full scale below the level: columns as low as they get.
        state = MelState(*(np.zeros(size, np.float32) for size in sizes))
        quiet, level = np.zeros(spec.frame_samples * spec.live.hop, np.float32), state.level
        for _ in range(0, spec.speech.history_frames, spec.live.hop):
            _, heard = self.encode(quiet, state)
            assert heard is not None
            state = heard._replace(level=level)
        return state._replace(level=np.array([PRIOR_LEVEL_DB, 0.0, FLOOR_DB], np.float32))

    def encode(self, pcm: FloatArray, state: MelState | None) -> tuple[FloatArray, MelState | None]:
        """(n * 640,) samples -> (n, F) rows, and the encoder's state after them."""
        return self.encode_many([pcm], [state])[0]

    def encode_many(
        self, pcms: Sequence[FloatArray], states: Sequence[MelState | None]
    ) -> list[tuple[FloatArray, MelState | None]]:
        """Streams of one length, each from its own state."""
        known = [state for state in states if state is not None]
        parts = zip(MelState._fields, zip(*known, strict=True), strict=True)
        before = {name: _batch(own) for name, own in parts}
        rows, *after = self._speech.run({"pcm": _batch(pcms), **before})
        if len(known) == 1:
            return [(rows[0], MelState(*(part[0] for part in after)))]
        # Copies, as a view would keep the whole batch alive for as long as one session idles.
        return [
            (row.copy(), MelState(*(part[i].copy() for part in after)))
            for i, row in enumerate(rows)
        ]

    def encode_window(self, pcm: FloatArray) -> FloatArray:
        """(n * 640,) samples -> (n, F) rows, from one pass over them all."""
        return self.encode_window_many([pcm])[0]

    def encode_window_many(self, pcms: Sequence[FloatArray]) -> list[FloatArray]:
        """Windows of one length."""
        if self.incremental:
            states = [self.speech_state() for _ in pcms]
            return [rows for rows, _ in self.encode_many(pcms, states)]
        return list(self._speech.run({"pcm": _batch(list(pcms))})[0])

    # --- motion --------------------------------------------------------------------------------
    def sample(self, call: SamplerCall) -> FloatArray:
        """Few-step sampling of one window: (n, D) normalised motion."""
        return self.sample_many([call])[0]

    def sample_many(self, calls: Sequence[SamplerCall]) -> list[FloatArray]:
        """Few-step sampling of windows of one `batch_key`, in one pass.

        Raises:
            RuntimeProblem: a threshold that is not in the graphs.
        """
        one = calls[0]
        if (one.threshold_quantile or None) != (self.spec.live.threshold_quantile or None):
            raise RuntimeProblem(
                f"the graphs threshold at {self.spec.live.threshold_quantile}, not at "
                f"{one.threshold_quantile}: export again, or use the torch backend"
            )
        n, m = len(one.features), len(one.known)
        known = np.zeros((len(calls), n, self.spec.d_motion), np.float32)
        if m:
            for row, call in zip(known, calls, strict=True):
                row[:m] = call.known
        feed: dict[str, NDArray[Any]] = {
            "noise": _batch([call.noise for call in calls]),
            "noise_scale": _batch([call.noise_scale for call in calls]),
            "features": _batch([call.features for call in calls]),
            "context_features": _batch([call.context_features for call in calls]),
            "context_motion": _batch([call.context_motion for call in calls]),
            "known_motion": known,
            "missing": np.array([call.missing for call in calls], np.int64),
            "valid": np.array([call.valid for call in calls], np.int64),
            "known": np.full(len(calls), m, np.int64),
        }
        conditions = [call.conditions for call in calls]
        for name in one.conditions.vectors():
            feed[name] = _batch([each.vectors()[name] for each in conditions])
        feed |= guidance_inputs(conditions)
        sampler = self._sampler(one.steps)
        if "times" in sampler.inputs:
            feed["times"], table = solver_table(self._schedule, one.steps)
            feed["solver"] = table.astype(np.float32)
        return list(sampler.run(feed)[0])

    # --- whole hops ----------------------------------------------------------------------------
    def hop_graph(self, kind: HopKind) -> HopGraph | None:
        """A graph of such hops for one stream, if there is one among the exported.

        Raises:
            RuntimeProblem: there is one, and it cannot be opened.
        """
        name = f"{HOP}_{kind.steps}"
        if not self._has_whole(name, kind):
            return None
        from stream.backends.hop import HopGraph

        return HopGraph(self._resident(self.open_graph(name)), self.manifest.graphs[name].inputs)

    def hop_slots(self, kind: HopKind, count: int) -> HopSlots | None:
        """Slots, if there is a graph of rounds of such hops among the exported.

        Raises:
            RuntimeProblem: there is one, and it cannot be opened.
        """
        name = f"{ROUND}_{kind.steps}"
        if not self._has_slots or not self._has_whole(name, kind):
            return None
        from stream.backends.onnx.rounds import OnnxRounds
        from stream.backends.slots.round_slots import (
            MOST_CAUSAL,
            MOST_WHOLE,
            RoundSlots,
            round_sizes,
        )

        sizes = round_sizes(count, MOST_CAUSAL if self.incremental else MOST_WHOLE)
        rounds = OnnxRounds(
            functools.partial(self._round_session, name),
            self.open_graph(SLOTS),
            self._branches,
            count,
            sizes,
            self._readiness,
        )
        return RoundSlots(self, kind, count, rounds)

    def getting_ready(self) -> AbstractContextManager[None]:
        """See `Backend`."""
        return self._readiness.getting_ready()

    def _has_whole(self, name: str, kind: HopKind) -> bool:
        """Whether there is a graph of whole hops of that name and kind."""
        asked = {"hop": kind.hop, "lookahead": kind.lookahead, "window_rule": kind.window_rule}
        return name in self.manifest.graphs and dict(self.manifest.hop) == asked

    def _branches(self, guided: Guided) -> Mapping[str, FloatArray]:
        """Inputs of a graph of rounds that say which branches there are."""
        return {} if self.spec.denoiser.guidance_input else branch_inputs(guided)

    def _resident(self, graph: GraphSession) -> StatefulGraph:
        from stream.backends.onnx.hop import ResidentGraph

        return ResidentGraph(graph)

    def has_steps(self, steps: int) -> bool:
        """Whether it can sample in so many network calls; the graph is opened when it is asked."""
        return f"sampler_{steps}" in self.manifest.graphs or LOOP in self.manifest.graphs

    def _sampler(self, steps: int) -> GraphSession:
        """The graph of `steps` steps, else the one that loops; opened when it is first wanted."""
        name = f"sampler_{steps}"
        if name not in self.manifest.graphs and LOOP in self.manifest.graphs:
            name = LOOP
        with self._opening:
            if name not in self._samplers:
                self._samplers[name] = self.open_graph(name)
            return self._samplers[name]

    def open_graph(self, name: str) -> GraphSession:
        """One of the exported graphs by its name; raises RuntimeProblem."""
        return self._session(self._path_of(name))

    def _path_of(self, name: str) -> Path:
        if name not in self.manifest.graphs:
            there = ", ".join(self.manifest.graphs)
            raise RuntimeProblem(
                f"{self._folder} has no graph {name} (it has {there}): choose other --steps, "
                "export it with `posetalk export`, or use `--backend torch`"
            )
        return self._folder / self.manifest.graphs[name].file

    def _session(self, path: Path) -> GraphSession:
        from stream.backends.onnx.session import GraphSession  # engines need no onnxruntime

        return GraphSession(path, self._weights, device=self._device, threads=self.threads)

    def _round_session(self, name: str, captures: bool) -> GraphSession:
        """A graph of rounds, whose calls are captured or not."""
        from stream.backends.onnx.session import GraphSession

        return GraphSession(
            self._path_of(name),
            self._weights,
            device=self._device,
            threads=self.threads,
            captures=captures,
        )


def _batch(arrays: Sequence[FloatArray]) -> FloatArray:
    """Equal arrays as one batch; a single one is not copied."""
    if len(arrays) == 1:
        return np.ascontiguousarray(arrays[0], np.float32)[None]
    return np.stack(arrays).astype(np.float32, copy=False)
