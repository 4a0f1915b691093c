"""A bundle: one folder that holds all there is to know about a model.

    config.json              model specification, head id, style names, provenance, checksums
    model.safetensors        the network, possibly stored in half precision
    statistics.safetensors   normalisation of motion and shape
    styles.safetensors       named style vectors
    style_encoder.safetensors  optional: makes new styles
    MODEL_CARD.md            data, licences, what it can and cannot do

Reading everything but the networks needs no torch.  Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diffposetalk.bundle.tensor_file import TensorFile
from diffposetalk.spec import FloatArray, ModelSpec, Statistics
from diffposetalk.spec_json import SpecError
from head.errors import PosetalkError
from head.files.json_file import read_json
from head.files.regular_file import open_regular, read_regular
from head.library import is_id

if TYPE_CHECKING:
    from diffposetalk.network.model import DiffPoseTalk
    from diffposetalk.network.style_encoder import StyleEncoder
    from head.model import Head

PACKAGED = Path(__file__).parent.parent / "bundles"
FORMAT, VERSION = "posetalk-bundle", 1
CONFIG, MODEL, STATISTICS = "config.json", "model.safetensors", "statistics.safetensors"
STYLES, STYLE_ENCODER, CARD = "styles.safetensors", "style_encoder.safetensors", "MODEL_CARD.md"


LARGEST_CONFIG, LARGEST_CARD, LARGEST_VALUES = 4 << 20, 1 << 20, 64 << 20
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")


class BundleError(PosetalkError, ValueError):
    """A bundle that cannot be used; the message is one line that says what to do."""


@dataclass(frozen=True)
class Bundle:
    """What a bundle's folder says; the networks are built on request.

    Attributes:
        folder: where it lies.
        spec: every shape, and the live defaults.
        head_id: the head that its motion belongs to.
        statistics: normalisation of motion and shape.
        styles: (d_style,) vectors by name; the first one is the default.
        provenance: how it was made, free-form.
        hash: sha256 of its configuration, which holds the checksums of the other files.
    """

    folder: Path
    spec: ModelSpec
    head_id: str
    statistics: Statistics
    styles: Mapping[str, FloatArray]
    provenance: Mapping[str, Any]
    hash: str

    @property
    def card(self) -> str:
        """The model card's text, empty where there is none."""
        path = self.folder / CARD
        if not path.is_file():
            return ""
        return read_regular(path, LARGEST_CARD).decode("utf-8", "replace")

    def model(self) -> DiffPoseTalk:
        """Build the network and load its weights (float32, on the CPU, in evaluation mode).

        Raises:
            BundleError: the weights do not fit the configuration.
        """
        from diffposetalk.network.model import DiffPoseTalk
        from diffposetalk.network.weights import WeightsError, load_network

        try:
            least = self.spec.least_numbers()
            return load_network(lambda: DiffPoseTalk(self.spec), self.folder / MODEL, least)
        except WeightsError as error:
            raise BundleError(str(error)) from None

    def style_encoder(self) -> StyleEncoder:
        """Build the style encoder that the model was trained with.

        Raises:
            BundleError: this bundle has none, or it does not fit.
        """
        from diffposetalk.network.style_encoder import StyleEncoder
        from diffposetalk.network.weights import WeightsError, load_network

        path = self.folder / STYLE_ENCODER
        if not path.is_file():
            raise BundleError(
                f"the bundle {self.folder} has no style encoder: use one of its styles, "
                f"{', '.join(self.styles)}"
            )
        try:
            return load_network(
                lambda: StyleEncoder(self.spec), path, self.spec.style.least_numbers()
            )
        except WeightsError as error:
            raise BundleError(str(error)) from None

    def require_head(self) -> Head:
        """The head that motion made by this bundle belongs to.

        Raises:
            BundleError: it is not here, or another one is in its place.
        """
        return _head(self.folder, self.head_id)


def bundle_folder(name_or_dir: str | Path) -> Path:
    """The folder of a packaged bundle ('starter') or of a path.

    Raises:
        BundleError: there is none.
    """
    packaged = sorted(p.parent.name for p in PACKAGED.glob(f"*/{CONFIG}"))
    if str(name_or_dir) in packaged:
        return PACKAGED / name_or_dir
    folder = Path(name_or_dir).expanduser()
    if not (folder / CONFIG).is_file():
        names = ", ".join(packaged) or "none is installed"
        problem = f"there is no {CONFIG} in it" if folder.is_dir() else "there is no such folder"
        raise BundleError(
            f"no bundle {str(name_or_dir)!r}: {problem}; give a bundle's folder or a name ({names})"
        )
    return folder


def read_spec(name_or_dir: str | Path) -> ModelSpec:
    """The model specification alone, without opening any weights.

    Raises:
        BundleError: no bundle, or not a configuration that this version reads.
    """
    folder = bundle_folder(name_or_dir)
    return _spec(folder, _config(folder))


def require_head(name_or_dir: str | Path) -> Head:
    """`Bundle.require_head` without opening any weights.

    Raises:
        BundleError: no bundle, or its head is not here.
    """
    folder = bundle_folder(name_or_dir)
    return _head(folder, _config(folder)["head"])


def load_bundle(name_or_dir: str | Path) -> Bundle:
    """Read and check a bundle; see `Bundle.model` for its network.

    Raises:
        BundleError: missing, renamed, truncated or altered files, or values that do not fit.
    """
    folder = bundle_folder(name_or_dir)
    config = _config(folder)
    spec = _spec(folder, config)
    for name, digest in config["files"].items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"the bundle {folder} lacks {name}: copy the whole folder again")
        if sha256_of(path) != digest:
            raise BundleError(
                f"{path} is damaged or was replaced (its checksum differs): "
                "copy the whole bundle again"
            )
    statistics = read_statistics(folder / STATISTICS, spec)
    _check_finite(folder / MODEL)
    return Bundle(
        folder=folder,
        spec=spec,
        head_id=config["head"],
        statistics=statistics,
        styles=read_styles(folder / STYLES, config["styles"], spec),
        provenance=config["provenance"],
        hash=sha256_of(folder / CONFIG),
    )


def _head(folder: Path, head_id: str) -> Head:
    from head.model import HeadError
    from head.rig import head_of_id

    moves = f"the bundle {folder} moves the head {head_id!r}"
    try:
        head = head_of_id(head_id)
    except HeadError as error:
        raise BundleError(f"{moves}, which is not here: {error}") from None
    if head.id != head_id:
        raise BundleError(f"{moves}, not {head.id!r}: choose the head it was trained for")
    return head


def _config(folder: Path) -> dict[str, Any]:
    """Parse config.json and check its outline."""
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


def _spec(folder: Path, config: dict[str, Any]) -> ModelSpec:
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


def _check_finite(path: Path) -> None:
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
