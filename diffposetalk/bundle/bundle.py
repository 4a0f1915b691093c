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

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffposetalk.bundle.reading import (
    CARD,
    CONFIG,
    LARGEST_CARD,
    MODEL,
    STATISTICS,
    STYLE_ENCODER,
    STYLES,
    BundleError,
    check_finite,
    read_config,
    read_statistics,
    read_styles,
    sha256_of,
    spec_of,
)
from diffposetalk.spec import FloatArray, ModelSpec, Statistics
from head.files.regular_file import read_regular

if TYPE_CHECKING:
    from diffposetalk.network.model import DiffPoseTalk
    from diffposetalk.network.style_encoder import StyleEncoder
    from head.model import Head

__all__ = [
    "PACKAGED",
    "Bundle",
    "BundleError",
    "bundle_folder",
    "load_bundle",
    "read_spec",
    "require_head",
]

PACKAGED = Path(__file__).parent.parent / "bundles"


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
    return spec_of(folder, read_config(folder))


def require_head(name_or_dir: str | Path) -> Head:
    """`Bundle.require_head` without opening any weights.

    Raises:
        BundleError: no bundle, or its head is not here.
    """
    folder = bundle_folder(name_or_dir)
    return _head(folder, read_config(folder)["head"])


def load_bundle(name_or_dir: str | Path) -> Bundle:
    """Read and check a bundle; see `Bundle.model` for its network.

    Raises:
        BundleError: missing, renamed, truncated or altered files, or values that do not fit.
    """
    folder = bundle_folder(name_or_dir)
    config = read_config(folder)
    spec = spec_of(folder, config)
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
    check_finite(folder / MODEL)
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
