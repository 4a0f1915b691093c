"""Pickles read as data: no class of a file is imported, no function of it is called.

What a pickle names becomes an inert `Record`; numpy arrays, scipy's sparse matrices and chumpy's
arrays are then decoded from what such records hold. So neither SciPy nor chumpy (nor the Python 2
that wrote the file) is needed. Anything else that a file names is refused.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from collections import OrderedDict
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from head.model import HeadError

LARGEST_BYTES: Final = 2 << 30
_DTYPE: Final = re.compile(r"[<>|=]?([fiub][1248])")
_SPARSE: Final = re.compile(r"scipy\.sparse(\._?\w+)?:(csc|csr|coo)_(matrix|array)")
_MOST_AXES: Final = 4
_DEEPEST: Final = 8


class Record:
    """An object of a pickle that was not made: the name of its class and what it was given."""

    origin = ""

    arguments: tuple[Any, ...] = ()
    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments


def _encode(text: Any, coding: Any = "latin1", *_: Any) -> bytes:
    """`_codecs.encode` as pickles use it: bytes spelt as text."""
    if not isinstance(text, str) or coding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("bytes in an unknown spelling")
    return text.encode("latin1")


def _reconstructor(kind: Any, *_: Any) -> Record:
    """`copyreg._reconstructor`, for records only."""
    if not (isinstance(kind, type) and issubclass(kind, Record)):
        raise pickle.UnpicklingError("an object of an unknown kind")
    return kind()


def _record(origin: str) -> type[Record]:
    return type("Record", (Record,), {"origin": origin})


_KNOWN: Final[dict[str, Any]] = {
    "_codecs:encode": _encode,
    "copy_reg:_reconstructor": _reconstructor,
    "copyreg:_reconstructor": _reconstructor,
    "collections:OrderedDict": OrderedDict,
    "collections:defaultdict": _record("defaultdict"),
    "numpy:dtype": _record("dtype"),
    "numpy:ndarray": _record("ndarray"),
}
for _module in ("numpy.core", "numpy._core"):  # its name before and since numpy 2
    _KNOWN[f"{_module}.multiarray:_reconstruct"] = _record("array")
    _KNOWN[f"{_module}.multiarray:scalar"] = _record("scalar")
    _KNOWN[f"{_module}.numeric:_frombuffer"] = _record("buffer")
for _module in ("__builtin__", "builtins"):
    for _name in (
        "object", "set", "frozenset", "list", "dict", "tuple", "slice", "int", "long", "float",
        "bool", "str", "unicode", "bytearray", "complex",
    ):  # fmt: skip
        _KNOWN[f"{_module}:{_name}"] = _record(_name)
_OPCODES: Final = (  # protocols 0 to 4; not: persistent ids, extensions, buffers out of band
    pickle.MARK, pickle.STOP, pickle.POP, pickle.POP_MARK, pickle.DUP, pickle.FLOAT, pickle.INT,
    pickle.BININT, pickle.BININT1, pickle.LONG, pickle.BININT2, pickle.NONE, pickle.REDUCE,
    pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.UNICODE, pickle.BINUNICODE,
    pickle.APPEND, pickle.BUILD, pickle.GLOBAL, pickle.DICT, pickle.EMPTY_DICT, pickle.APPENDS,
    pickle.GET, pickle.BINGET, pickle.LONG_BINGET, pickle.LIST, pickle.EMPTY_LIST, pickle.PUT,
    pickle.BINPUT, pickle.LONG_BINPUT, pickle.SETITEM, pickle.TUPLE, pickle.EMPTY_TUPLE,
    pickle.SETITEMS, pickle.BINFLOAT, pickle.PROTO, pickle.NEWOBJ, pickle.TUPLE1, pickle.TUPLE2,
    pickle.TUPLE3, pickle.NEWTRUE, pickle.NEWFALSE, pickle.LONG1, pickle.LONG4, pickle.BINBYTES,
    pickle.SHORT_BINBYTES, pickle.SHORT_BINUNICODE, pickle.BINUNICODE8, pickle.BINBYTES8,
    pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET, pickle.STACK_GLOBAL, pickle.MEMOIZE,
    pickle.FRAME,
)  # fmt: skip


_DISPATCH: Final[dict[int, Any]] = {
    code[0]: pickle._Unpickler.dispatch[code[0]]  # type: ignore[attr-defined]
    for code in _OPCODES
}


class _Reader(pickle._Unpickler):  # type: ignore[misc,name-defined]
    """Python's own reader in Python: its memo is a dict, so no index can claim memory."""

    stack: list[Any]
    read: Any

    def load_reduce(self) -> None:
        """Call only what `find_class` gave."""
        arguments, call = self.stack.pop(), self.stack[-1]
        kind = isinstance(call, type) and issubclass(call, Record | OrderedDict)
        if not kind and call not in (_encode, _reconstructor):
            raise pickle.UnpicklingError("a call of something that is no constructor")
        self.stack[-1] = call(*arguments)

    def load_build(self) -> None:
        """Give a state to records only: no attribute of anything real is set."""
        state = self.stack.pop()
        if isinstance(self.stack[-1], Record):
            self.stack[-1].state = state
        elif not isinstance(self.stack[-1], OrderedDict):
            raise pickle.UnpicklingError("a state for something that takes none")

    def load_bytes(self) -> None:
        """Protocol 5's mutable bytes, of which only as many are made as the file holds."""
        size = int.from_bytes(self.read(8), "little")
        data = self.read(min(size, LARGEST_BYTES))
        if len(data) != size:
            raise EOFError
        self.stack.append(bytes(data))

    dispatch: ClassVar[dict[int, Any]] = _DISPATCH | {
        pickle.BYTEARRAY8[0]: load_bytes,
        pickle.REDUCE[0]: load_reduce,
        pickle.BUILD[0]: load_build,
    }

    def find_class(self, module: str, name: str) -> Any:
        key = f"{module}:{name}"
        if key in _KNOWN:
            return _KNOWN[key]
        if _SPARSE.fullmatch(key) or module.partition(".")[0] == "chumpy":
            return _record(key)
        raise _RefusedError(f"{module}.{name}"[:80])


class _RefusedError(pickle.UnpicklingError):
    """The file names something that no head needs."""


def read_pickle(data: bytes, source: str) -> Any:
    """What a pickle holds: plain values, and `Record`s for the rest.

    Python 2's strings come as text (each byte one character).

    Raises:
        HeadError: the file is cut short, no pickle, or asks for code; one line.
    """
    if len(data) > LARGEST_BYTES:
        raise HeadError(f"{source} is larger than any head: {len(data) / 1e9:.1f} GB")
    try:
        return _Reader(io.BytesIO(data), encoding="latin1").load()
    except _RefusedError as error:
        raise HeadError(
            f"{source} asks for {error}, which no head needs: it was not run, and not imported"
        ) from None
    except EOFError:
        raise HeadError(f"{source} is cut short; copy or download it again") from None
    except Exception as error:  # a pickle is a program: broken ones fail in any way
        what = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
        raise HeadError(f"{source} is no readable pickle ({what}); download it again") from None


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
    if _SPARSE.fullmatch(origin):
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
