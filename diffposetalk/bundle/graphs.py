"""A set of exported graphs: what they were made from, and whether they still fit their bundle.

    BUNDLE/onnx/manifest.json     this description
    BUNDLE/onnx/speech.onnx       sound to feature rows
    BUNDLE/onnx/sampler_K.onnx    K sampling steps in one graph; sampler.onnx: any number of steps
    BUNDLE/onnx/hop_K.onnx        a whole hop, speech and K steps, and the state of the next one

A packaged bundle's graphs hold no weights: they refer to its `model.safetensors`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffposetalk.bundle.bundle import CONFIG, MODEL, Bundle

FOLDER, MANIFEST = "onnx", "manifest.json"
FORMAT, VERSION = "posetalk-graphs", 2
SPEECH, LOOP, HOP = "speech", "sampler", "hop"


class GraphsError(ValueError):
    """Graphs that cannot be used; the message is one line."""


@dataclass(frozen=True)
class GraphFile:
    """One graph.

    Attributes:
        file: its name in the folder.
        sha256: of the file.
        steps: sampling steps inside; None: any number (`sampler`), or none (`speech`).
        inputs, outputs: their dimensions, free ones by name.
    """

    file: str
    sha256: str
    steps: int | None
    inputs: Mapping[str, list[int | str]]
    outputs: Mapping[str, list[int | str]]


@dataclass(frozen=True)
class Manifest:
    """What a folder of graphs says of itself.

    Attributes:
        bundle: hash of the bundle they were made from, network: that of its network alone.
        target: `onnx`, or the runtime that the files are for.
        precision: of the arithmetic.
        opset: of the graphs.
        ranges: smallest and largest value of the free dimensions (None: no limit).
        weights: the bundle's file that the graphs refer to; empty: theirs lie beside them.
        tools: versions of what wrote them.
        graphs: by name: `speech`, `sampler`, `sampler_1`, ..., `hop_1`, ...
        hop: of the graphs of whole hops: their hop, lookahead and window rule.
        calibration: what sound the ranges below come from; empty: none was needed.
        peaks: largest size of what went into each product in 8 bits, by the product's weights.
    """

    bundle: str
    network: str
    target: str
    precision: str
    opset: int
    ranges: Mapping[str, list[int | None]]
    weights: str
    tools: Mapping[str, str]
    graphs: Mapping[str, GraphFile]
    hop: Mapping[str, Any] = field(default_factory=dict)
    calibration: str = ""
    peaks: Mapping[str, float] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write `manifest.json`."""
        data = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}
        (folder / MANIFEST).write_text(json.dumps(data, indent=1) + "\n", "utf-8")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder of graphs.

    Raises:
        GraphsError: there is none, or it is not one that this version reads.
    """
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_text("utf-8"))
        if data.pop("format") != FORMAT:
            raise ValueError("it describes something else")
        if data.pop("version") != VERSION:
            raise ValueError("it is of another version of posetalk; export again")
        data["graphs"] = {name: GraphFile(**graph) for name, graph in data["graphs"].items()}
        return Manifest(**data)
    except FileNotFoundError:
        raise GraphsError(
            f"no exported graphs: there is no {path}; `posetalk export` makes them"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GraphsError(f"{path} cannot be read: {error}") from None


def check_graphs(manifest: Manifest, folder: Path, bundle: Bundle) -> None:
    """Whether these graphs are this bundle's, and whole.

    Raises:
        GraphsError: they are not.
    """
    if manifest.network != network_hash(bundle):
        raise GraphsError(
            f"the graphs in {folder} were exported from another network than {bundle.folder} "
            f"holds now: run `posetalk export {bundle.folder}` again"
        )
    for graph in manifest.graphs.values():
        path = folder / Path(graph.file).name
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise GraphsError(f"{path}: {error.strerror}; export it again") from None
        if digest != graph.sha256:
            raise GraphsError(f"{path} was changed after its export; export it again")


def network_hash(bundle: Bundle) -> str:
    """sha256 of what decides a bundle's graphs: its weights and the network's specification.

    Live defaults, styles and provenance may change without a new export; `threshold_quantile` is
    the one live setting that is inside the graphs.
    """
    config = json.loads((bundle.folder / CONFIG).read_text("utf-8"))
    network: dict[str, Any] = {k: v for k, v in config["model"].items() if k != "live"}
    parts = [config["files"][MODEL], network, bundle.spec.live.threshold_quantile]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
