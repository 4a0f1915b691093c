"""Where the tensors of a safetensors file lie, without reading them.

The format is a length (8 bytes, little-endian), that much JSON, then the raw tensors; so another
runtime can map a tensor from the file itself.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LONGEST_HEADER = 100_000_000
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

    Raises:
        ValueError: the file is none; the message is one line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, TensorPlace] = {}
        try:
            with path.open("rb") as file:
                (size,) = struct.unpack("<Q", file.read(8))
                if size > LONGEST_HEADER:
                    raise ValueError("its header is too long")
                header = json.loads(file.read(size))
            for name, entry in header.items():
                if name != "__metadata__":
                    first, last = entry["data_offsets"]
                    shape = tuple(int(n) for n in entry["shape"])
                    self._places[name] = TensorPlace(
                        entry["dtype"], shape, 8 + size + int(first), int(last) - int(first)
                    )
        except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} cannot be read as safetensors: {error}") from None

    def __getitem__(self, name: str) -> TensorPlace:
        if name not in self._places:
            raise ValueError(f"{self.path} has no tensor {name}")
        return self._places[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def read(self, name: str) -> NDArray[Any]:
        """A tensor as an array; half precision as float32.

        Raises:
            ValueError: no such tensor, or an element type that numpy does not have.
        """
        place = self[name]
        if place.dtype == "BF16":
            raw = np.fromfile(self.path, np.uint16, place.length // 2, offset=place.offset)
            wide = (raw.astype(np.uint32) << 16).view(np.float32)
            return wide.reshape(place.shape)
        if place.dtype not in _DTYPES:
            raise ValueError(f"{self.path}: {name} has the element type {place.dtype}")
        kind = np.dtype(_DTYPES[place.dtype])
        array = np.fromfile(self.path, kind, place.length // kind.itemsize, offset=place.offset)
        wide_enough = array.astype(np.float32) if kind == np.float16 else array
        return wide_enough.reshape(place.shape)
