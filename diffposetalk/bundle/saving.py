"""A bundle written: the folder is complete, or is as it was."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save_file

from diffposetalk.bundle.bundle import Bundle, BundleError, load_bundle
from diffposetalk.bundle.reading import (
    CARD,
    CONFIG,
    FORMAT,
    MODEL,
    STATISTICS,
    STYLE_ENCODER,
    STYLES,
    VERSION,
    read_statistics,
    read_styles,
    sha256_of,
)
from diffposetalk.spec import FloatArray, ModelSpec, Statistics
from head.library import is_id
from head.new_file import naming

if TYPE_CHECKING:
    from diffposetalk.network.model import DiffPoseTalk
    from diffposetalk.network.style_encoder import StyleEncoder


def save_bundle(
    folder: str | Path,
    model: DiffPoseTalk,
    spec: ModelSpec,
    statistics: Statistics | Mapping[str, FloatArray],
    styles: Mapping[str, FloatArray],
    head_id: str,
    card: str,
    provenance: Mapping[str, Any],
    *,
    style_encoder: StyleEncoder | None = None,
    half: bool = False,
) -> Bundle:
    """Write a bundle all at once: the folder is complete, or is as it was.

    Args:
        folder: replaced if it holds a bundle; anything else in the way is an error.
        spec: may differ from `model.spec` in its live defaults only.
        styles: (d_style,) vectors by name, the default first; at least one.
        half: store the networks' parameters as float16.

    Raises:
        BundleError: values that do not fit each other, or a folder that is something else.
        OSError: the disk is full.
    """
    from diffposetalk.network.weights import WeightsError, save_weights

    folder = Path(folder)
    if not is_id(head_id):
        raise BundleError(f"{head_id[:80]!r} is no head's id: give an id, not a file")
    taken = any(folder.iterdir()) if folder.is_dir() else folder.exists()
    if taken and not (folder / CONFIG).is_file():
        raise BundleError(f"{folder} is not a bundle: choose an empty or new folder")
    if dataclasses.replace(spec, live=model.spec.live) != model.spec:
        raise BundleError("the specification is not the model's: only live defaults may differ")
    if isinstance(statistics, Mapping):
        statistics = Statistics(**statistics)
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        made.chmod(0o755)
        with naming(folder):
            save_file(_arrays(dataclasses.asdict(statistics)), made / STATISTICS)
            save_file(_arrays(styles), made / STYLES)
            read_statistics(made / STATISTICS, spec)
            read_styles(made / STYLES, list(styles), spec)
            save_weights(model, made / MODEL, half=half)
            if style_encoder is not None:
                save_weights(style_encoder, made / STYLE_ENCODER, half=half)
            config = {
                "format": FORMAT,
                "version": VERSION,
                "head": head_id,
                "styles": list(styles),
                "model": json.loads(spec.to_json()),
                "provenance": dict(provenance),
                "files": {path.name: sha256_of(path) for path in sorted(made.iterdir())},
            }
            (made / CONFIG).write_text(json.dumps(config, indent=2) + "\n", "utf-8")
            (made / CARD).write_text(card, "utf-8")
            _swap(made, folder)
    except WeightsError as error:
        raise BundleError(str(error)) from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return load_bundle(folder)


def _swap(made: Path, folder: Path) -> None:
    """Put `made` in the place of `folder`; on failure the old folder is back."""
    old = made.with_name(made.name + "-old")
    had_one = folder.exists()
    if had_one:
        folder.rename(old)
    try:
        made.rename(folder)
    except OSError:
        if had_one:
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _arrays(values: Mapping[str, Any]) -> dict[str, FloatArray]:
    return {name: np.ascontiguousarray(value, np.float32) for name, value in values.items()}
