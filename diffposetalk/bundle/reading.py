"""The files of a bundle, each read and checked by itself; nothing here needs torch."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffposetalk.bundle.tensor_file import TensorFile
from diffposetalk.spec import FloatArray, ModelSpec, Statistics
from diffposetalk.spec_json import SpecError
from head.errors import PosetalkError
from head.files.json_file import read_json
from head.files.regular_file import open_regular
from head.library import is_id

FORMAT, VERSION = "posetalk-bundle", 1
CONFIG, MODEL, STATISTICS = "config.json", "model.safetensors", "statistics.safetensors"
STYLES, STYLE_ENCODER, CARD = "styles.safetensors", "style_encoder.safetensors", "MODEL_CARD.md"


LARGEST_CONFIG, LARGEST_CARD, LARGEST_VALUES = 4 << 20, 1 << 20, 64 << 20
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")


class BundleError(PosetalkError, ValueError):
    """A bundle that cannot be used; the message is one line that says what to do."""


def read_config(folder: Path) -> dict[str, Any]:
    """Parse config.json and check its outline; or BundleError."""
    path = folder / CONFIG
    try:
        config = read_json(path, LARGEST_CONFIG)
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise BundleError(f"{path} is not the configuration of a posetalk bundle")
    if config.get("version") != VERSION:
        raise BundleError(
            f"{path} is version {str(config.get('version'))[:20]}, this program reads {VERSION}: "
            "update posetalk"
        )
    outline = {"head": str, "styles": list, "model": dict, "provenance": dict, "files": dict}
    for key, kind in outline.items():
        if not isinstance(config.get(key), kind):
            raise BundleError(f"{path}: {key!r} is missing or no {kind.__name__}")
    if not is_id(config["head"]):
        raise BundleError(f"{path}: 'head' is {config['head'][:80]!r}, which is no head's id")
    for key, values in (("styles", config["styles"]), ("files", config["files"].values())):
        if not all(isinstance(value, str) for value in values):
            raise BundleError(f"{path}: {key!r} holds something else than text")
    for name in config["files"]:
        if not FILE_NAME.fullmatch(name):
            raise BundleError(f"{path}: 'files' lists {name[:80]!r}, which is no file's name")
    lacking = {MODEL, STATISTICS, STYLES} - config["files"].keys()
    if lacking:
        raise BundleError(f"{path}: 'files' does not list {', '.join(sorted(lacking))}")
    return config


def spec_of(folder: Path, config: dict[str, Any]) -> ModelSpec:
    """The model specification that a configuration holds; or BundleError."""
    try:
        return ModelSpec.from_json(json.dumps(config["model"]))
    except SpecError as error:
        raise BundleError(f"{folder / CONFIG}: {error}") from None


def read_statistics(path: Path, spec: ModelSpec) -> Statistics:
    """The statistics of a file, by names, sizes and values those of this model; or BundleError."""
    arrays = _read_arrays(path)
    sizes = {"motion": spec.d_motion, "shape": spec.n_shape}
    wanted = {f"{what}_{kind}": (n,) for what, n in sizes.items() for kind in ("mean", "std")}
    if {name: array.shape for name, array in arrays.items()} != wanted:
        raise BundleError(f"{path} does not hold {_listing(wanted)}")
    if any(arrays[f"{what}_std"].min(initial=1.0) <= 0.0 for what in sizes):
        raise BundleError(f"{path}: a standard deviation is not positive")
    return Statistics(**arrays)


def read_styles(path: Path, names: list[str], spec: ModelSpec) -> dict[str, FloatArray]:
    """The style vectors of a file in the order of `names`, of the model's size; or BundleError."""
    arrays = _read_arrays(path)
    size = (spec.style.d_style if spec.use_style else 0,)
    if not names or sorted(names) != sorted(arrays):
        raise BundleError(f"{path} holds the styles {sorted(arrays)}, the bundle names {names}")
    for name, array in arrays.items():
        if array.shape != size:
            raise BundleError(f"{path}: style {name!r} is {array.shape}, the model takes {size}")
    return {name: arrays[name] for name in names}


def _read_arrays(path: Path) -> dict[str, FloatArray]:
    try:
        table = TensorFile(path, LARGEST_VALUES)
        arrays = {name: table.read(name) for name in table}
    except ValueError as error:
        raise BundleError(str(error)) from None
    for name, array in arrays.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise BundleError(f"{path}: {name} holds values that are not finite")
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def check_finite(path: Path) -> None:
    """Weights that are not finite would come out as motion: any backend refuses them here."""
    try:
        table = TensorFile(path)
        for name in table:
            if not np.isfinite(table.mapped(name)).all():
                raise BundleError(f"{path}: {name} holds values that are not finite")
    except ValueError as error:
        raise BundleError(str(error)) from None


def _listing(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())


def sha256_of(path: Path) -> str:
    """Checksum of a file, as hexadecimal digits."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
