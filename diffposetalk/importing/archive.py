"""Torch's checkpoint archives: a description and raw numbers, in a zip file without compression.

Nothing is loaded by torch itself.  What a member may claim is bounded by the size of the file, as
compressed members are refused and members may not overlap.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from diffposetalk.importing.pickles import (
    LARGEST_PICKLE,
    CheckpointError,
    Storage,
    StoredTensor,
    read_pickle,
)

LARGEST_FILE = 8 << 30
"""Bytes; a released checkpoint has about half a gigabyte."""
_KINDS = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}


class Checkpoint(NamedTuple):
    """A checkpoint's outline: plain values, with `StoredTensor`s where tensors were."""

    path: Path
    content: dict[str, Any]


def read_checkpoint(path: str | Path) -> Checkpoint:
    """What a file written by `torch.save` describes; its numbers are left where they are.

    Raises:
        CheckpointError: not such a file, damaged, or it holds more than data; one line.
        OSError: it cannot be opened.
    """
    path = Path(path)
    with _open(path) as archive:
        found = [info for info in archive.infolist() if info.filename.endswith("/data.pkl")]
        if len(found) != 1 or found[0].filename.count("/") != 1:
            raise CheckpointError(f"{path} is a zip file, but not one that torch.save wrote")
        if found[0].file_size > LARGEST_PICKLE:
            raise CheckpointError(f"{path}: its description is too large for a checkpoint")
        content = read_pickle(_read(archive, found[0], path), str(path))
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no checkpoint, but a {type(content).__name__}")
    return Checkpoint(path, content)


def read_tensors(path: Path, tensors: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors that a checkpoint describes, by their names, on the CPU.

    Raises:
        CheckpointError: something that is no tensor, or numbers that are missing or cut short.
    """
    storages: dict[Storage, Tensor] = {}
    read = {}
    with _open(path) as archive:
        root = next(info.filename for info in archive.infolist()).split("/")[0]
        members = {info.filename: info for info in archive.infolist()}
        order = members.get(f"{root}/byteorder")
        if order is not None and _read(archive, order, path).strip() != b"little":
            raise CheckpointError(f"{path} was written on a big-endian machine: save it on another")
        for name, tensor in tensors.items():
            if not isinstance(tensor, StoredTensor) or not isinstance(name, str):
                raise CheckpointError(f"{path}: {str(name)[:80]!r} is no tensor")
            storage = tensor.storage
            if storage not in storages:
                info = members.get(f"{root}/data/{storage.key}")
                if info is None:
                    raise CheckpointError(f"{path} lacks the numbers of {name}: copy it again")
                storages[storage] = _numbers(_read(archive, info, path), storage, name, path)
            read[name] = _view(storages[storage], tensor, name, path)
    return read


def _open(path: Path) -> zipfile.ZipFile:
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise CheckpointError(f"{path} has {size >> 30} GB: no checkpoint is so large")
    with path.open("rb") as file:
        magic = file.read(4)
    if magic[:1] == b"\x80":
        raise CheckpointError(
            f"{path} has the format of PyTorch before 1.6, which cannot be read safely: load it in "
            "PyTorch where you trust it, and torch.save it again"
        )
    if magic[:2] != b"PK":
        raise CheckpointError(f"{path} is no checkpoint of PyTorch (no zip file)")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, EOFError, RuntimeError):
        raise CheckpointError(f"{path} is cut short or damaged: download it again") from None
    members = archive.infolist()
    packed = any(info.compress_type != zipfile.ZIP_STORED for info in members)
    if packed or any(info.flag_bits & 1 for info in members):
        archive.close()
        raise CheckpointError(f"{path} is a compressed zip file, which torch.save does not write")
    if sum(info.file_size for info in members) > size:
        archive.close()
        raise CheckpointError(f"{path}: its members claim more bytes than the file has")
    return archive


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> bytes:
    try:
        return archive.read(info)
    except (zipfile.BadZipFile, EOFError, ValueError, RuntimeError, zlib.error):
        name = info.filename[:80]
        raise CheckpointError(f"{path}: {name} is damaged: download it again") from None


def _numbers(data: bytes, storage: Storage, name: str, path: Path) -> Tensor:
    """A storage's member as a flat tensor."""
    kind = _KINDS.get(storage.kind)
    if kind is None:
        raise CheckpointError(f"{path}: {name} holds {storage.kind[:40]}, not plain numbers")
    if len(data) != storage.count * kind.itemsize:
        raise CheckpointError(
            f"{path}: {name} should have {storage.count * kind.itemsize} bytes, not {len(data)}"
        )
    if not data:
        return torch.empty(0, dtype=kind)
    return torch.frombuffer(bytearray(data), dtype=kind)


def _view(flat: Tensor, tensor: StoredTensor, name: str, path: Path) -> Tensor:
    """The tensor in its storage; one that repeats or passes the storage's end is refused."""
    count = 1
    last = tensor.offset
    for size, stride in zip(tensor.size, tensor.stride, strict=True):
        count *= size
        last += max(size - 1, 0) * stride
    if count > len(flat) or (count and last >= len(flat)):
        raise CheckpointError(f"{path}: {name} reaches beyond its numbers")
    if not count:
        return flat.new_empty(tensor.size)
    return flat.as_strided(tensor.size, tensor.stride, tensor.offset)
