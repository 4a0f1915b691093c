"""Arrays of numbers out of the records of a pickle: numpy's, scipy's sparse ones and chumpy's.

Neither SciPy nor chumpy, nor the Python 2 that wrote the file, is needed.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from head.importing.unpickle import SPARSE, Record
from head.model import HeadError

_DTYPE: Final = re.compile(r"[<>|=]?([fiub][1248])")
_MOST_AXES: Final = 4
_DEEPEST: Final = 8


def to_array(value: Any, name: str, depth: int = 0) -> NDArray[Any]:
    """The numbers in `value`: an array, a sparse matrix (made dense), chumpy's or plain lists.

    Raises:
        HeadError: it holds something else.
    """
    if depth > _DEEPEST:
        raise HeadError(f"{name} is nested too deeply")
    origin = value.origin if isinstance(value, Record) else ""
    if origin == "array" and isinstance(value.state, tuple) and len(value.state) in (4, 5):
        shape, dtype, fortran, data = value.state[-4:]
        return _numbers(data, dtype, shape, "F" if fortran else "C", name)
    if origin == "buffer" and len(value.arguments) == 4:
        data, dtype, shape, order = value.arguments
        return _numbers(data, dtype, shape, "F" if order == "F" else "C", name)
    if origin == "scalar" and len(value.arguments) == 2:
        return _numbers(value.arguments[1], value.arguments[0], (), "C", name)
    if SPARSE.fullmatch(origin):
        return _dense(value, name, depth)
    if origin.startswith("chumpy") and isinstance(value.state, dict):
        return _chumpy(value, name, depth)
    if isinstance(value, int | float | list | tuple):
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.asarray(None)
        if array.dtype.kind in "fiub":
            return array
    raise HeadError(f"{name} is no array of numbers ({origin or type(value).__name__})")


def _chumpy(value: Record, name: str, depth: int) -> NDArray[Any]:
    """Chumpy's plain array keeps its numbers in `x`; a selection names those of another one."""
    state = value.state
    if "x" in state:
        return to_array(state["x"], name, depth + 1)
    if value.origin.endswith(":Select") and {"a", "idxs"} <= state.keys():
        whole = to_array(state["a"], name, depth + 1).ravel()
        index = to_array(state["idxs"], name, depth + 1)
        if index.dtype.kind not in "iu" or (index.size and not index.max() < len(whole)):
            raise HeadError(f"{name}: a selection of numbers that are not there")
        picked = whole[index.astype(np.int64)]
        return picked.reshape(_sizes(state.get("preferred_shape", picked.shape), name))
    raise HeadError(f"{name} is a chumpy formula ({value.origin.partition(':')[2]}), not numbers")


def _dense(value: Record, name: str, depth: int) -> NDArray[Any]:
    state = value.state
    if not isinstance(state, dict):
        raise HeadError(f"{name} is a sparse matrix without contents")
    shape = _sizes(state.get("_shape", state.get("shape")), name)
    if len(shape) != 2 or math.prod(shape) > 1e8:
        raise HeadError(f"{name} is a sparse matrix of a size that no head has")
    parts = {
        key: to_array(part, name, depth + 1)
        for key, part in state.items()
        if key in ("data", "indices", "indptr", "row", "col")
    }
    if "coords" in state and len(state["coords"]) == 2:
        parts["row"], parts["col"] = (to_array(c, name, depth + 1) for c in state["coords"])
    out = np.zeros(shape)
    try:
        if "indptr" in parts:
            major = np.repeat(np.arange(len(parts["indptr"]) - 1), np.diff(parts["indptr"]))
            minor = parts["indices"]
            csc = ":csc" in value.origin
            row, column = (minor, major) if csc else (major, minor)
        else:
            row, column = parts["row"], parts["col"]
        if min(row.min(initial=0), column.min(initial=0)) < 0:
            raise IndexError
        np.add.at(out, (row, column), parts["data"])
    except (KeyError, IndexError, ValueError, TypeError):
        raise HeadError(f"{name} is a sparse matrix that does not fit together") from None
    return out


def _numbers(data: Any, dtype: Any, shape: Any, order: str, name: str) -> NDArray[Any]:
    kind = _kind(dtype, name)
    sizes = _sizes(shape, name)
    if isinstance(data, str):  # Python 2's bytes
        try:
            data = data.encode("latin1")
        except UnicodeEncodeError:
            data = None
    if not isinstance(data, bytes) or len(data) != math.prod(sizes) * kind.itemsize:
        raise HeadError(f"{name}: the array's bytes do not fit its shape {sizes}")
    flat = np.frombuffer(data, dtype=kind)
    return flat.reshape(sizes, order="F" if order == "F" else "C")


def _kind(dtype: Any, name: str) -> np.dtype[Any]:
    arguments = dtype.arguments if isinstance(dtype, Record) and dtype.origin == "dtype" else ()
    found = _DTYPE.fullmatch(arguments[0]) if arguments and isinstance(arguments[0], str) else None
    if found is None:
        what = str(arguments[0])[:20] if arguments else "unknown"
        raise HeadError(f"{name} holds no plain numbers (kind {what!r})")
    state = dtype.state
    sign = state[1] if isinstance(state, tuple) and len(state) > 1 else "<"
    try:
        return np.dtype(("<" if sign not in ("<", ">") else sign) + found[1])
    except TypeError:
        raise HeadError(f"{name} holds no plain numbers (kind {found[1]!r})") from None


def _sizes(shape: Any, name: str) -> tuple[int, ...]:
    if (
        not isinstance(shape, tuple)
        or len(shape) > _MOST_AXES
        or not all(isinstance(size, int) and 0 <= size < 1 << 31 for size in shape)
    ):
        raise HeadError(f"{name}: an array of an impossible shape")
    return shape
