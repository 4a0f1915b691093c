"""A pickle read as a description: no code of a file is run, and no class of it is imported.

A pickle is a program for a small stack machine.  This one knows the instructions that write plain
values, and of the objects a checkpoint names it makes an `argparse.Namespace`, pure paths and
descriptions of tensors.  Anything else ends the reading.  Dictionary keys are numbers and texts
only, so that no nested key can make hashing endless.
"""

from __future__ import annotations

import argparse
import io
import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

LARGEST_PICKLE = 2 << 20
"""Bytes; a checkpoint's own is about 0.1 MB, as the numbers lie beside it."""


class CheckpointError(ValueError):
    """A file that cannot be read as a checkpoint; the message is one line."""


@dataclass(frozen=True)
class Storage:
    """Numbers that lie in a member of the archive: its key, element type ('Float'), and count."""

    key: str
    kind: str
    count: int


@dataclass(frozen=True)
class StoredTensor:
    """A view of a storage: offset and strides in elements."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class _Global:
    """A name that the pickle mentions; nothing was imported for it."""

    name: str


class _Ordered(dict[Any, Any]):
    """Stands for an OrderedDict, whose extra attributes are dropped."""


class _Mark:
    """Where a list of arguments begins on the stack."""


def read_pickle(data: bytes, source: str) -> Any:
    """The value that a pickle describes.

    Args:
        data: the pickle, protocol 2 to 4 as `torch.save` writes.
        source: what to call it in messages.

    Raises:
        CheckpointError: cut short, damaged, too large, or it asks for more than plain values,
            namespaces, paths and tensors.
    """
    if len(data) > LARGEST_PICKLE:
        raise CheckpointError(f"{source}: a description of {len(data) >> 20} MB is none of ours")
    machine = _Machine(data)
    try:
        while (code := machine.take(1)) != pickle.STOP:
            if code not in _INSTRUCTIONS:
                raise CheckpointError(
                    f"its description uses the instruction {code!r}, which no checkpoint needs"
                )
            _INSTRUCTIONS[code](machine)
        (value,) = machine.stack
    except CheckpointError as error:
        raise CheckpointError(f"{source}: {error}") from None
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, AttributeError):
        # Each broken pickle breaks in its own way.
        raise CheckpointError(
            f"{source} is cut short or damaged: copy or download it again"
        ) from None
    return value


class _Machine:
    """The stack machine: values, and a memo of those that are used again."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def take(self, count: int) -> bytes:
        """The next bytes of the pickle."""
        data = self._data.read(min(count, LARGEST_PICKLE))
        if len(data) != count:
            raise ValueError
        return data

    def number(self, form: str) -> Any:
        """A number in `struct`'s form."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def push_number(self, form: str) -> None:
        self.stack.append(self.number(form))

    def push_long(self) -> None:
        self.stack.append(int.from_bytes(self.take(self.number("B")), "little", signed=True))

    def push_text(self, form: str) -> None:
        self.stack.append(self.take(self.number(form)).decode("utf-8", "surrogatepass"))

    def push_name(self) -> None:
        module, name = (self._data.readline().removesuffix(b"\n").decode() for _ in range(2))
        self.stack.append(_Global(f"{module}.{name}"))

    def push_named(self) -> None:
        name, module = self.pop(), self.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise ValueError
        self.stack.append(_Global(f"{module}.{name}"))

    def remember(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    def pop(self) -> Any:
        value = self.stack.pop()
        if isinstance(value, _Mark):
            raise ValueError
        return value

    def pop_to_mark(self) -> list[Any]:
        values = []
        while not isinstance(value := self.stack.pop(), _Mark):
            values.append(value)
        return values[::-1]

    def tuple_of(self, count: int) -> None:
        self.stack.append(tuple(self.pop() for _ in range(count))[::-1])

    def tuple_to_mark(self) -> None:
        self.stack.append(tuple(self.pop_to_mark()))

    def append(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise ValueError
        target.extend(map(_plain, values))

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(values) % 2:
            raise ValueError
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, str | int):
                raise ValueError
            target[key] = _plain(value)

    def call(self) -> None:
        """What the pickle would call, from our own short list."""
        arguments, what = self.pop(), self.pop()
        if not isinstance(what, _Global) or not isinstance(arguments, tuple):
            raise ValueError
        if what.name not in _MAKERS:
            raise _refusal(what)
        self.stack.append(_MAKERS[what.name](*arguments))

    def build(self) -> None:
        """Give an object its attributes: namespaces only; those of a dictionary are dropped."""
        state, target = self.pop(), self.stack[-1]
        if isinstance(target, argparse.Namespace):
            if type(state) is not dict or not all(isinstance(key, str) for key in state):
                raise ValueError
            vars(target).update(state)
        elif not isinstance(target, _Ordered):
            raise ValueError

    def storage(self) -> None:
        """A persistent id, ('storage', type, key, device, count)."""
        tag, kind, key, _, count = self.pop()
        prefix, _, suffix = kind.name.rpartition(".")
        if tag != "storage" or prefix != "torch" or not suffix.endswith("Storage"):
            raise ValueError
        if not isinstance(key, str) or not _is_size(count):
            raise ValueError
        self.stack.append(Storage(key, suffix.removesuffix("Storage"), count))


def _plain(value: Any) -> Any:
    """A value that may be kept: not the name of some code."""
    if isinstance(value, _Global):
        raise _refusal(value)
    return value


def _refusal(what: _Global) -> CheckpointError:
    return CheckpointError(
        f"it asks for {what.name[:80]!r}, which no checkpoint needs: nothing of it was run"
    )


def _tensor(
    storage: Any, offset: Any, size: Any, stride: Any, gradient: Any, hooks: Any, more: Any = None
) -> StoredTensor:
    """`torch._utils._rebuild_tensor_v2`, as a description."""
    fits = isinstance(storage, Storage) and _is_size(offset) and len(size) == len(stride) <= 8
    if not fits or not all(_is_size(number) for number in (*size, *stride)):
        raise ValueError
    return StoredTensor(storage, offset, tuple(size), tuple(stride))


def _parameter(data: Any, gradient: Any, hooks: Any) -> StoredTensor:
    """`torch._utils._rebuild_parameter`: its tensor."""
    if not isinstance(data, StoredTensor):
        raise ValueError
    return data


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 40


def _ordered() -> _Ordered:
    return _Ordered()


def _posix(*parts: str) -> PurePosixPath:
    return PurePosixPath(*parts)


def _windows(*parts: str) -> PureWindowsPath:
    return PureWindowsPath(*parts)


_MAKERS: dict[str, Callable[..., Any]] = {
    "argparse.Namespace": argparse.Namespace,
    "collections.OrderedDict": _ordered,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}
for _module in ("pathlib", "pathlib._local"):  # its name in Python 3.13
    for _kind in ("PosixPath", "PurePosixPath"):
        _MAKERS[f"{_module}.{_kind}"] = _posix
    for _kind in ("WindowsPath", "PureWindowsPath"):
        _MAKERS[f"{_module}.{_kind}"] = _windows


def _constant(make: Callable[[], Any]) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(make())


_INSTRUCTIONS: dict[bytes, Callable[[_Machine], object]] = {
    pickle.PROTO: lambda machine: machine.take(1),
    pickle.FRAME: lambda machine: machine.take(8),
    pickle.MARK: _constant(_Mark),
    pickle.NONE: _constant(lambda: None),
    pickle.NEWTRUE: _constant(lambda: True),
    pickle.NEWFALSE: _constant(lambda: False),
    pickle.EMPTY_DICT: _constant(dict),
    pickle.EMPTY_LIST: _constant(list),
    pickle.EMPTY_TUPLE: _constant(tuple),
    pickle.BININT: lambda machine: machine.push_number("<i"),
    pickle.BININT1: lambda machine: machine.push_number("B"),
    pickle.BININT2: lambda machine: machine.push_number("<H"),
    pickle.BINFLOAT: lambda machine: machine.push_number(">d"),
    pickle.LONG1: _Machine.push_long,
    pickle.SHORT_BINUNICODE: lambda machine: machine.push_text("B"),
    pickle.BINUNICODE: lambda machine: machine.push_text("<I"),
    pickle.BINUNICODE8: lambda machine: machine.push_text("<Q"),
    pickle.GLOBAL: _Machine.push_name,
    pickle.STACK_GLOBAL: _Machine.push_named,
    pickle.BINPUT: lambda machine: machine.remember(machine.number("B")),
    pickle.LONG_BINPUT: lambda machine: machine.remember(machine.number("<I")),
    pickle.MEMOIZE: lambda machine: machine.remember(len(machine.memo)),
    pickle.BINGET: lambda machine: machine.stack.append(machine.memo[machine.number("B")]),
    pickle.LONG_BINGET: lambda machine: machine.stack.append(machine.memo[machine.number("<I")]),
    pickle.TUPLE: _Machine.tuple_to_mark,
    pickle.TUPLE1: lambda machine: machine.tuple_of(1),
    pickle.TUPLE2: lambda machine: machine.tuple_of(2),
    pickle.TUPLE3: lambda machine: machine.tuple_of(3),
    pickle.APPEND: lambda machine: machine.append([machine.pop()]),
    pickle.APPENDS: lambda machine: machine.append(machine.pop_to_mark()),
    pickle.SETITEM: lambda machine: machine.set_items([machine.pop(), machine.pop()][::-1]),
    pickle.SETITEMS: lambda machine: machine.set_items(machine.pop_to_mark()),
    pickle.REDUCE: _Machine.call,
    pickle.NEWOBJ: _Machine.call,
    pickle.BUILD: _Machine.build,
    pickle.BINPERSID: _Machine.storage,
}
"""What each one-byte code does."""
