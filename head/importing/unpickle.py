"""Pickles read as data: no class of a file is imported, no function of it is called.

What a pickle names becomes an inert `Record`, from which `records` decodes numpy arrays, scipy's
sparse matrices and chumpy's arrays. Anything else that a file names is refused.
"""

from __future__ import annotations

import io
import pickle
import re
from collections import OrderedDict
from typing import Any, ClassVar, Final

from head.model import HeadError

LARGEST_BYTES: Final = 2 << 30
SPARSE: Final = re.compile(r"scipy\.sparse(\._?\w+)?:(csc|csr|coo)_(matrix|array)")


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
        "object",
        "set",
        "frozenset",
        "list",
        "dict",
        "tuple",
        "slice",
        "int",
        "long",
        "float",
        "bool",
        "str",
        "unicode",
        "bytearray",
        "complex",
    ):
        _KNOWN[f"{_module}:{_name}"] = _record(_name)
_OPCODES: Final = (  # protocols 0 to 4; not: persistent ids, extensions, buffers out of band
    pickle.MARK,
    pickle.STOP,
    pickle.POP,
    pickle.POP_MARK,
    pickle.DUP,
    pickle.FLOAT,
    pickle.INT,
    pickle.BININT,
    pickle.BININT1,
    pickle.LONG,
    pickle.BININT2,
    pickle.NONE,
    pickle.REDUCE,
    pickle.STRING,
    pickle.BINSTRING,
    pickle.SHORT_BINSTRING,
    pickle.UNICODE,
    pickle.BINUNICODE,
    pickle.APPEND,
    pickle.BUILD,
    pickle.GLOBAL,
    pickle.DICT,
    pickle.EMPTY_DICT,
    pickle.APPENDS,
    pickle.GET,
    pickle.BINGET,
    pickle.LONG_BINGET,
    pickle.LIST,
    pickle.EMPTY_LIST,
    pickle.PUT,
    pickle.BINPUT,
    pickle.LONG_BINPUT,
    pickle.SETITEM,
    pickle.TUPLE,
    pickle.EMPTY_TUPLE,
    pickle.SETITEMS,
    pickle.BINFLOAT,
    pickle.PROTO,
    pickle.NEWOBJ,
    pickle.TUPLE1,
    pickle.TUPLE2,
    pickle.TUPLE3,
    pickle.NEWTRUE,
    pickle.NEWFALSE,
    pickle.LONG1,
    pickle.LONG4,
    pickle.BINBYTES,
    pickle.SHORT_BINBYTES,
    pickle.SHORT_BINUNICODE,
    pickle.BINUNICODE8,
    pickle.BINBYTES8,
    pickle.EMPTY_SET,
    pickle.ADDITEMS,
    pickle.FROZENSET,
    pickle.STACK_GLOBAL,
    pickle.MEMOIZE,
    pickle.FRAME,
)


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
        if SPARSE.fullmatch(key) or module.partition(".")[0] == "chumpy":
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
