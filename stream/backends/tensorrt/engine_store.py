"""Engines by the GPU and the TensorRT that they were built for; built again where they do not fit.

    BUNDLE/tensorrt/manifest.json, speech.onnx, sampler_K.onnx     what engines are built from
    BUNDLE/tensorrt/<key>/sampler_K.engine, engines.json           engines, and what they came from

Where the bundle's folder cannot be written, engines are kept in the user's cache instead.  An
engine is taken only when its key, its graph and its own checksum are those on record.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from diffposetalk.bundle.graphs import Manifest
from head.new_file import new_file
from stream.backends.protocol import RuntimeProblem
from stream.backends.tensorrt.build import LIBRARIES, Range, build_engine, check_capability

log = logging.getLogger(__name__)

RECORD = "engines.json"
ANY_GPU = "any GPU"


@dataclass(frozen=True)
class Gpu:
    """A GPU: its name, and its compute capability."""

    name: str
    capability: float


@dataclass(frozen=True)
class EngineKey:
    """What an engine was built by and for.

    Attributes:
        library: `tensorrt` or `tensorrt_rtx`, version: its version.
        gpu: name and compute capability, or ANY_GPU.
    """

    library: str
    version: str
    gpu: str

    @property
    def folder(self) -> str:
        """As the name of a folder."""
        return re.sub(r"[^A-Za-z0-9.]+", "-", f"{self.library}-{self.version}-{self.gpu}")

    def __str__(self) -> str:
        return f"{self.library} {self.version}, {self.gpu}"


def engine_key(target: str, trt: Any, gpu: Gpu | None) -> EngineKey:
    """The key of engines built here; those of TensorRT for RTX run on every GPU that it knows.

    Raises:
        RuntimeProblem: `tensorrt` builds for the GPU that it finds, and there is none.
    """
    if target == "tensorrt-rtx":
        return EngineKey(LIBRARIES[target], trt.__version__, ANY_GPU)
    if gpu is None:
        raise RuntimeProblem("tensorrt builds engines for the GPU it runs on: there is none here")
    place = f"{gpu.name} (compute capability {gpu.capability})"
    return EngineKey(LIBRARIES[target], trt.__version__, place)


class EngineStore:
    """The engines of one folder of graphs.

    Args:
        folder: of the graphs and their manifest.
        manifest: of it.
        weights: folder of the file that the graphs' weights lie in.
        bounds: ranges of free dimensions.
        trt: TensorRT's module.
        gpu: the one that is here, if any.

    Raises:
        RuntimeProblem: a GPU that lacks the precision, or none for `tensorrt`.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        weights: Path,
        bounds: Mapping[str, Range],
        trt: Any,
        gpu: Gpu | None,
    ) -> None:
        if gpu is not None:
            check_capability(manifest.precision, gpu.capability, manifest.target)
        self._folder, self._manifest, self._weights = folder, manifest, weights
        self._bounds, self._trt, self._gpu = bounds, trt, gpu
        self.key = engine_key(manifest.target, trt, gpu)

    def get(self, name: str, *, again: bool = False) -> bytes:
        """The engine of graph `name`: one on record that fits, else built now and kept.

        Args:
            again: build it whatever is on record: that did not load.

        Raises:
            RuntimeProblem: it has to be built, and cannot be.
        """
        for home in () if again else self._homes():
            engine = self._kept(home / self.key.folder, name)
            if engine is not None:
                return engine
        began = time.monotonic()
        engine = self.build(name)
        took = time.monotonic() - began
        place = self._keep(name, engine)
        log.warning(
            "built the engine %s (%s) for %s in %.0f s; %s",
            name,
            self._manifest.precision,
            self.key,
            took,
            f"it is in {place}" if place else "there is no room to keep it",
        )
        return engine

    def build(self, name: str) -> bytes:
        """Build the engine of graph `name`, and keep nothing.

        Raises:
            RuntimeProblem: the graph is not here, or TensorRT cannot build it.
        """
        graph = self._manifest.graphs[name]
        path = self._folder / graph.file
        again = f"export again with `posetalk export --to {self._manifest.target}`"
        try:
            model = path.read_bytes()
        except OSError as error:
            raise RuntimeProblem(
                f"there is no engine {name} for {self.key}, and its graph {path} cannot be read "
                f"({error.strerror}): {again}"
            ) from None
        if hashlib.sha256(model).hexdigest() != graph.sha256:
            raise RuntimeProblem(f"{path} was changed after its export: {again}")
        return build_engine(self._trt, model, graph.inputs, self._bounds, self._weights)

    def runtime_cache(self, name: str) -> Path | None:
        """The file of what TensorRT for RTX compiles when it runs an engine on this GPU; None
        where the library compiles when it builds.
        """
        if self._manifest.target != "tensorrt-rtx" or self._gpu is None:
            return None
        gpu = re.sub(r"[^A-Za-z0-9.]+", "-", self._gpu.name)
        return self._cache_home() / self.key.folder / f"{name}-{gpu}.compiled"

    def keep(self, name: str, engine: bytes, home: Path) -> Path:
        """Write an engine and its record below `home`, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        folder = home / self.key.folder
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / f"{name}.engine", engine)
        record = _read(folder / RECORD)
        known = record.get("engines") if record.get("key") == asdict(self.key) else None
        known = known if isinstance(known, dict) else {}
        known[name] = {
            "sha256": hashlib.sha256(engine).hexdigest(),
            "graph": self._manifest.graphs[name].sha256,
            "network": self._manifest.network,
        }
        text = json.dumps({"key": asdict(self.key), "engines": known}, indent=1) + "\n"
        _replace(folder / RECORD, text.encode())
        return folder / f"{name}.engine"

    def _keep(self, name: str, engine: bytes) -> Path | None:
        """Keep an engine in the first home that takes it."""
        for home in self._homes():
            try:
                return self.keep(name, engine, home)
            except OSError:
                continue
        return None

    def _homes(self) -> Iterator[Path]:
        """Where engines are kept: beside the graphs, and in the user's cache."""
        yield self._folder
        yield self._cache_home()

    def _cache_home(self) -> Path:
        """Of this network, in the user's cache."""
        cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
        network, kind = self._manifest.network[:16], self._manifest.precision
        return cache / "posetalk" / self._manifest.target / f"{network}-{kind}"

    def _kept(self, folder: Path, name: str) -> bytes | None:
        """An engine on record that is what the record says; None: it is to be built."""
        record = _read(folder / RECORD)
        known = record.get("engines")
        entry = known.get(name) if isinstance(known, dict) else None
        if record.get("key") != asdict(self.key) or not isinstance(entry, dict):
            return None
        if entry.get("graph") != self._manifest.graphs[name].sha256:
            return None
        if entry.get("network") != self._manifest.network:
            return None
        try:
            engine = (folder / f"{name}.engine").read_bytes()
        except OSError:
            return None
        return engine if hashlib.sha256(engine).hexdigest() == entry.get("sha256") else None


def _read(path: Path) -> dict[str, Any]:
    """A record; what is missing or damaged is an empty one."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _replace(path: Path, data: bytes) -> None:
    """Write beside, then put in place."""
    with new_file(path) as part:
        part.write_bytes(data)
