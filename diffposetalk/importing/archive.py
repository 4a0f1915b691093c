"""Torch's checkpoint archives from outside: a zip file without compression, whole and bounded.

What a member may claim is bounded by the size of the file, as compressed members are refused and
members may not overlap. Needs no torch.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from head.errors import PosetalkError
from head.files.regular_file import open_regular

LARGEST_FILE = 8 << 30
"""Bytes; a released checkpoint has about half a gigabyte."""
LARGEST_PICKLE = 2 << 20
"""Bytes of the description; a checkpoint's own has about 0.1 MB, the numbers lie beside it."""
MOST_MEMBERS = 20_000
_PIECE = 1 << 20


class CheckpointError(PosetalkError, ValueError):
    """A file that cannot be read as a checkpoint; the message is one line."""


def check_archive(path: Path) -> list[int]:
    """The sizes in bytes of the storages in a file written by `torch.save`, if it is sound.

    Raises:
        CheckpointError: not such a file, or damaged; one line.
        OSError: it cannot be opened, or is no regular file.
    """
    with open_regular(path) as file:
        file.seek(0, 2)
        size = file.tell()
        file.seek(0)
        if size > LARGEST_FILE:
            raise CheckpointError(f"{path} has {size >> 30} GB: no checkpoint is so large")
        magic = file.read(4)
        if magic[:1] == b"\x80":
            raise CheckpointError(
                f"{path} has the format of PyTorch before 1.6, which cannot be read safely: load "
                "it in PyTorch where you trust it, and torch.save it again"
            )
        if magic[:2] != b"PK":
            raise CheckpointError(f"{path} is no checkpoint of PyTorch (no zip file)")
        try:
            with zipfile.ZipFile(file) as archive:
                return _members(archive, path, size)
        except CheckpointError:
            raise
        except (zipfile.BadZipFile, ValueError, EOFError, RuntimeError, NotImplementedError):
            raise CheckpointError(f"{path} is cut short or damaged: download it again") from None


def _members(archive: zipfile.ZipFile, path: Path, size: int) -> list[int]:
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise CheckpointError(f"{path} has {len(members)} members, more than any checkpoint")
    packed = any(info.compress_type != zipfile.ZIP_STORED for info in members)
    if packed or any(info.flag_bits & 1 for info in members):
        raise CheckpointError(f"{path} is a compressed zip file, which torch.save does not write")
    if sum(info.file_size for info in members) > size:
        raise CheckpointError(f"{path}: its members claim more bytes than the file has")
    found = [info for info in members if info.filename.endswith("/data.pkl")]
    if len(found) != 1 or found[0].filename.count("/") != 1:
        raise CheckpointError(f"{path} is a zip file, but not one that torch.save wrote")
    if found[0].file_size > LARGEST_PICKLE:
        raise CheckpointError(f"{path}: its description is too large for a checkpoint")
    root = found[0].filename.partition("/")[0]
    names = [info.filename for info in members]
    if len(set(names)) != len(names):
        raise CheckpointError(f"{path} has two members of one name: it is damaged")
    for info in members:
        order = _checked(archive, info, path)
        if info.filename == f"{root}/byteorder" and order.strip() != b"little":
            raise CheckpointError(f"{path} was written on a big-endian machine: save it on another")
    return [info.file_size for info in members if info.filename.startswith(f"{root}/data/")]


def _checked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> bytes:
    """Read a member to its end, which compares its checksum; the beginning of it."""
    try:
        with archive.open(info) as member:
            first = member.read(_PIECE)
            while member.read(_PIECE):
                pass
    except (zipfile.BadZipFile, EOFError, ValueError, RuntimeError, zlib.error):
        name = info.filename[:80]
        raise CheckpointError(f"{path}: {name} is damaged: download it again") from None
    return first
