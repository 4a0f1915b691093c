"""Pickles written opcode by opcode: those of Python 2, with chumpy and SciPy inside, and bombs."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np


class Raw:
    """Opcodes that are already there."""

    def __init__(self, code: bytes) -> None:
        self.code = code


class Chumpy:
    """An array that is pickled as `chumpy.ch.Ch`."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array


class Sparse:
    """An array that is pickled as `scipy.sparse.csc.csc_matrix`."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array


def text(value: str) -> bytes:
    """A Python 2 `str`."""
    data = value.encode("latin1")
    if len(data) < 256:
        return b"U" + bytes([len(data)]) + data
    return b"T" + struct.pack("<i", len(data)) + data


def reference(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def code(value: Any) -> bytes:
    """Opcodes of a value (protocol 2)."""
    if isinstance(value, Raw):
        return value.code
    if isinstance(value, Chumpy):
        dirty = Raw(reference("__builtin__", "set") + b"]\x85R")
        state = {"x": value.array, "_dirty_vars": dirty, "_itr": None, "_depends_on_deps": {}}
        return _object("chumpy.ch", "Ch") + code(state) + b"b"
    if isinstance(value, Sparse):
        columns = [np.flatnonzero(c) for c in value.array.T]
        state = {
            "_shape": tuple(int(n) for n in value.array.shape),
            "maxprint": 50,
            "indices": np.concatenate(columns).astype(np.int32),
            "indptr": np.cumsum([0, *map(len, columns)]).astype(np.int32),
            "data": np.concatenate([value.array[rows, k] for k, rows in enumerate(columns)]),
        }
        return _object("scipy.sparse.csc", "csc_matrix") + code(state) + b"b"
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bool) or value is None:
        return {True: b"\x88", False: b"\x89", None: b"N"}[value]
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, tuple):
        return b"(" + b"".join(code(item) for item in value) + b"t"
    if isinstance(value, dict):
        items = b"".join(code(k) + code(v) for k, v in value.items())
        return b"}(" + items + b"u"
    raise TypeError(type(value))


def _object(module: str, name: str) -> bytes:
    made = reference(module, name) + reference("__builtin__", "object") + b"N\x87R"
    return reference("copy_reg", "_reconstructor") + made


def _array(value: np.ndarray) -> bytes:
    kind = value.dtype.str[1:]
    dtype = (
        reference("numpy", "dtype")
        + code((kind, 0, 1))
        + b"R"
        + code((3, "<", None, None, None, -1, -1, 0))
        + b"b"
    )
    fortran = value.flags.f_contiguous and not value.flags.c_contiguous
    data = value.tobytes("F" if fortran else "C")
    empty = reference("numpy", "ndarray") + code((0,)) + code("b")
    made = reference("numpy.core.multiarray", "_reconstruct") + b"(" + empty + b"tR"
    sizes = tuple(int(n) for n in value.shape)
    state = (1, sizes, Raw(dtype), bool(fortran), data.decode("latin1"))
    return made + code(state) + b"b"


def nested_tuples(times: int) -> bytes:
    """A tuple that holds a tuple twice, which holds one twice ..."""
    return b")q\x00" + b"".join(b"h" + bytes([k]) + b"\x86q" + bytes([k + 1]) for k in range(times))


def nested_lists(width: int, times: int) -> bytes:
    """A list that holds a list `width` times, which ..."""
    data = b"]K\x01aq\x00"
    for k in range(times):
        again = (b"h" + bytes([k])) * (width - 1)
        data = b"](" + data + again + b"eq" + bytes([k + 1])
    return data
