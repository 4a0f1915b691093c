"""A set of exported graphs: what they were made from, and whether they still fit their bundle.

    BUNDLE/onnx/manifest.json     this description
    BUNDLE/onnx/speech.onnx       sound to feature rows
    BUNDLE/onnx/sampler_K.onnx    K sampling steps in one graph; sampler.onnx: any number of steps
    BUNDLE/onnx/hop_K.onnx        a whole hop, speech and K steps, and the state of the next one
    BUNDLE/onnx/round_K.onnx      hops of many streams, whose states lie in slots where it runs
    BUNDLE/onnx/slots.onnx        what puts a state into a slot and takes it out again

A packaged bundle's graphs hold no weights: they refer to its `model.safetensors`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffposetalk.bundle.bundle import Bundle
from diffposetalk.bundle.reading import CONFIG, FILE_NAME, MODEL
from head.errors import PosetalkError, WrongValue
from head.files.json_file import read_json
from head.files.regular_file import read_regular

FOLDER, MANIFEST = "onnx", "manifest.json"
FORMAT, VERSION = "posetalk-graphs", 2
LARGEST_GRAPH = 2 << 30
SPEECH, LOOP, HOP = "speech", "sampler", "hop"
ROUND, SLOTS = "round", "slots"


class GraphsError(PosetalkError, ValueError):
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
        data = read_json(path)
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            raise WrongValue("it describes something else")
        if data.pop("version", None) != VERSION:
            raise WrongValue("it is of another version of posetalk; export again")
        data["graphs"] = {name: GraphFile(**graph) for name, graph in data["graphs"].items()}
        return _checked(Manifest(**data))
    except FileNotFoundError:
        raise GraphsError(
            f"no exported graphs: there is no {path}; `{_export_line(folder)}` makes them"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GraphsError(f"{path} cannot be read: {error}") from None


def _export_line(folder: Path) -> str:
    """The command that makes what belongs into a folder of graphs."""
    target = "" if folder.name == FOLDER else f" --to {folder.name}"
    return f"posetalk export {shlex.quote(str(folder.parent))}{target}"


def _checked(manifest: Manifest) -> Manifest:
    """The manifest, if its parts are of their kinds and its files lie beside it."""
    kinds: dict[str, type | tuple[type, ...]] = {
        "bundle": str,
        "network": str,
        "target": str,
        "precision": str,
        "opset": int,
        "ranges": dict,
        "weights": str,
        "tools": dict,
        "hop": dict,
        "calibration": str,
        "peaks": dict,
    }
    for name, kind in kinds.items():
        if not isinstance(getattr(manifest, name), kind):
            raise WrongValue(f"{name!r} is of another kind")
    names = [graph.file for graph in manifest.graphs.values()]
    for name in (*names, *([manifest.weights] if manifest.weights else [])):
        if not isinstance(name, str) or not FILE_NAME.fullmatch(name):
            raise WrongValue(f"it names {str(name)[:80]!r}, which is no file beside it")
    for graph in manifest.graphs.values():
        if not isinstance(graph.inputs, dict) or not isinstance(graph.outputs, dict):
            raise WrongValue("a graph's inputs or outputs are of another kind")
        if not (graph.steps is None or type(graph.steps) is int):
            raise WrongValue("a graph's steps are no number")
    return manifest


def check_graphs(manifest: Manifest, folder: Path, bundle: Bundle) -> None:
    """Whether these graphs are this bundle's, and whole.

    Raises:
        GraphsError: they are not.
    """
    if manifest.network != network_hash(bundle):
        raise GraphsError(
            f"the graphs in {folder} were exported from another network than {bundle.folder} "
            f"holds now: run `{_export_line(folder)}` again"
        )
    for graph in manifest.graphs.values():
        path = folder / graph.file
        try:
            data = read_regular(path, LARGEST_GRAPH)
        except OSError as error:
            raise GraphsError(f"{path}: {error.strerror or error}; export it again") from None
        if hashlib.sha256(data).hexdigest() != graph.sha256:
            raise GraphsError(f"{path} was changed after its export; export it again")


def network_hash(bundle: Bundle) -> str:
    """sha256 of what decides a bundle's graphs: its weights and the network's specification.

    Live defaults, styles and provenance may change without a new export; `threshold_quantile` is
    the one live setting that is inside the graphs.
    """
    config = read_json(bundle.folder / CONFIG)
    network: dict[str, Any] = {k: v for k, v in config["model"].items() if k != "live"}
    parts = [config["files"][MODEL], network, bundle.spec.live.threshold_quantile]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
