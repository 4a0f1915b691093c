"""A pickle read as a description: no code of a file is run, and no class of it is imported.

A pickle is a program for a small stack machine.  This one knows the instructions that write plain
values, and of the objects a checkpoint names it makes an `argparse.Namespace`, pure paths and
descriptions of tensors.  Anything else ends the reading.  Dictionary keys are numbers and texts
only, so that no nested key can make hashing endless.
"""

from __future__ import annotations

import argparse
import pickletools
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
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if machine.step(opcode.name, argument):
                return machine.result
    except CheckpointError as error:
        raise CheckpointError(f"{source}: {error}") from None
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, AttributeError):
        pass  # each broken pickle breaks in its own way
    raise CheckpointError(f"{source} is cut short or damaged: copy or download it again")


class _Machine:
    """The stack machine: values, and a memo of those that are used again."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.result: Any = None

    def step(self, name: str, argument: Any) -> bool:
        """Do one instruction; True once the value is complete."""
        if name in _LITERALS:
            self.stack.append(_LITERALS[name]())
        elif name in _PLAIN:
            self.stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name == "GLOBAL":
            self.stack.append(_Global(str(argument).replace(" ", ".")))
        elif name in ("PROTO", "FRAME"):
            pass
        elif name == "STOP":
            (self.result,) = self.stack
            return True
        elif name in _MOVES:
            _MOVES[name](self)
        else:
            raise CheckpointError(f"its description uses {name}, which no checkpoint needs")
        return False

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
        target.extend(values)

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(values) % 2:
            raise ValueError
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, str | int):
                raise ValueError
            target[key] = value

    def stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise ValueError
        self.stack.append(_Global(f"{module}.{name}"))

    def call(self) -> None:
        """What the pickle would call, from our own short list."""
        arguments, what = self.pop(), self.pop()
        if not isinstance(what, _Global) or not isinstance(arguments, tuple):
            raise ValueError
        if what.name not in _MAKERS:
            raise CheckpointError(
                f"it asks for {what.name[:80]!r}, which no checkpoint needs: nothing of it was run"
            )
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

_LITERALS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": _Mark,
}
_PLAIN = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
}  # fmt: skip
_MOVES: dict[str, Callable[[_Machine], None]] = {
    "TUPLE": _Machine.tuple_to_mark,
    "TUPLE1": lambda machine: machine.tuple_of(1),
    "TUPLE2": lambda machine: machine.tuple_of(2),
    "TUPLE3": lambda machine: machine.tuple_of(3),
    "APPEND": lambda machine: machine.append([machine.pop()]),
    "APPENDS": lambda machine: machine.append(machine.pop_to_mark()),
    "SETITEM": lambda machine: machine.set_items([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine: machine.set_items(machine.pop_to_mark()),
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.storage,
}
