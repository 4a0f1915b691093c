"""Wavefront OBJ text, and where it comes from: a folder, a tar or a zip archive."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from head.errors import WrongValue
from head.files.regular_file import open_regular, read_regular
from head.model import HeadError

LARGEST_BYTES: Final = 16 << 20
"""Bytes of one file, at most; the largest of ICT-FaceKit has 3 MB."""
MOST_BYTES: Final = 768 << 20
"""Bytes of all of them; ICT-FaceKit has 155 files."""
MOST_UNPACKED: Final = 4 << 30
MOST_MEMBERS: Final = 20_000
MOST_LINES: Final = 1_000_000
T = TypeVar("T")
_OPENERS: Final[Mapping[bytes, Callable[[Any], Any]]] = {
    b"\x1f\x8b": lambda raw: gzip.GzipFile(fileobj=raw),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
}
_PACKED: Final = tuple(_OPENERS)
_DAMAGES: Final = (
    OSError,
    EOFError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


@dataclass(frozen=True)
class Mesh:
    """Vertices (V, 3) in the file's unit, triangles (F, 3), and each triangle's material name."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    materials: tuple[str, ...]


def is_archive(place: Path) -> bool:
    """Whether a file is a zip or tar archive, packed or not, by how it begins.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    with open_regular(place) as file:
        head = file.read(512)
    return head[:4] == b"PK\x03\x04" or head.startswith(_PACKED) or head[257:262] == b"ustar"


def read_obj_files(place: Path) -> Mapping[str, bytes]:
    """Name without `.obj` -> contents, of all OBJ files in a folder (and below) or an archive.

    Raises:
        HeadError: it cannot be read, or holds no such file, or more than any head.
    """
    found: dict[str, bytes] = {}
    left = MOST_BYTES
    try:
        for name, data in _folder(place) if place.is_dir() else _archive(place):
            left -= len(data)
            if left < 0:
                raise HeadError(f"{place} holds more than {MOST_BYTES >> 20} MB of .obj files")
            found.setdefault(name, data)
    except HeadError:
        raise
    except _DAMAGES as error:
        what = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise HeadError(f"cannot read {place}: {what.splitlines()[0]}") from None
    except (ValueError, RuntimeError) as error:
        what = str(error) if isinstance(error, WrongValue) else "packed in an unknown way"
        raise HeadError(f"cannot read {place}: {what.splitlines()[0][:120]}") from None
    if not found:
        raise HeadError(f"{place} holds no .obj files; give the folder FaceXModel of ICT-FaceKit")
    return found


def _folder(place: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(place.rglob("*.obj")):
        if path.stat().st_size <= LARGEST_BYTES:
            yield path.stem, read_regular(path, LARGEST_BYTES)


def names_in(place: Path) -> list[str]:
    """The names in a folder or an archive, sorted; none of another file, or of a broken one."""
    try:
        if place.is_dir():
            return sorted(path.name for path in place.iterdir())
        return sorted(name for name, _, _ in _entries(place)) if is_archive(place) else []
    except (*_DAMAGES, ValueError, RuntimeError):
        return []  # whoever reads it says what is wrong


def _archive(place: Path) -> Iterator[tuple[str, bytes]]:
    for name, size, read in _entries(place):
        path = PurePosixPath(name)
        if path.suffix == ".obj" and size <= LARGEST_BYTES:
            yield path.stem, read()


def _entries(place: Path) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """Name, size and reader of each file in an archive."""
    with open_regular(place) as raw:
        kind = raw.read(6)
        raw.seek(0)
        if kind[:2] == b"PK":
            with zipfile.ZipFile(raw) as archive:
                for info in _few(archive.infolist()):
                    yield info.filename, info.file_size, partial(archive.read, info)
            return
        opener = next((open_ for magic, open_ in _OPENERS.items() if kind.startswith(magic)), None)
        file = raw if opener is None else opener(raw)
        # Not `tarfile.open` by name: it reads a header of any length in one piece.
        bounded: Any = _Bounded(file)
        with file, tarfile.open(fileobj=bounded, mode="r:") as tar:
            for member in _few(tar):
                if member.isfile():
                    yield member.name, member.size, partial(_content, tar, member)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = tar.extractfile(member)
    assert content is not None  # it is a file
    return content.read()


class _Bounded:
    """An unpacked stream that gives out so much in one piece, and so much in all."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LARGEST_BYTES:
            raise WrongValue("a piece larger than any file of a head")
        if self._file.tell() > MOST_UNPACKED:
            raise WrongValue("more unpacked than any head has")
        data: bytes = self._file.read(size)
        return data


def _few(members: Iterable[T]) -> Iterator[T]:
    for number, member in enumerate(members):
        if number >= MOST_MEMBERS:
            raise WrongValue("more files than any head has")
        yield member


def vertices(text: bytes, name: str) -> NDArray[np.float64]:
    """The vertices (V, 3) of an OBJ file.

    Raises:
        HeadError: a vertex is not three finite numbers.
    """
    rows = [line[2:] for line in _lines(text, name) if line.startswith(b"v ")]
    try:
        # The first three numbers of each: some programs add colours.
        points = np.array([row.split()[:3] for row in rows], dtype=np.float64).reshape(-1, 3)
    except ValueError:
        raise HeadError(f"{name}.obj has a vertex that is not three numbers") from None
    if not np.isfinite(points).all():
        raise HeadError(f"{name}.obj has a vertex that is not finite")
    return points


def _lines(text: bytes, name: str) -> list[bytes]:
    if text.count(b"\n") > MOST_LINES:
        raise HeadError(f"{name}.obj has more lines than any head")
    return text.split(b"\n")


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
        for line in _lines(text, name):
            if line.startswith(b"f "):
                if len(faces) + len(line) // 2 > MOST_LINES:
                    raise HeadError(f"{name}.obj has more triangles than any head")
                corner = [int(part.split(b"/", 1)[0]) for part in line.split()[1:]]
                corner = [c - 1 if c > 0 else len(points) + c for c in corner]
                for k in range(1, len(corner) - 1):
                    faces.append((corner[0], corner[k], corner[k + 1]))
                    materials.append(material)
            elif line.startswith(b"usemtl"):
                material = line[6:].strip().decode("ascii", "replace")
    except HeadError:
        raise
    except ValueError:
        raise HeadError(f"{name}.obj has a face that is not numbers") from None
    out = np.array(faces, dtype=np.int64).reshape(-1, 3)
    if len(out) and not 0 <= out.min() <= out.max() < len(points):
        raise HeadError(f"{name}.obj has a face that names vertices that are not there")
    return Mesh(points, out, tuple(materials))
