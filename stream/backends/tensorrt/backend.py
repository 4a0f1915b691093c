"""The TensorRT backend: a bundle's engines on a CUDA GPU, the graphs' calls otherwise.

`posetalk export --to tensorrt|tensorrt-rtx` writes the graphs and builds the engines; those that do
not fit what is here are built again.  No machine with a GPU has run it yet.
"""

from __future__ import annotations

from pathlib import Path

from diffposetalk.bundle.bundle import Bundle, load_bundle
from diffposetalk.bundle.graphs import HOP
from stream.backends.onnx.backend import OnnxBackend
from stream.backends.protocol import RuntimeProblem
from stream.backends.readiness import Readiness
from stream.backends.slots.hop_slots import HopKind, HopSlots, row_parts
from stream.backends.slots.round_slots import RoundSlots
from stream.backends.tensorrt.build import ranges
from stream.backends.tensorrt.engine_store import EngineStore
from stream.backends.tensorrt.hop import ResidentEngine
from stream.backends.tensorrt.rounds import EngineRounds
from stream.backends.tensorrt.session import EngineSession, gpu_here, libraries


class TensorrtBackend(OnnxBackend):
    """Engines behind the `Backend` protocol.

    Args:
        bundle: statistics, named styles and the network that the engines must be of.
        target: `tensorrt` or `tensorrt-rtx`, the folder of the graphs and engines in the bundle's.
        gpu: number of the GPU.

    Raises:
        diffposetalk.bundle.graphs.GraphsError: no graphs, or those of another network.
        RuntimeProblem: no library or GPU, or an engine that cannot be built.
    """

    def __init__(self, bundle: Bundle, target: str, gpu: int = 0) -> None:
        self.target, self._gpu = target, gpu
        self.name = target
        self._store: EngineStore | None = None
        super().__init__(bundle, bundle.folder / target, device="engine")

    @classmethod
    def load(  # type: ignore[override]
        cls, bundle: str = "starter", target: str = "tensorrt", gpu: int = 0
    ) -> TensorrtBackend:
        """Load a bundle by name or folder.

        Raises:
            diffposetalk.bundle.bundle.BundleError: it cannot be read, or its head is not here.
            diffposetalk.bundle.graphs.GraphsError, RuntimeProblem: as the class.
        """
        loaded = load_bundle(bundle)
        loaded.require_head()
        return cls(loaded, target, gpu)

    def hop_slots(self, kind: HopKind, count: int) -> HopSlots | None:
        """Slots, if there is an engine of such hops among the exported.

        Raises:
            RuntimeProblem: there is one, and it cannot be opened.
        """
        name = f"{HOP}_{kind.steps}"
        if not self._has_whole(name, kind):
            return None
        engine, dims = self._session(self._folder / f"{name}.onnx"), self.manifest.graphs[name]
        parts = row_parts(self.spec, kind.hop)
        rounds = EngineRounds(engine, dims.inputs, parts, self._branches, count)
        return RoundSlots(self, kind, count, rounds)

    def _session(self, path: Path) -> EngineSession:  # type: ignore[override]
        trt, _ = libraries(self.target, self._gpu)
        if self._store is None:
            self._store = EngineStore(
                self._folder,
                self.manifest,
                self._weights,
                ranges(self.spec),
                trt,
                gpu_here(self._gpu),
            )
        store, name = self._store, path.stem

        def load(engine: bytes) -> EngineSession:
            dims = self.manifest.graphs[name].inputs
            cache = store.runtime_cache(name)
            return EngineSession(
                name,
                engine,
                self.target,
                dims,
                gpu=self._gpu,
                readiness=self._readiness,
                cache=cache,
            )

        engine = store.get(name)
        try:
            return load(engine)
        except RuntimeProblem:  # what is on record does not load: a new one does, or says why not
            return load(store.get(name, again=True))

    def _resident(self, graph: EngineSession) -> ResidentEngine:  # type: ignore[override]
        graph.capturing.readiness = Readiness()  # one session's own: its first hops are
        return ResidentEngine(graph)
