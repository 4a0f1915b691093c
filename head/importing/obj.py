"""Wavefront OBJ text, and where it comes from: a folder, a tar or a zip archive."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.model import HeadError

LARGEST_BYTES: Final = 64 << 20
"""Bytes of one file, at most; the largest of ICT-FaceKit has 3 MB."""


@dataclass(frozen=True)
class Mesh:
    """Vertices (V, 3) in the file's unit, triangles (F, 3), and each triangle's material name."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    materials: tuple[str, ...]


def read_obj_files(place: Path) -> Mapping[str, bytes]:
    """Name without `.obj` -> contents, of all OBJ files in a folder (and below) or an archive.

    Raises:
        HeadError: it cannot be read, or holds no such file.
    """
    found: dict[str, bytes] = {}
    try:
        if place.is_dir():
            for path in sorted(place.rglob("*.obj")):
                if path.stat().st_size <= LARGEST_BYTES:
                    found.setdefault(path.stem, path.read_bytes())
        elif zipfile.is_zipfile(place):
            with zipfile.ZipFile(place) as archive:
                for info in archive.infolist():
                    name = PurePosixPath(info.filename)
                    if name.suffix == ".obj" and info.file_size <= LARGEST_BYTES:
                        found.setdefault(name.stem, archive.read(info))
        else:
            with tarfile.open(place) as archive:
                for member in archive:
                    name = PurePosixPath(member.name)
                    if name.suffix == ".obj" and member.isfile() and member.size <= LARGEST_BYTES:
                        file = archive.extractfile(member)
                        assert file is not None  # it is a file
                        found.setdefault(name.stem, file.read())
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise HeadError(f"cannot read {place}: {what.splitlines()[0]}") from None
    if not found:
        raise HeadError(f"{place} holds no .obj files; give the folder FaceXModel of ICT-FaceKit")
    return found


def vertices(text: bytes, name: str) -> NDArray[np.float64]:
    """The vertices (V, 3) of an OBJ file.

    Raises:
        HeadError: a vertex is not three finite numbers.
    """
    rows = [line[2:] for line in text.split(b"\n") if line.startswith(b"v ")]
    try:
        # The first three numbers of each: some programs add colours.
        points = np.array([row.split()[:3] for row in rows], dtype=np.float64).reshape(-1, 3)
    except ValueError:
        raise HeadError(f"{name}.obj has a vertex that is not three numbers") from None
    if not np.isfinite(points).all():
        raise HeadError(f"{name}.obj has a vertex that is not finite")
    return points


def parse(text: bytes, name: str) -> Mesh:
    """A whole OBJ file; polygons are cut into triangles.

    Raises:
        HeadError: a face names a vertex that is not there.
    """
    points = vertices(text, name)
    faces: list[tuple[int, int, int]] = []
    materials: list[str] = []
    material = ""
    try:
        for line in text.split(b"\n"):
            if line.startswith(b"f "):
                corner = [int(part.split(b"/", 1)[0]) for part in line.split()[1:]]
                corner = [c - 1 if c > 0 else len(points) + c for c in corner]
                for k in range(1, len(corner) - 1):
                    faces.append((corner[0], corner[k], corner[k + 1]))
                    materials.append(material)
            elif line.startswith(b"usemtl"):
                material = line[6:].strip().decode("ascii", "replace")
    except ValueError:
        raise HeadError(f"{name}.obj has a face that is not numbers") from None
    out = np.array(faces, dtype=np.int64).reshape(-1, 3)
    if len(out) and not 0 <= out.min() <= out.max() < len(points):
        raise HeadError(f"{name}.obj has a face that names vertices that are not there")
    return Mesh(points, out, tuple(materials))
