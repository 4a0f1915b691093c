"""numpy's npz and npy files with limits: what a file claims is compared with what it holds.

`numpy.load` believes the header of an array and the sizes in a zip file, so that a few kilobytes
can ask for any amount of memory. Here every size is known and added up before an array is made.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from head.errors import PosetalkError
from head.files.regular_file import open_regular

Arrays = dict[str, NDArray[Any]]
MOST_BYTES = 256 << 20
"""Of all arrays of a file together, unpacked; a rig of 27,000 vertices takes 60 MB."""
MOST_ARRAYS = 1024
_LONGEST_HEADER = 4096
_MOST_AXES = 8
_PIECE = 1 << 20
_KINDS = "fiubUS"
_DAMAGES = (
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    RecursionError,
    SyntaxError,
    OverflowError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)


class ArrayFileError(PosetalkError, ValueError):
    """A file that holds no such arrays, or too many; the message is part of a line."""


def read_arrays(path: str | Path, most_bytes: int = MOST_BYTES) -> NDArray[Any] | Arrays:
    """The array in an npy file, or the arrays in an npz file by their names.

    Args:
        path: the file.
        most_bytes: of the file, and of all arrays together once they are unpacked.

    Raises:
        ArrayFileError: neither, damaged, arrays of other things than numbers and text, or larger.
        OSError: it cannot be opened, or is no regular file.
    """
    with open_regular(path, most_bytes + (1 << 20)) as file:
        return parse_arrays(file, most_bytes)


def read_npz(path: str | Path, most_bytes: int = MOST_BYTES) -> Arrays:
    """`read_arrays` for files that must be an npz.

    Raises:
        ArrayFileError, OSError: as `read_arrays`; or it is an npy file.
    """
    found = read_arrays(path, most_bytes)
    if isinstance(found, np.ndarray):
        raise ArrayFileError("a single array, no npz file")
    return found


def parse_arrays(file: IO[bytes], most_bytes: int = MOST_BYTES) -> NDArray[Any] | Arrays:
    """`read_arrays` from an open file that can be sought in.

    Raises:
        ArrayFileError: as there.
    """
    try:
        magic = file.read(6)
        file.seek(0, 2)
        size = file.tell()
        file.seek(0)
        if magic == b"\x93NUMPY":
            return _array(file, size, most_bytes)
        if magic[:2] != b"PK":
            raise ArrayFileError("no npz file")
        with zipfile.ZipFile(file) as archive:
            return _members(archive, most_bytes)
    except ArrayFileError:
        raise
    except _DAMAGES as error:
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise ArrayFileError(f"cut short or damaged: {reason}") from None


def _members(archive: zipfile.ZipFile, most_bytes: int) -> Arrays:
    members = archive.infolist()
    if len(members) > MOST_ARRAYS:
        raise ArrayFileError(f"{len(members)} arrays, at most {MOST_ARRAYS} are read")
    if sum(info.file_size for info in members) > most_bytes:
        raise ArrayFileError(f"too large: at most {most_bytes / 1e6:g} MB of arrays are read")
    found = {}
    for info in members:
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ArrayFileError("packed in a way that numpy does not use")
        with archive.open(info) as member:
            found[info.filename.removesuffix(".npy")] = _array(member, info.file_size, most_bytes)
    return found


def _array(file: IO[bytes], size: int, most_bytes: int) -> NDArray[Any]:
    """One array whose header and numbers fill `size` bytes."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(file, max_header_size=_LONGEST_HEADER)
    elif version == (2, 0):
        header = np.lib.format.read_array_header_2_0(file, max_header_size=_LONGEST_HEADER)
    else:
        raise ArrayFileError("an array in an unknown version of numpy's format")
    shape, fortran, dtype = header
    if dtype.hasobject:
        raise ArrayFileError("an array of objects, which is never read")
    if dtype.kind not in _KINDS or dtype.fields is not None or len(shape) > _MOST_AXES:
        raise ArrayFileError(f"an array of {str(dtype)[:40]}, {len(shape)} axes")
    if any(type(n) is not int or n < 0 for n in shape):
        raise ArrayFileError("an array of an impossible shape")
    count = math.prod(shape)
    wanted, there = count * dtype.itemsize, size - file.tell()
    if wanted > most_bytes:
        raise ArrayFileError(f"too large: at most {most_bytes / 1e6:g} MB of arrays are read")
    if wanted != there:
        raise ArrayFileError(f"an array of {wanted} bytes of which {there} are there")
    flat = np.empty(count, dtype)
    place: Any = flat.view(np.uint8) if wanted else b""
    done = 0
    while done < wanted:
        piece = file.read(min(_PIECE, wanted - done))
        if not piece:
            raise ArrayFileError("cut short")
        place[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
        done += len(piece)
    return flat.reshape(shape, order="F" if fortran else "C")
