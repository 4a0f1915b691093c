"""Opening files that strangers name: regular files only, of a size that is asked about first.

A name may stand for a device that never ends or a pipe that nobody writes to; both would hold a
program for ever. Links are followed, but only to a regular file.
"""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

from head.errors import PosetalkError

_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_PIECE = 16 << 20
_KINDS = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)


class FileRefusedError(PosetalkError, OSError):
    """A name that is not opened: no regular file, or one that is too large; one line."""


def open_regular(path: str | Path, most_bytes: int | None = None) -> BufferedReader:
    """Open a regular file to read bytes; it never waits.

    Args:
        path: the file, or a link to it.
        most_bytes: the largest size that is opened; None: any.

    Raises:
        FileRefusedError: a folder, device, pipe or socket, or a larger file.
        OSError: there is none, or it may not be read.
    """
    _check(path, os.stat(path), most_bytes)  # before opening: that alone can move some devices
    descriptor = os.open(path, _FLAGS)
    try:
        _check(path, os.fstat(descriptor), most_bytes)  # and after: the name may have been changed
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | Path, most_bytes: int) -> bytes:
    """The contents of a regular file of at most `most_bytes`.

    Raises:
        OSError: as `open_regular`.
    """
    with open_regular(path, most_bytes) as file:
        pieces: list[bytes] = []
        left = most_bytes + 1  # some files of the system have no size: it is read that tells
        # In pieces, as a read of so many bytes takes the memory for them first.
        while left and (piece := file.read(min(left, _PIECE))):
            pieces.append(piece)
            left -= len(piece)
    if not left:
        raise _too_large(path, most_bytes)
    return b"".join(pieces)


def _check(path: str | Path, status: os.stat_result, most_bytes: int | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for test, name in _KINDS if test(status.st_mode)), "special file")
        raise FileRefusedError(f"{path} is a {kind}, not a regular file")
    if most_bytes is not None and status.st_size > most_bytes:
        raise _too_large(path, most_bytes)


def _too_large(path: str | Path, most_bytes: int) -> FileRefusedError:
    return FileRefusedError(f"{path} is too large: at most {most_bytes / 1e6:g} MB are read")
