"""Heads on disk: one compressed npz without pickled objects.

Deltas are kept as float16 times one scale per channel and only for the vertices that move, so the
built-in head takes well under a megabyte. Names and other small things are one JSON text.
"""

from __future__ import annotations

import functools
import io
import json
import zipfile
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from head.channels import JAW_OPEN_RADIANS
from head.errors import WrongValue
from head.files.array_file import ArrayFileError, parse_arrays
from head.files.json_file import parse_json
from head.files.regular_file import read_regular
from head.library import find_head, is_id, own_heads
from head.model import JOINTS, PARENTS, Floats, Head, HeadError, Indices, Material, check
from head.new_file import new_file

__all__ = [
    "BUILTIN_ID",
    "JOINTS",
    "PARENTS",
    "Floats",
    "Head",
    "HeadError",
    "Indices",
    "Material",
    "builtin_head",
    "check",
    "load_head",
    "open_head",
    "save_head",
]

FORMAT: Final = "posetalk-head"
VERSION: Final = 1
BUILTIN_ID: Final = "posetalk-head-1"
CHARACTERS: Final = (BUILTIN_ID, "mira", "henrik", "yuna")
"""The heads that come along, with the same channels; bundles are trained for the first."""
LARGEST_FILE: Final = 128 << 20
MOST_ARRAY_BYTES: Final = 256 << 20
"""Of all its arrays, unpacked; those of ICT-FaceKit take 60 MB."""
MOST_VERTICES, MOST_JOINTS, MOST_DELTAS = 200_000, 64, 16_000_000
"""The last: vertices times channels."""
_PLAIN = ("template", "faces", "skin_weights", "pose_from_expression", "face_material")
_OPTIONAL = ("pose_basis", "vertex_tint")
_BASES = ("shape_basis", "expression_basis")


def save_head(head: Head, path: str | Path, *, exact: bool = False) -> None:
    """Write `head` to `path`. The same head gives the same bytes.

    `exact` keeps the deltas in single precision: for heads that others have made, whose vertices
    are compared with other programs'.
    """
    arrays: dict[str, NDArray[Any]] = {name: getattr(head, name) for name in _PLAIN}
    arrays |= {n: getattr(head, n) for n in _OPTIONAL if getattr(head, n) is not None}
    for name in _BASES:
        arrays |= _pack_basis(name, getattr(head, name), exact)
    rows, columns = np.nonzero(head.joint_regressor)
    arrays["joint_regressor.index"] = np.stack([rows, columns]).astype(np.int32)
    arrays["joint_regressor.value"] = head.joint_regressor[rows, columns]
    for name, indices in head.regions.items():
        arrays[f"region.{name}"] = np.asarray(indices, dtype=np.int32)
    about = {
        "format": FORMAT,
        "version": VERSION,
        "id": head.id,
        "expression_names": head.expression_names,
        "shape_names": head.shape_names,
        "joint_names": head.joint_names,
        "parents": head.parents,
        "turning_joint": head.turning_joint,
        "jaw_open_radians": head.jaw_open_radians,
        "joints_follow_expression": head.joints_follow_expression,
        "materials": [[m.name, list(m.rgb), m.roughness, m.metallic] for m in head.materials],
        "landmarks": dict(head.landmarks),
    }
    text = json.dumps(about, sort_keys=True).encode()
    arrays["about"] = np.frombuffer(text, dtype=np.uint8)
    with new_file(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(arrays[name]))
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue(), zipfile.ZIP_DEFLATED, 9
            )


def load_head(path_or_id: str | Path) -> Head:
    """A head that comes along by its id, an imported one by its name, or the head in an npz file.

    Raises:
        HeadError: no such head or file, or it is not whole; one line that says what to do.
    """
    if str(path_or_id) in (BUILTIN_ID, "builtin"):
        return builtin_head()
    if isinstance(path_or_id, str) and path_or_id in _OPENED:
        return _OPENED[path_or_id]
    own = find_head(path_or_id) if isinstance(path_or_id, str) else None
    if own is None and path_or_id in CHARACTERS:
        return character(str(path_or_id))
    path = own or Path(path_or_id).expanduser()
    try:
        data = read_regular(path, LARGEST_FILE)
    except FileNotFoundError:
        raise _no_head(str(path_or_id)) from None
    except OSError as error:
        raise HeadError(f"cannot read the head file {path}: {error.strerror or error}") from None
    return _parse(data, str(path))


def head_of_id(head_id: str) -> Head:
    """One that comes along, one opened before, or an imported one: by its id, never by a path.

    Raises:
        HeadError: it is no id, or there is no such head; one line.
    """
    if not is_id(head_id):
        raise HeadError(f"{head_id[:80]!r} is no head's id: letters, digits, '.', '_', '+' and '-'")
    if head_id in CHARACTERS or head_id in _OPENED or find_head(head_id) is not None:
        return load_head(head_id)
    raise _no_head(head_id)


def _no_head(asked: str) -> HeadError:
    known = ", ".join([*CHARACTERS, *(own.stem for own in own_heads())])
    return HeadError(
        f"no head {asked!r}: neither a file nor one of {known} "
        "(`posetalk head import` adds FLAME and ICT-FaceKit)"
    )


_OPENED: dict[str, Head] = {}


def open_head(name_or_file: str | Path) -> Head:
    """As `load_head`; from then on this process finds the head by its id as well."""
    head = load_head(name_or_file)
    if head.id != BUILTIN_ID:
        _OPENED[head.id] = head
    return head


@functools.cache
def builtin_head() -> Head:
    """The head that bundles are trained for (read once)."""
    return character(BUILTIN_ID)


@functools.cache
def character(name: str) -> Head:
    """One of CHARACTERS (read once).

    Raises:
        HeadError: its file is missing.
    """
    file = "builtin" if name == BUILTIN_ID else name
    try:
        data = resources.files("head").joinpath(f"data/{file}.npz").read_bytes()
    except OSError:
        raise HeadError(
            f"the head {name} is missing from the installation; install posetalk again"
        ) from None
    return _parse(data, f"the head {name}")


def _parse(data: bytes, source: str) -> Head:
    if data[:1] == b"\x80" or source.lower().endswith((".pkl", ".zip")):
        raise HeadError(
            f"{source} is no posetalk head; `posetalk head import` makes one of FLAME's .pkl files"
        )
    try:
        arrays = parse_arrays(io.BytesIO(data), MOST_ARRAY_BYTES)
    except ArrayFileError as error:
        raise HeadError(
            f"{source} is not a whole npz file; copy or download it again ({error})"
        ) from None
    if isinstance(arrays, np.ndarray):
        raise HeadError(f"{source} is a single array, not a head npz")
    try:
        about = parse_json(arrays["about"].tobytes())
        if about["format"] != FORMAT:
            raise KeyError("format")
    except (KeyError, TypeError, ValueError):
        flame = ": it has FLAME's arrays, and `posetalk head import` makes a head of FLAME's .pkl"
        raise HeadError(
            f"{source} is an npz file but holds no posetalk head"
            + (flame if "v_template" in arrays else "")
        ) from None
    if about.get("version") != VERSION:
        found = str(about.get("version"))[:20]
        raise HeadError(f"{source} has head format {found}; this version reads {VERSION}")
    try:
        return _assemble(about, arrays)
    except HeadError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = " ".join(str(error).split())[:120]
        raise HeadError(f"{source} lacks a part of the head or has a wrong one: {what}") from None


def _assemble(about: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Head:
    vertices, joints = len(arrays["template"]), len(about["joint_names"])
    if vertices > MOST_VERTICES or joints > MOST_JOINTS:
        raise HeadError(
            f"a head of {vertices} vertices and {joints} joints; "
            f"{MOST_VERTICES} and {MOST_JOINTS} at most"
        )
    regressor = np.zeros((joints, vertices), dtype=np.float32)
    rows, columns = arrays["joint_regressor.index"]
    regressor[rows, columns] = arrays["joint_regressor.value"]
    return Head(
        id=str(about["id"]),
        template=arrays["template"],
        faces=arrays["faces"],
        shape_basis=_unpack_basis("shape_basis", arrays, vertices),
        expression_basis=_unpack_basis("expression_basis", arrays, vertices),
        expression_names=tuple(about["expression_names"]),
        joint_regressor=regressor,
        skin_weights=arrays["skin_weights"],
        pose_from_expression=arrays["pose_from_expression"],
        face_material=arrays["face_material"],
        materials=tuple(Material(n, tuple(rgb), r, m) for n, rgb, r, m in about["materials"]),
        regions={
            name.removeprefix("region."): value
            for name, value in arrays.items()
            if name.startswith("region.")
        },
        landmarks={name: int(index) for name, index in about["landmarks"].items()},
        pose_basis=arrays.get("pose_basis"),
        vertex_tint=arrays.get("vertex_tint"),
        shape_names=tuple(about["shape_names"]),
        joint_names=tuple(about["joint_names"]),
        parents=tuple(about["parents"]),
        turning_joint=str(about["turning_joint"]),
        jaw_open_radians=float(about.get("jaw_open_radians", JAW_OPEN_RADIANS)),
        joints_follow_expression=bool(about.get("joints_follow_expression", _is_flame(about))),
    )


def _is_flame(about: dict[str, Any]) -> bool:
    """Whether a file that does not say so holds a FLAME head: its channels have no names."""
    return str(about["expression_names"][0]) == "expression00"


def _pack_basis(name: str, basis: Floats, exact: bool) -> dict[str, NDArray[Any]]:
    """(V, 3, C) -> the moving (vertex, channel) pairs, float16 in units of the channel's peak."""
    vertex, channel = np.nonzero(np.abs(basis).max(axis=1) > 0)
    scale = np.abs(basis).max(axis=(0, 1)).astype(np.float32)
    unit = basis[vertex, :, channel] / scale[channel][:, None]
    return {
        f"{name}.index": np.stack([vertex, channel]).astype(np.int32),
        f"{name}.value": unit.astype(np.float32 if exact else np.float16),
        f"{name}.scale": scale,
    }


def _unpack_basis(name: str, arrays: dict[str, NDArray[Any]], vertices: int) -> Floats:
    scale = arrays[f"{name}.scale"]
    if scale.ndim != 1 or vertices * len(scale) > MOST_DELTAS:
        raise WrongValue(f"{name} of {vertices} vertices and {scale.shape} channels")
    vertex, channel = arrays[f"{name}.index"]
    basis = np.zeros((vertices, 3, len(scale)), dtype=np.float32)
    basis[vertex, :, channel] = arrays[f"{name}.value"].astype(np.float32) * scale[channel][:, None]
    return basis
