"""The stack machine that a pickle is a program for: values on stacks, and a memo.

What it makes is plain values and inert `Record`s; what would be a call becomes a record of it.
`head.files.pickle_reader` has the instructions.
"""

from __future__ import annotations

import codecs
import re
import struct
from dataclasses import dataclass
from typing import Any, Final

from head.errors import PosetalkError

SPARSE: Final = re.compile(r"scipy\.sparse(\.\w+)?:(csc|csr|coo)_(matrix|array)")
_WIDE: Final = re.compile(rb"\\u(?!00)|\\U")
_LONGEST_NUMBER: Final = 64
_LONGEST_LINE: Final = 64 << 20
_LONGEST_WIDE_TEXT: Final = 1 << 20
"""Bytes; longer texts are numpy's numbers, each byte a character below 256."""


class PickleError(PosetalkError, ValueError):
    """A pickle that is not read; the message is part of a line."""


@dataclass(frozen=True)
class PickleLimits:
    """What a pickle may take: bytes of the file and of what it makes, and instructions."""

    most_bytes: int
    most_instructions: int


class Record:
    """An object of a pickle that was not made: the name of its class and what it was given."""

    __slots__ = ("arguments", "origin", "state")

    def __init__(self, origin: str, arguments: tuple[Any, ...] = ()) -> None:
        self.origin = origin
        self.arguments = arguments
        self.state: Any = None


class _Name:
    """A class or function that the pickle mentions; nothing was imported for it."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Machine:
    """The stack, the stacks below it at each mark, and a memo of what is used again."""

    def __init__(self, data: bytes, limits: PickleLimits) -> None:
        self._data = memoryview(data)
        self._whole = data
        self._place = 0
        self._bytes_left = 2 * limits.most_bytes
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    # --- the file ------------------------------------------------------------------------------
    def take(self, count: int) -> bytes:
        """The next bytes."""
        end = self._place + count
        if count < 0 or end > len(self._data):
            raise PickleError("it is cut short")
        self._charge(count)
        found = bytes(self._data[self._place : end])
        self._place = end
        return found

    def line(self) -> bytes:
        """The rest of a line, without its end."""
        end = self._whole.find(b"\n", self._place, self._place + _LONGEST_LINE)
        if end < 0:
            raise PickleError("it is cut short")
        found = self.take(end - self._place)
        self._place += 1
        return found

    def number(self, form: str) -> Any:
        """A number in `struct`'s form."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def _charge(self, count: int) -> None:
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise PickleError("it makes more bytes than it has")

    # --- values --------------------------------------------------------------------------------
    def result(self) -> Any:
        if self.below or len(self.stack) != 1:
            raise PickleError("it ends with other than one value")
        return _kept(self.stack[0])

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def push_bytes(self, form: str) -> None:
        self.push(self.take(self.number(form)))

    def push_latin(self, form: str) -> None:
        self.push(self.take(self.number(form)).decode("latin1"))

    def push_text(self, form: str) -> None:
        data = self.take(self.number(form))
        if len(data) > _LONGEST_WIDE_TEXT and max(data) > 0xC3:
            raise PickleError("a text longer than any name")
        self.push(data.decode("utf-8", "surrogatepass"))

    def push_line_text(self) -> None:
        line = self.line()
        if len(line) > _LONGEST_WIDE_TEXT and _WIDE.search(line):
            raise PickleError("a text longer than any name")
        self.push(line.decode("raw-unicode-escape"))

    def push_quoted(self) -> None:
        line = self.line()
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
            raise PickleError("a text without quotes")
        self.push(codecs.escape_decode(line[1:-1])[0].decode("latin1"))  # type: ignore[attr-defined]

    def push_whole(self) -> None:
        """`I`: a number, or one of the two switches."""
        line = self.line()
        switches = {b"00": False, b"01": True}
        self.push(switches[line] if line in switches else whole(line))

    def push_long(self, form: str) -> None:
        size = self.number(form)
        if not 0 <= size <= _LONGEST_NUMBER:
            raise PickleError("a number longer than any of ours")
        self.push(int.from_bytes(self.take(size), "little", signed=True))

    def push_name(self, module: str, name: str) -> None:
        key = f"{module}:{name}"
        if key not in _KNOWN and not SPARSE.fullmatch(key) and module.split(".")[0] != "chumpy":
            raise PickleError(f"it asks for {key.replace(':', '.')[:80]}, which was not run")
        self.push(_Name(key))

    def name_on_lines(self) -> None:
        self.push_name(self.line().decode(), self.line().decode())

    def name_on_stack(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise PickleError("a name that is no text")
        self.push_name(module, name)

    def recall(self, place: int) -> None:
        self.push(self.memo[place])

    def remember(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def to_mark(self) -> list[Any]:
        found = self.stack
        self.stack = self.below.pop()
        return found

    def pop_some(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise PickleError("it takes more values than it has")
        found = self.stack[-count:]
        del self.stack[-count:]
        return found

    def pop(self) -> None:
        """`0`: drop a value, or a mark."""
        if self.stack:
            self.stack.pop()
        else:
            self.to_mark()

    def extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise PickleError("a list's values for something else")
        target.extend(map(_kept, values))

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(values) % 2:
            raise PickleError("a dictionary's values for something else")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, str | bytes | int | float | None):
                raise PickleError(f"a key that is a {type(key).__name__.lstrip('_').lower()}")
            target[key] = _kept(value)

    def push_list(self) -> None:
        values = self.to_mark()
        self.push([])
        self.extend(values)

    def push_dict(self) -> None:
        values = self.to_mark()
        self.push({})
        self.set_items(values)

    def add_to_set(self) -> None:
        """Sets are records without their values: nobody needs them."""
        self.to_mark()
        if not isinstance(self.stack[-1], Record):
            raise PickleError("a set's values for something else")

    def push_frozen_set(self) -> None:
        self.to_mark()
        self.push(Record("builtins:frozenset"))

    def call(self) -> None:
        """What the pickle would call becomes a record; three calls only make plain values."""
        what, arguments = self.pop_some(2)
        if not isinstance(what, _Name) or type(arguments) is not tuple:
            raise PickleError("a call of something that is no constructor")
        if what.name == "_codecs:encode":
            self.push(self._encoded(*arguments))
        elif what.name in _RECONSTRUCTORS:
            if not arguments or not isinstance(arguments[0], _Name):
                raise PickleError("an object of an unknown kind")
            self.push(Record(arguments[0].name))
        elif what.name == "collections:OrderedDict" and not arguments:
            self.push({})
        elif what.name in _BYTES and not arguments:
            self.push(b"")
        else:
            self.push(Record(what.name, arguments))

    def _encoded(self, text: Any, coding: Any = "latin1", *_: Any) -> bytes:
        """`_codecs.encode` as pickles use it: bytes spelt as text."""
        if not isinstance(text, str) or coding not in ("latin1", "latin-1"):
            raise PickleError("bytes in an unknown spelling")
        self._charge(len(text))
        return text.encode("latin1")

    def build(self) -> None:
        """Give a state to records only; that of an ordered dictionary is dropped."""
        state = _kept(self.stack.pop())
        if isinstance(self.stack[-1], Record):
            if type(state) is tuple and state and type(state[-1]) is str:  # Python 2's bytes
                state = (*state[:-1], self._encoded(state[-1]))
            self.stack[-1].state = state
        elif type(self.stack[-1]) is not dict:
            raise PickleError("a state for something that takes none")


def _kept(value: Any) -> Any:
    """A value that may stay: not the mere name of some code."""
    if isinstance(value, _Name):
        raise PickleError(f"it holds {value.name.replace(':', '.')[:80]}, which was not run")
    return value


def whole(digits: bytes) -> int:
    """The whole number that these digits spell."""
    if len(digits) > 2 * _LONGEST_NUMBER:
        raise PickleError("a number longer than any of ours")
    return int(digits)


_CORES: Final = ("numpy.core", "numpy._core")  # its name before and since numpy 2
_BUILTINS: Final = ("__builtin__", "builtins")
_RECONSTRUCTORS: Final = ("copy_reg:_reconstructor", "copyreg:_reconstructor")
_BYTES: Final = tuple(f"{module}:bytes" for module in _BUILTINS)
_KINDS: Final = (
    "object set frozenset list dict tuple slice int long float bool str unicode bytearray complex"
)
_KNOWN: Final = frozenset(
    [
        "_codecs:encode",
        "collections:OrderedDict",
        "collections:defaultdict",
        "numpy:dtype",
        "numpy:ndarray",
        *_RECONSTRUCTORS,
        *_BYTES,
        *(f"{core}.multiarray:{name}" for core in _CORES for name in ("_reconstruct", "scalar")),
        *(f"{core}.numeric:_frombuffer" for core in _CORES),
        *(f"{module}:{kind}" for module in _BUILTINS for kind in _KINDS.split()),
    ]
)
