"""Torch's own restricted reader on a stranger's checkpoint, in a process with little to lose.

Run by `checkpoint`, which keeps one of these and asks it for one file after the other. Each is read
in a fork with limits of memory and time and without the right to write a file; where there are no
forks, in this process, which is then not used again. The answer goes to standard output: a length,
that much JSON, and the bytes of the storages one after the other.

`torch.load(weights_only=True)` runs nothing that a file names but a list of its own and the
stand-ins below; what it cannot bound (memory that constructors take, hashes of nested keys) the
process does.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

from head.errors import PosetalkError

MOST_VALUES, MOST_TEXT, DEEPEST = 200_000, 1 << 20, 12
LONGEST_PATH = 4096
SPARE_BYTES = 1 << 30
"""Memory beyond twice the file's size that reading may take."""
READY = b"+"
"""What it says once torch is loaded."""


class CheckpointRefused(PosetalkError):
    """Why a file is not read: part of a line."""


class _Path:
    """Stands for a path: its parts, which are never joined here."""

    windows = False

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __new__(cls, *parts: Any) -> _Path:
        made = super().__new__(cls)
        made.parts = parts
        return made


class _WindowsPath(_Path):
    windows = True


def stand_ins() -> list[Any]:
    """What a released checkpoint names beside tensors."""
    names: list[Any] = [argparse.Namespace]
    for module in ("pathlib", "pathlib._local"):  # its name in Python 3.13
        for kind in ("PosixPath", "PurePosixPath"):
            names.append((_Path, f"{module}.{kind}"))
        for kind in ("WindowsPath", "PureWindowsPath"):
            names.append((_WindowsPath, f"{module}.{kind}"))
    return names


class Description:
    """A checkpoint as plain JSON: each value tagged with its kind, tensors by their storage."""

    def __init__(self, sizes: list[int]) -> None:
        self.storages: list[Any] = []
        self._known: dict[int, int] = {}
        self._sizes = sorted(sizes)
        self._values_left, self._text_left = MOST_VALUES, MOST_TEXT

    def of(self, value: Any, depth: int = 0) -> Any:
        """The value for JSON.

        Raises:
            CheckpointRefused: it is not plain, or there is too much of it.
        """
        import torch

        self._values_left -= 1
        if self._values_left < 0 or depth > DEEPEST:
            raise CheckpointRefused("its description is too large for a checkpoint")
        if value is None or isinstance(value, bool | float):
            return value
        if type(value) is int:
            if value.bit_length() > 64:
                raise CheckpointRefused("it holds a number longer than any of ours")
            return value
        if type(value) is str:
            return self._text(value)
        if isinstance(value, torch.Tensor):
            return {"tensor": self._tensor(value)}
        if isinstance(value, dict):
            if not all(type(key) in (str, int) for key in value):
                raise CheckpointRefused("it holds a dictionary whose keys are not plain")
            return {"dict": [[self._key(k), self.of(v, depth + 1)] for k, v in value.items()]}
        if type(value) is argparse.Namespace:
            return {"namespace": self.of(dict(vars(value)), depth + 1)}
        if type(value) in (list, tuple):
            kind = type(value).__name__
            return {kind: [self.of(part, depth + 1) for part in value]}
        if isinstance(value, _Path):
            return {"windows" if value.windows else "path": self._path(value)}
        raise CheckpointRefused(
            f"it holds a {type(value).__name__[:40]}, which no checkpoint needs"
        )

    def _text(self, text: str) -> str:
        self._text_left -= len(text)
        if self._text_left < 0:
            raise CheckpointRefused("its description is too large for a checkpoint")
        return text

    def _key(self, key: Any) -> Any:
        return self._text(key) if type(key) is str else key

    def _path(self, path: _Path) -> list[str]:
        parts = list(path.parts)
        if not all(type(part) is str for part in parts) or sum(map(len, parts)) > LONGEST_PATH:
            raise CheckpointRefused("it holds a path that no system has")
        return [self._text(part) for part in parts]

    def _tensor(self, tensor: Any) -> dict[str, Any]:
        import torch

        if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            raise CheckpointRefused("it holds a tensor that is no plain one")
        storage = tensor.untyped_storage()
        last = tensor.storage_offset() + sum(
            max(size - 1, 0) * stride
            for size, stride in zip(tensor.shape, tensor.stride(), strict=True)
        )
        there = storage.nbytes() // tensor.element_size()
        if tensor.numel() and (last >= there or tensor.numel() > there):
            raise CheckpointRefused("one of its tensors reaches beyond its numbers")
        key = storage._cdata
        if key not in self._known:
            self._check_size(storage.nbytes())
            self._known[key] = len(self.storages)
            self.storages.append(storage)
        return {
            "storage": self._known[key],
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "offset": tensor.storage_offset(),
            "size": list(tensor.shape),
            "stride": list(tensor.stride()),
        }

    def _check_size(self, size: int) -> None:
        """Every storage is a whole member of the archive."""
        if size not in self._sizes:
            raise CheckpointRefused(f"it should have {size} bytes of numbers, not another count")
        self._sizes.remove(size)


def describe(path: str, sizes: list[int]) -> tuple[dict[str, Any], list[Any]]:
    """What a checkpoint holds, and the storages of its tensors (mapped, not read).

    Raises:
        CheckpointRefused: it is not read; part of a line.
    """
    import torch

    warnings.simplefilter("ignore")  # on the protocol of a stranger's pickle
    try:
        with torch.serialization.safe_globals(stand_ins()):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except MemoryError:
        raise CheckpointRefused("it takes more memory than any checkpoint") from None
    except Exception as error:  # a broken pickle breaks in any way
        raise CheckpointRefused(_reason(error)) from None
    if type(content) is not dict:
        raise CheckpointRefused(f"it holds no checkpoint, but a {type(content).__name__[:40]}")
    description = Description(sizes)
    try:
        return description.of(content), description.storages
    except (MemoryError, RecursionError):
        raise CheckpointRefused("its description is too large for a checkpoint") from None


def _reason(error: Exception) -> str:
    text = str(error)
    named = re.search(r"GLOBAL ([\w.]{1,200})", text)
    if named is None and "__main__" not in text:
        named = re.search(r"reduce for unrecognized function <\S+ '?([\w.]{1,80})", text)
    if named is not None:
        return f"it asks for {named[1][:80]!r}, which no checkpoint needs: nothing of it was run"
    if "failed locating file" in text or ("not found" in text and "data/" in text):
        return "it lacks the numbers of a tensor: copy it again"
    if "Unsupported operand" in text:
        return "it was saved with another pickle protocol than 2: save it again as torch does"
    if "out of bounds" in text or "not resizable" in text:
        return "one of its tensors reaches beyond its numbers"
    return "it is cut short or damaged: copy or download it again"


def limit(file_bytes: int, seconds: int) -> None:
    """Bound this process: memory, time, no files to write, no core."""
    try:
        import resource
    except ImportError:  # Windows: the parent's patience is the only limit
        return

    def bound(what: int, value: int) -> None:
        hard = resource.getrlimit(what)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(what, (value, value))
        except (OSError, ValueError):
            return  # some systems do not know it

    bound(resource.RLIMIT_CORE, 0)
    bound(resource.RLIMIT_FSIZE, 0)
    bound(resource.RLIMIT_CPU, seconds)
    try:
        with open("/proc/self/statm") as file:
            mapped = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return
    bound(resource.RLIMIT_AS, mapped + 2 * file_bytes + SPARE_BYTES)


def answer(request: dict[str, Any], out: BinaryIO) -> None:
    """Read one file and write what is in it."""
    try:
        content, storages = describe(request["path"], request["sizes"])
        told = {"content": content, "bytes": [storage.nbytes() for storage in storages]}
    except CheckpointRefused as refusal:
        told, storages = {"refused": str(refusal)}, []
    text = json.dumps(told).encode()
    out.write(len(text).to_bytes(8, "little") + text)
    for storage in storages:
        for piece in _pieces(storage):
            out.write(piece)
    out.flush()


def _pieces(storage: Any) -> Iterator[bytes]:
    start, size, step = storage.data_ptr(), storage.nbytes(), 1 << 20
    for first in range(0, size, step):
        yield ctypes.string_at(start + first, min(step, size - first))


def main() -> None:
    """Answer requests, one a line, until standard input ends."""
    import torch

    torch.set_num_threads(1)
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    for line in sys.stdin:
        request = json.loads(line)
        if not hasattr(os, "fork"):
            answer(request, sys.stdout.buffer)
            continue
        child = os.fork()
        if not child:
            code = 1
            try:
                limit(request["bytes"], request["seconds"])
                answer(request, sys.stdout.buffer)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        if status:
            return  # the parent sees the end of the answer, and begins another process


if __name__ == "__main__":
    main()
