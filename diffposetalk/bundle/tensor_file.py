"""Where the tensors of a safetensors file lie, without reading them.

The format is a length (8 bytes, little-endian), that much JSON, then the raw tensors; so another
runtime can map a tensor from the file itself.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from head.errors import WrongValue
from head.files.json_file import parse_json
from head.files.regular_file import open_regular

LONGEST_HEADER = 4 << 20
_DTYPES: Mapping[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "BOOL": np.bool_,
}


class TensorPlace(NamedTuple):
    """A tensor in its file: element type as safetensors names it, bytes from the file's start."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    length: int


class TensorFile(Mapping[str, TensorPlace]):
    """The table of a safetensors file.

    Args:
        path: the file.
        most_bytes: the largest size that is opened; None: any.

    Raises:
        ValueError: the file is none, or a tensor does not lie in it; the message is one line.
    """

    def __init__(self, path: Path, most_bytes: int | None = None) -> None:
        self.path = path
        self._places: dict[str, TensorPlace] = {}
        try:
            with open_regular(path, most_bytes) as file:
                whole = os.fstat(file.fileno()).st_size
                (size,) = struct.unpack("<Q", file.read(8))
                if size > min(LONGEST_HEADER, whole - 8):
                    raise WrongValue("its header is too long")
                header = parse_json(file.read(size))
            for name, entry in header.items():
                if name != "__metadata__":
                    self._places[name] = _place(name, entry, 8 + size, whole)
        except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError) as error:
            raise WrongValue(f"{path} cannot be read as safetensors: {error}") from None

    def __getitem__(self, name: str) -> TensorPlace:
        if name not in self._places:
            raise WrongValue(f"{self.path} has no tensor {name}")
        return self._places[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def mapped(self, name: str) -> NDArray[Any]:
        """A tensor as a flat array that stays in the file; integers where numpy lacks the type.

        Raises:
            ValueError: no such tensor.
        """
        place = self[name]
        if place.dtype == "BF16":  # finite where its exponent is not all ones
            kind = np.dtype(np.uint16)
        else:
            kind = np.dtype(_DTYPES.get(place.dtype, np.uint8))
        if place.length == 0:
            return np.zeros(0, kind)
        count = place.length // kind.itemsize
        array = np.memmap(self.path, kind, "r", place.offset, (count,))
        if place.dtype == "BF16":
            return np.where((array & 0x7F80) == 0x7F80, np.nan, np.float32(0.0))
        return array

    def read(self, name: str) -> NDArray[Any]:
        """A tensor as an array; half precision as float32.

        Raises:
            ValueError: no such tensor, or an element type that numpy does not have.
        """
        place = self[name]
        if place.dtype == "BF16" and place.length == 2 * math.prod(place.shape):
            raw = np.fromfile(self.path, np.uint16, place.length // 2, offset=place.offset)
            wide = (raw.astype(np.uint32) << 16).view(np.float32)
            return wide.reshape(place.shape)
        if place.dtype not in _DTYPES:
            raise WrongValue(f"{self.path}: {name} has the element type {place.dtype}")
        kind = np.dtype(_DTYPES[place.dtype])
        if place.length != math.prod(place.shape) * kind.itemsize:
            raise WrongValue(f"{self.path}: {name} does not fill its shape {place.shape}")
        array = np.fromfile(self.path, kind, place.length // kind.itemsize, offset=place.offset)
        wide_enough = array.astype(np.float32) if kind == np.float16 else array
        return wide_enough.reshape(place.shape)


def _place(name: str, entry: Any, start: int, whole: int) -> TensorPlace:
    """A tensor's place, if it lies in the file's `whole` bytes after the header."""
    first, last = entry["data_offsets"]
    shape = entry["shape"]
    numbers = (first, last, *shape)
    if len(shape) > 8 or not all(type(n) is int and 0 <= n <= whole for n in numbers):
        raise WrongValue(f"{name[:80]} has an impossible place or shape")
    if not first <= last <= whole - start or not isinstance(entry["dtype"], str):
        raise WrongValue(f"{name[:80]} lies beyond the file's end")
    return TensorPlace(entry["dtype"], tuple(shape), start + first, last - first)
