"""Heads from elsewhere: FLAME pickles and ICT-FaceKit folders, read into our own form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from head.files.regular_file import read_regular
from head.importing.flame import KEYS, LIMITS, import_flame
from head.importing.ict import ICT_ID, import_ict
from head.importing.obj import is_archive, names_in
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
    landmarks: Mapping[str, int] | None = None,
) -> Head:
    """The head in a FLAME pickle, or in ICT-FaceKit's folder or an archive of it.

    Args:
        place: the file or folder.
        name: the head's id; by default from what it is: `flame` (its 2020 model),
            `flame-2023`, `ict-facekit`.
        shapes: the most identity shapes to keep.
        first_expression: the column where a FLAME file's expressions begin, if it is an unusual
            one.
        landmarks: of a FLAME file's face, vertices by their names, where they are not found.

    Raises:
        HeadError: it cannot be read, or is neither; one line that says what to do.
    """
    place = Path(place).expanduser()
    _refuse_packed(place)
    if place.is_dir():
        return import_ict(place, name or ICT_ID, shapes)
    try:
        archive = is_archive(place)
    except OSError as error:
        raise HeadError(f"cannot read {place}: {error.strerror or error}") from None
    if archive:
        return import_ict(place, name or ICT_ID, shapes)
    if place.suffix.lower() in (".obj", ".ply", ".fbx", ".glb", ".npz", ".npy"):
        raise HeadError(
            f"{place} is no FLAME pickle: give FLAME's .pkl, or ICT-FaceKit's folder FaceXModel"
        )
    try:
        data = read_regular(place, LIMITS.most_bytes)
    except OSError as error:
        raise HeadError(f"cannot read {place}: {error.strerror or error}") from None
    called = name or default_name(place)
    return import_flame(data, place.name, called, shapes, first_expression, landmarks)


def _refuse_packed(place: Path) -> None:
    """Name what holds FLAME, or a head of ours, and isn't the file that is read.

    Raises:
        HeadError: FLAME's download, a folder of its pickles, or an npz file.
    """
    names = names_in(place)
    pickles = [name for name in names if name.lower().endswith(".pkl")]
    if pickles and not any(name.lower().endswith(".obj") for name in names):
        held = ", ".join(Path(name).name for name in pickles[:3])
        if place.is_dir():
            raise HeadError(f"{place} holds FLAME's files ({held}): give one of them")
        raise HeadError(f"{place} is an archive of FLAME's files ({held}): unpack it, give one")
    arrays = {name.removesuffix(".npy") for name in names if name.endswith(".npy")}
    if not arrays or place.is_dir():
        return
    if "about" in arrays and "template" in arrays:
        raise HeadError(f"{place} is a posetalk head already: use it with --head {place}")
    if arrays & set(KEYS):
        raise HeadError(
            f"{place} holds FLAME's arrays in a NumPy archive, which is not read: give the .pkl "
            "that FLAME's site has"
        )
    raise HeadError(
        f"{place} is a NumPy archive and no head: give FLAME's .pkl, or ICT-FaceKit's folder "
        "FaceXModel"
    )


def default_name(file: Path) -> str:
    """The id of the head in a FLAME file of this name, as it comes from its site."""
    stem = file.stem.lower()
    if stem in _NAMES:
        return _NAMES[stem]
    plain = re.sub(r"[^a-z0-9]+", "-", stem.replace("flame20", "flame-20")).strip("-")
    return plain if plain.startswith("flame") else f"flame-{plain}".rstrip("-")
