"""A bundle as ONNX files: beside its weights, or on their own with weights of another precision."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.metadata
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from diffposetalk.bundle.bundle import Bundle
from diffposetalk.bundle.graphs import (
    FOLDER,
    HOP,
    MANIFEST,
    ROUND,
    SLOTS,
    SPEECH,
    GraphFile,
    Manifest,
    network_hash,
)
from diffposetalk.bundle.reading import CONFIG, MODEL, sha256_of
from diffposetalk.bundle.tensor_file import TensorFile
from diffposetalk.spec import ModelSpec
from export.graphs.builder import BFLOAT16, FLOAT, FLOAT16, OPSET, save
from export.graphs.hop import hop_graph
from export.graphs.hubert import hubert_graph
from export.graphs.mel import mel_graph
from export.graphs.rounds import round_graph, slots_graph
from export.graphs.sampler import sampler_graph
from export.int8 import quantised
from head.errors import PosetalkError
from head.new_file import new_file

PRECISIONS: Mapping[str, int] = {"fp32": FLOAT, "fp16": FLOAT16, "bf16": BFLOAT16, "int8": FLOAT}
"""Element types of the graphs as they are written; int8 is quantised afterwards."""
MOST_STEPS = 20


class ExportError(PosetalkError, ValueError):
    """What cannot be exported; the message is one line."""


def build_graphs(
    bundle: Bundle,
    steps: Sequence[int | None],
    *,
    precision: str = "fp32",
    external_weights: bool = True,
    whole_hops: bool = False,
    rounds: bool = False,
) -> dict[str, onnx.ModelProto]:
    """The graphs of a bundle by name: `speech`, and for each number of steps `sampler_K` (None:
    `sampler`, in a loop).

    Args:
        whole_hops: `hop_K` as well, at the live defaults.
        rounds: `round_K` and `slots` as well, likewise.
        precision: of weights and activations; what goes in and out is float32.
        external_weights: refer to the bundle's `model.safetensors` instead of holding the weights
            (not int8).

    Raises:
        ExportError: a precision, number of steps or network that cannot be exported.
    """
    if precision not in PRECISIONS:
        raise ExportError(
            f"ONNX graphs cannot be in {precision}: choose one of {', '.join(PRECISIONS)}, or for "
            "fp8 engines `--to tensorrt-rtx`"
        )
    wrong = [k for k in steps if k is not None and not 1 <= k <= MOST_STEPS]
    if wrong:
        raise ExportError(f"{wrong[0]} steps: choose 1 to {MOST_STEPS}")
    spec, kind = bundle.spec, PRECISIONS[precision]
    external_weights = external_weights and precision != "int8"
    try:
        weights = TensorFile(bundle.folder / MODEL)
        speech = mel_graph if spec.speech.kind == "mel" else hubert_graph
        graphs = {SPEECH: speech(spec, weights, precision=kind, external_weights=external_weights)}
        how: dict[str, Any] = {"precision": kind, "external_weights": external_weights}
        for k in steps:
            name = "sampler" if k is None else f"sampler_{k}"
            graphs[name] = sampler_graph(spec, weights, k, **how)
            if whole_hops and k is not None:
                graphs[f"{HOP}_{k}"] = hop_graph(spec, weights, k, **how)
            if rounds and k is not None:
                made = graphs[f"{ROUND}_{k}"] = round_graph(spec, weights, k, **how)
                graphs[SLOTS] = slots_graph(made)
    except ValueError as error:
        raise ExportError(str(error)) from None
    if precision == "int8":
        return {name: quantised(model) for name, model in graphs.items()}
    return graphs


def write_graphs(
    folder: Path,
    graphs: Mapping[str, onnx.ModelProto],
    bundle: Bundle,
    *,
    precision: str,
    external_weights: bool = True,
) -> Manifest:
    """Write graphs and their manifest; the folder is complete, or is as it was.

    Args:
        precision, external_weights: as they were built.

    Raises:
        ExportError: something else is in the way, or the disk is full.
    """
    spec = bundle.spec
    with in_place_of(folder) as made:
        files = {}
        for name, model in graphs.items():
            path = made / f"{name}.onnx"
            if not external_weights or precision == "int8":
                onnx.external_data_helper.convert_model_to_external_data(
                    model, location=f"{name}.weights", size_threshold=256
                )
                onnx.save(model, str(path))
            else:
                save(model, path)
            files[name] = describe(path, model)
        for path in made.iterdir():
            path.chmod(0o644)
        manifest = Manifest(
            bundle=bundle.hash,
            network=network_hash(bundle),
            target="onnx",
            precision=precision,
            opset=OPSET,
            ranges={"batch": [1, None], "frames": [1, spec.T_w], "branches": [1, 3]},
            weights=MODEL if external_weights and precision != "int8" else "",
            tools={name: importlib.metadata.version(name) for name in ("posetalk", "onnx")},
            graphs=files,
            hop=hop_of(spec, files),
        )
        manifest.write(made)
    return manifest


def hop_of(spec: ModelSpec, names: Iterable[str]) -> dict[str, Any]:
    """What the graphs of whole hops among `names` are for, as a manifest has it."""
    live = spec.live
    if not any(name.startswith((f"{HOP}_", f"{ROUND}_")) for name in names):
        return {}
    return {"hop": live.hop, "lookahead": live.lookahead, "window_rule": live.window_rule}


def export_onnx(
    bundle: Bundle,
    steps: Sequence[int | None],
    *,
    precision: str = "fp32",
    out: Path | None = None,
    whole_hops: bool = False,
) -> tuple[Path, Manifest]:
    """Export a bundle into its own folder, or into a copy of it.

    Args:
        out: folder of the copy, whose graphs hold their weights, so that any program can read them;
            None: the bundle's own folder, where graphs in fp32 refer to the bundle's weights.
        whole_hops: `hop_K`, and for GPUs `round_K` and `slots` (not in int8), which is for CPUs.

    Returns:
        The folder of the graphs, and what is in it.

    Raises:
        ExportError: as `build_graphs` and `write_graphs`.
    """
    external_weights = out is None or _same(out, bundle.folder)
    graphs = build_graphs(
        bundle,
        steps,
        precision=precision,
        external_weights=external_weights,
        whole_hops=whole_hops,
        rounds=whole_hops and precision != "int8",
    )
    with home_of(bundle, out) as home:
        manifest = write_graphs(
            home / FOLDER, graphs, bundle, precision=precision, external_weights=external_weights
        )
    return home / FOLDER, manifest


@contextlib.contextmanager
def home_of(bundle: Bundle, out: Path | None) -> Iterator[Path]:
    """The folder that graphs go into: the bundle's own, or `out` with a copy of the bundle in it.

    Where the export fails, a copy that was not there before is gone again.

    Raises:
        ExportError: something else is in the way, or it cannot be written.
    """
    if out is None or _same(out, bundle.folder):
        yield bundle.folder
        return
    was_there = out.exists()
    is_copy = (out / CONFIG).is_file()
    try:
        _copy(bundle, out)
        yield out
    except BaseException:
        if not was_there:
            shutil.rmtree(out, ignore_errors=True)
        elif not is_copy and (out / CONFIG).is_file():  # an empty folder, which stays one
            for path in bundle.folder.iterdir():
                if path.is_file():
                    (out / path.name).unlink(missing_ok=True)
        raise


def _same(one: Path, other: Path) -> bool:
    return one.exists() and one.resolve() == other.resolve()


def _copy(bundle: Bundle, home: Path) -> None:
    """The bundle's files, all at once or not at all; exported graphs of the old copy stay."""
    taken = any(home.iterdir()) if home.is_dir() else home.exists()
    if taken and not (home / CONFIG).is_file():
        raise ExportError(f"{home} holds something else: choose an empty or new folder")
    if taken and sha256_of(home / CONFIG) != bundle.hash:
        raise ExportError(f"{home} is another bundle: choose an empty or new folder")
    try:
        home.mkdir(parents=True, exist_ok=True)
        for path in bundle.folder.iterdir():
            if path.is_file():
                with new_file(home / path.name) as part:
                    shutil.copyfile(path, part)
    except OSError as error:
        raise _not_written(home, error) from None


def _not_written(folder: Path, error: OSError) -> ExportError:
    """One line on what the disk says."""
    full = "; make room and try again" if error.errno == errno.ENOSPC else ""
    return ExportError(f"{folder} cannot be written: {error.strerror}{full}")


def describe(path: Path, model: onnx.ModelProto) -> GraphFile:
    """A written graph or engine, for the manifest."""
    tail = path.stem.rpartition("_")[2]

    def dims(values: Sequence[onnx.ValueInfoProto]) -> dict[str, list[int | str]]:
        return {
            value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
            for value in values
        }

    return GraphFile(
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        steps=int(tail) if tail.isdigit() else None,
        inputs=dims(model.graph.input),
        outputs=dims(model.graph.output),
    )


@contextlib.contextmanager
def in_place_of(folder: Path) -> Iterator[Path]:
    """A new folder to fill, that takes the place of `folder` when all went well.

    Raises:
        ExportError: `folder` holds something else, or cannot be written.
    """
    taken = any(folder.iterdir()) if folder.is_dir() else folder.exists()
    if taken and not (folder / MANIFEST).is_file():
        raise ExportError(f"{folder} holds something else: choose an empty or new folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise _not_written(folder, error) from None
    try:
        made.chmod(0o755)
        yield made
        old = made.with_name(made.name + "-old")
        if folder.exists():
            folder.rename(old)
        made.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise _not_written(folder, error) from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
