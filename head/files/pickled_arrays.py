"""Numbers out of a pickle's records: numpy's arrays, SciPy's sparse matrices, chumpy's arrays.

Neither SciPy nor chumpy, nor the Python 2 that wrote the file, is needed. An array is a view of
the bytes in the file; what has to be made is measured first.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from head.files.pickle_machine import SPARSE, PickleError, Record

_DTYPE: Final = re.compile(r"[<>|=]?([fiub][1248])")
_ARRAY: Final = re.compile(r"numpy\._?core\.multiarray:_reconstruct|numpy:ndarray")
_SCALAR: Final = re.compile(r"numpy\._?core\.multiarray:scalar")
_BUFFER: Final = re.compile(r"numpy\._?core\.numeric:_frombuffer")
_MOST_AXES: Final = 8
_DEEPEST: Final = 8
MOST_MADE: Final = 8_000_000
"""Numbers in a sparse matrix made dense, or picked from another array."""
MOST_IN_LISTS: Final = 1_000_000
"""Numbers in nested lists, each counted as often as it is referred to."""
MOST_VALUES: Final = 100_000
"""Values of `plain`, likewise."""


def to_array(value: Any, name: str, depth: int = 0) -> NDArray[Any]:
    """The numbers in `value`: an array, a sparse matrix (made dense), chumpy's or plain lists.

    Raises:
        PickleError: it holds something else, or more than there is room for; begins with `name`.
    """
    if depth > _DEEPEST:
        raise PickleError(f"{name} is nested too deeply")
    if isinstance(value, Record):
        return _from_record(value, name, depth)
    if isinstance(value, int | float | list | tuple):
        _count(value, name)
        try:
            array = np.asarray(value)
        except (ValueError, OverflowError):
            array = np.asarray(None)
        if array.dtype.kind in "fiub":
            return array
    raise PickleError(f"{name} is no array of numbers ({type(value).__name__})")


def plain(value: Any) -> Any:
    """`value` with its arrays made: dictionaries, lists, numbers, texts, bytes and arrays.

    Raises:
        PickleError: it holds anything else, is nested too deeply, or repeats itself without end.
    """
    return _Plain().made(value, 0)


class _Plain:
    """Counts what it makes: a value that refers to itself many times grows by each time."""

    def __init__(self) -> None:
        self.left = MOST_VALUES

    def made(self, value: Any, depth: int) -> Any:
        self.left -= 1
        if depth > _DEEPEST:
            raise PickleError("it is nested too deeply")
        if self.left < 0:
            raise PickleError(f"it holds more than {MOST_VALUES} values")
        if isinstance(value, Record):
            array = _from_numpy(value, "it")
            if array is None:
                raise PickleError(f"it holds a {value.origin.partition(':')[2][:40]}")
            return array.item() if _SCALAR.fullmatch(value.origin) else array
        if isinstance(value, dict):
            return {key: self.made(part, depth + 1) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.made(part, depth + 1) for part in value)
        if value is None or isinstance(value, bool | int | float | str | bytes):
            return value
        raise PickleError(f"it holds a {type(value).__name__.lstrip('_')}")


def _from_record(value: Record, name: str, depth: int) -> NDArray[Any]:
    array = _from_numpy(value, name)
    if array is not None:
        return array
    if SPARSE.fullmatch(value.origin):
        return _dense(value, name, depth)
    if value.origin.startswith("chumpy") and isinstance(value.state, dict):
        return _chumpy(value, name, depth)
    raise PickleError(f"{name} is no array of numbers ({value.origin[:60]})")


def _from_numpy(value: Record, name: str) -> NDArray[Any] | None:
    """numpy's own arrays and numbers, as views of the file's bytes; None if it is neither."""
    origin, state, arguments = value.origin, value.state, value.arguments
    if _ARRAY.fullmatch(origin) and isinstance(state, tuple) and len(state) in (4, 5):
        shape, dtype, fortran, data = state[-4:]
        return _numbers(data, dtype, shape, bool(fortran), name)
    if _BUFFER.fullmatch(origin) and len(arguments) == 4:
        data, dtype, shape, order = arguments
        return _numbers(data, dtype, shape, order == "F", name)
    if _SCALAR.fullmatch(origin) and len(arguments) == 2:
        return _numbers(arguments[1], arguments[0], (), False, name)
    return None


def _chumpy(value: Record, name: str, depth: int) -> NDArray[Any]:
    """Chumpy's plain array keeps its numbers in `x`; a selection names those of another one."""
    state = value.state
    if "x" in state:
        return to_array(state["x"], name, depth + 1)
    if value.origin.endswith(":Select") and {"a", "idxs"} <= state.keys():
        whole = to_array(state["a"], name, depth + 1).ravel()
        index = to_array(state["idxs"], name, depth + 1)
        if index.size > MOST_MADE:
            raise PickleError(f"{name} is a selection larger than any head")
        inside = index.dtype.kind in "iu" and (
            not index.size or -len(whole) <= int(index.min()) <= int(index.max()) < len(whole)
        )
        if not inside:
            raise PickleError(f"{name}: a selection of numbers that are not there")
        picked = whole[index.astype(np.int64)]
        shape = _sizes(state.get("preferred_shape", picked.shape), name)
        if math.prod(shape) != picked.size:
            raise PickleError(f"{name}: a selection that does not fill its shape")
        return picked.reshape(shape)
    formula = value.origin.partition(":")[2][:40]
    raise PickleError(f"{name} is a chumpy formula ({formula}), not numbers")


def _dense(value: Record, name: str, depth: int) -> NDArray[Any]:
    state = value.state
    if not isinstance(state, dict):
        raise PickleError(f"{name} is a sparse matrix without contents")
    shape = _sizes(state.get("_shape", state.get("shape")), name)
    if len(shape) != 2 or math.prod(shape) > MOST_MADE:
        raise PickleError(f"{name} is a sparse matrix of a size that no head has")
    parts = {
        key: to_array(part, name, depth + 1)
        for key, part in state.items()
        if key in ("data", "indices", "indptr", "row", "col")
    }
    coordinates = state.get("coords")
    if isinstance(coordinates, tuple | list) and len(coordinates) == 2:
        parts["row"], parts["col"] = (to_array(c, name, depth + 1) for c in coordinates)
    misfit = PickleError(f"{name} is a sparse matrix that does not fit together")
    if "indptr" in parts:
        starts, minor = parts["indptr"], parts.get("indices", np.zeros(0))
        lengths: NDArray[np.int64] = np.zeros(0, np.int64)
        if starts.ndim == 1:
            lengths = starts[1:].astype(np.int64) - starts[:-1].astype(np.int64)
        major_size = shape[1] if ":csc" in value.origin else shape[0]
        if len(lengths) != major_size or (len(lengths) and lengths.min() < 0):
            raise misfit
        if minor.ndim != 1 or int(lengths.sum()) != len(minor):
            raise misfit  # or a few bytes would ask for any number of places
        major = np.repeat(np.arange(major_size), lengths)
        row, column = (minor, major) if ":csc" in value.origin else (major, minor)
    else:
        row, column = parts.get("row", np.zeros(1)), parts.get("col", np.zeros(1))
    data = parts.get("data", np.zeros(0))
    if not (row.shape == column.shape == data.shape) or row.ndim != 1:
        raise misfit
    if row.dtype.kind not in "iu" or column.dtype.kind not in "iu" or row.size > MOST_MADE:
        raise misfit
    for index, size in ((row, shape[0]), (column, shape[1])):
        if index.size and not 0 <= int(index.min()) <= int(index.max()) < size:
            raise misfit
    out = np.zeros(shape)
    np.add.at(out, (row, column), data)
    return out


def _numbers(data: Any, dtype: Any, shape: Any, fortran: bool, name: str) -> NDArray[Any]:
    kind = _kind(dtype, name)
    sizes = _sizes(shape, name)
    if isinstance(data, str) and len(data) <= 16:  # one number as Python 2 wrote it
        try:
            data = data.encode("latin1")
        except UnicodeEncodeError:
            data = None
    if not isinstance(data, bytes) or len(data) != math.prod(sizes) * kind.itemsize:
        raise PickleError(f"{name}: the array's bytes do not fill its shape {sizes}")
    return np.frombuffer(data, dtype=kind).reshape(sizes, order="F" if fortran else "C")


def _kind(dtype: Any, name: str) -> np.dtype[Any]:
    known = isinstance(dtype, Record) and dtype.origin == "numpy:dtype"
    code = dtype.arguments[0] if known and dtype.arguments else None
    found = _DTYPE.fullmatch(code) if isinstance(code, str) else None
    if found is None:
        what = str(code)[:20] if isinstance(code, str) else "unknown"
        raise PickleError(f"{name} holds no plain numbers (kind {what!r})")
    state = dtype.state
    if isinstance(state, tuple) and any(part is not None for part in state[2:5]):
        raise PickleError(f"{name} holds no plain numbers (fields)")
    sign = state[1] if isinstance(state, tuple) and len(state) > 1 else "<"
    try:
        return np.dtype((sign if sign in ("<", ">") else "<") + found[1])
    except TypeError:
        raise PickleError(f"{name} holds no plain numbers (kind {found[1]!r})") from None


def _sizes(shape: Any, name: str) -> tuple[int, ...]:
    if (
        not isinstance(shape, tuple)
        or len(shape) > _MOST_AXES
        or not all(type(size) is int and 0 <= size < 1 << 31 for size in shape)
    ):
        raise PickleError(f"{name}: an array of an impossible shape")
    return shape


def _count(value: Any, name: str) -> None:
    """Refuse lists that hold too much, before numpy spreads them out."""
    waiting, seen = [(value, 0)], 0
    while waiting:
        part, depth = waiting.pop()
        if not isinstance(part, list | tuple):
            continue
        seen += len(part)
        if seen > MOST_IN_LISTS or depth > _DEEPEST:
            raise PickleError(f"{name} is a list larger than any of a head")
        if part and isinstance(part[0], list | tuple):
            waiting.extend((inner, depth + 1) for inner in part)
        elif not all(isinstance(number, bool | int | float) for number in part):
            raise PickleError(f"{name} is no array of numbers (list)")
