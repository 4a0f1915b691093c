"""Heads from elsewhere: FLAME pickles and ICT-FaceKit folders, read into our own form."""

from __future__ import annotations

import re
import tarfile
import zipfile
from pathlib import Path
from typing import Final

from head.importing.flame import import_flame
from head.importing.ict import ICT_ID, import_ict
from head.importing.unpickle import LARGEST_BYTES
from head.model import Head, HeadError

__all__ = ["import_head"]

_NAMES: Final = {
    "generic_model": "flame",  # the one that DiffPoseTalk's motion belongs to
    "flame2020": "flame",
    "female_model": "flame-female",
    "male_model": "flame-male",
}


def import_head(
    place: str | Path,
    name: str | None = None,
    *,
    shapes: int = 100,
    first_expression: int | None = None,
) -> Head:
    """The head in a FLAME pickle, or in ICT-FaceKit's folder or an archive of it.

    Args:
        place: the file or folder.
        name: the head's id; by default from what it is: `flame` (its 2020 model),
            `flame-2023`, `ict-facekit`.
        shapes: the most identity shapes to keep.
        first_expression: the column where a FLAME file's expressions begin, if it is an unusual
            one.

    Raises:
        HeadError: it cannot be read, or is neither; one line that says what to do.
    """
    place = Path(place).expanduser()
    if place.is_dir():
        return import_ict(place, name or ICT_ID, shapes)
    try:
        archive = zipfile.is_zipfile(place) or tarfile.is_tarfile(place)
        data = b"" if archive else _read(place)
    except OSError as error:
        raise HeadError(f"cannot read {place}: {error.strerror or error}") from None
    if archive:
        return import_ict(place, name or ICT_ID, shapes)
    if place.suffix.lower() in (".obj", ".ply", ".fbx", ".glb", ".npz", ".npy"):
        raise HeadError(
            f"{place} is no FLAME pickle: give FLAME's .pkl, or ICT-FaceKit's folder FaceXModel"
        )
    return import_flame(data, place.name, name or default_name(place), shapes, first_expression)


def default_name(file: Path) -> str:
    """The id of the head in a FLAME file of this name, as it comes from its site."""
    stem = file.stem.lower()
    if stem in _NAMES:
        return _NAMES[stem]
    plain = re.sub(r"[^a-z0-9]+", "-", stem.replace("flame20", "flame-20")).strip("-")
    return plain if plain.startswith("flame") else f"flame-{plain}".rstrip("-")


def _read(file: Path) -> bytes:
    if file.stat().st_size > LARGEST_BYTES:
        raise HeadError(f"{file} is larger than any head")
    return file.read_bytes()
