"""The TensorRT backend: a bundle's engines on a CUDA GPU, the graphs' calls otherwise.

Built by `posetalk export --to tensorrt|tensorrt-rtx`; no machine with a GPU has run it yet.
"""

from __future__ import annotations

from pathlib import Path

from diffposetalk.bundle import Bundle, load_bundle
from stream.backends.onnx_backend import OnnxBackend
from stream.backends.tensorrt_session import EngineSession, check_key


class TensorrtBackend(OnnxBackend):
    """Engines behind the `Backend` protocol.

    Args:
        bundle: statistics, named styles and the network that the engines must be of.
        target: `tensorrt` or `tensorrt-rtx`, the folder of the engines in the bundle's.

    Raises:
        diffposetalk.graphs.GraphsError: no engines, or those of another network.
        RuntimeProblem: no library or GPU, or engines for another one.
    """

    def __init__(self, bundle: Bundle, target: str) -> None:
        self.target = target
        self.name = target
        super().__init__(bundle, bundle.folder / target, device="engine")

    @classmethod
    def load(  # type: ignore[override]
        cls, bundle: str = "starter", target: str = "tensorrt"
    ) -> TensorrtBackend:
        """Load a bundle by name or folder.

        Raises:
            diffposetalk.bundle.BundleError: it cannot be read, or its head is not here.
            diffposetalk.graphs.GraphsError, RuntimeProblem: as the class.
        """
        loaded = load_bundle(bundle)
        loaded.require_head()
        return cls(loaded, target)

    def _session(self, path: Path) -> EngineSession:  # type: ignore[override]
        check_key(self.manifest)
        return EngineSession(path, self.target)
