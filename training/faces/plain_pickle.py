"""Pickles that hold plain data and numpy arrays, read without constructing anything else.

The released dataset stores every value as a pickle, and `pickle.loads` runs whatever code a pickle
names.  Here a pickle may name numpy's array constructors only, and even those are not called:
stand-ins take their arguments, which are checked, and the array is made from its bytes.
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

import numpy as np

MOST_BYTES = 64 << 20
"""A value larger than this is not a clip of 4 seconds."""
_KINDS = "fiub"


class PickleError(ValueError):
    """A value that is not plain data; the message is one line."""


def loads(data: bytes) -> Any:
    """The dicts, lists, numbers, texts, bytes and numeric arrays in a pickle.

    Raises:
        PickleError: it names anything else, is cut off, or is too large.
    """
    if len(data) > MOST_BYTES:
        raise PickleError(f"a value of {len(data)} bytes; {MOST_BYTES} are the most")
    try:
        return _finished(_Reader(io.BytesIO(data)).load(), depth=0)
    except PickleError:
        raise
    except Exception as error:  # whatever a damaged pickle makes the interpreter of it stumble on
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PickleError(f"not a readable pickle ({reason[:120]})") from None


def dumps(value: Any) -> bytes:
    """`value`, of the kinds that `loads` reads, as a pickle that numpy 1 and 2 both read."""
    data = pickle.dumps(value, protocol=3)
    # numpy 2 says where its constructor lies now; numpy 1 knows the old place only, 2 knows both.
    return data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


class _Array:
    """An array to be: what `_reconstruct` returns, until BUILD brings its shape and bytes."""

    __slots__ = ("value",)

    def __setstate__(self, state: Any) -> None:
        _version, shape, dtype, fortran, raw = state
        self.value = _array(raw, dtype, shape, "F" if fortran is True else "C")


class _Dtype:
    """A dtype to be; BUILD brings its byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any) -> None:
        self.code, self.order = str(code), "="

    def __setstate__(self, state: Any) -> None:
        self.order = {"<": "<", ">": ">", "|": "|", "=": "="}[state[1]]
        if any(part is not None for part in state[2:5]):
            raise PickleError("an array with fields")

    def made(self) -> np.dtype[Any]:
        """The dtype, if its numbers are plain."""
        code = self.code.lstrip("<>|=")
        if len(code) > 3 or code[:1] not in _KINDS or not code[1:].isdigit():
            raise PickleError(f"an array of {self.code[:20]!r}")
        return np.dtype(self.order.replace("|", "=") + code)


class _Call:
    """A stand-in for one constructor. It has no dict, so a pickle cannot change it."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *arguments: Any) -> Any:
        if self._name == "dtype":
            return _Dtype(arguments[0])
        if self._name == "_reconstruct":
            return _Array()
        if self._name == "_frombuffer":
            raw, dtype, shape, order = arguments
            made = _Array()
            made.value = _array(raw, dtype, shape, order)
            return made
        if self._name == "scalar":
            return _array(arguments[1], arguments[0], (), "C").item()
        if self._name == "encode":
            text, encoding = arguments
            if encoding != "latin1" or not isinstance(text, str):
                raise PickleError("an encoding other than latin1")
            return text.encode("latin1")
        if self._name == "bytes" and not arguments:
            return b""
        raise PickleError(f"a call of {self._name}")


_KNOWN = {
    **{
        (f"numpy.{core}.multiarray", name): name
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    },
    ("numpy.core.numeric", "_frombuffer"): "_frombuffer",
    ("numpy._core.numeric", "_frombuffer"): "_frombuffer",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",  # this and `bytes`: how protocols 0 to 2 write bytes
    ("__builtin__", "bytes"): "bytes",
    ("builtins", "bytes"): "bytes",
}


# The interpreter in Python, not the one in C: a crafted index makes the latter reserve gigabytes.
class _Reader(pickle._Unpickler):  # type: ignore[misc,name-defined]
    """Resolves every name to a stand-in."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _Call(_KNOWN[module, name])
        except (KeyError, TypeError):
            raise PickleError(f"it names {str(module)[:40]}.{str(name)[:40]}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise PickleError("it refers to something outside")


def _array(raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray[Any, Any]:
    if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes | bytearray):
        raise PickleError("an array that is not of numbers")
    kind = dtype.made()
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise PickleError("an array without a shape")
    if len(shape) > 8 or math.prod(shape) * kind.itemsize != len(raw) or order not in ("C", "F"):
        raise PickleError("an array whose bytes do not fill its shape")
    return np.frombuffer(bytes(raw), kind).reshape(shape, order=order)


def _finished(value: Any, depth: int) -> Any:
    """`value` with every stand-in replaced by its array."""
    if depth > 8:
        raise PickleError("it is nested too deeply")
    if isinstance(value, _Array):
        if not hasattr(value, "value"):
            raise PickleError("an array without values")
        return value.value
    if isinstance(value, dict):
        return {_finished(k, depth + 1): _finished(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_finished(part, depth + 1) for part in value)
    if value is None or isinstance(value, bool | int | float | str | bytes | bytearray):
        return value
    raise PickleError(f"it holds a {type(value).__name__.lstrip('_')}")
