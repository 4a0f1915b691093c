"""Which files an ONNX graph takes its weights from, read from the graph without onnx.

A graph may name other files for its tensors (`external_data`), and a runtime that is given such a
name maps it. So the names are read first, by the few rules of protocol buffers that this takes: a
graph may refer to plain names in one folder, and to regular files.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from head.errors import WrongValue

_DEEPEST: Final = 16
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Field numbers of onnx.proto: where a tensor may be, from the model down.
_MODEL: Final = {7: "graph", 25: "function"}
_GRAPH: Final = {1: "node", 5: "tensor", 15: "sparse"}
_FUNCTION: Final = {7: "node", 11: "attribute"}
_NODE: Final = {5: "attribute"}
_ATTRIBUTE: Final = {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"}
_SPARSE: Final = {1: "tensor", 2: "tensor"}
_PARTS: Final = {
    "model": _MODEL,
    "graph": _GRAPH,
    "function": _FUNCTION,
    "node": _NODE,
    "attribute": _ATTRIBUTE,
    "sparse": _SPARSE,
}
_EXTERNAL_DATA: Final = 13


def external_files(model: bytes) -> set[str]:
    """The names that a graph gives for other files.

    Raises:
        ValueError: it is no ONNX graph; part of a line.
    """
    return set(_locations(memoryview(model), "model", 0))


def check_links(model: bytes, folder: Path) -> None:
    """Whether every file that a graph refers to is a regular file in `folder`.

    Raises:
        ValueError: a name with a folder in it, a device, a link to somewhere else, or no file; or
            no ONNX graph. Part of a line.
    """
    for name in sorted(external_files(model)):
        shown = repr(name[:80])
        if name in ("", ".", "..") or any(mark in name for mark in "/\\:\0"):
            raise WrongValue(f"it takes weights from {shown}, which is no file beside it")
        path = folder / name
        try:
            regular = stat.S_ISREG(path.stat().st_mode)
            inside = path.resolve().parent == folder.resolve()
        except OSError:
            raise WrongValue(f"it takes weights from {shown}, which is not there") from None
        if not regular or not inside:
            raise WrongValue(f"it takes weights from {shown}, which is no file in its bundle")


def _locations(data: memoryview, kind: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise WrongValue("a graph nested too deeply")
    if kind == "tensor":
        for number, value in _fields(data):
            if number == _EXTERNAL_DATA:
                entry = {n: bytes(v) for n, v in _fields(value)}
                if entry.get(1) == b"location":
                    yield entry.get(2, b"").decode("utf-8", "replace")
        return
    parts = _PARTS[kind]
    for number, value in _fields(data):
        if number in parts:
            yield from _locations(value, parts[number], depth + 1)


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a message that hold bytes: their numbers and contents."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        wire = tag & 7
        if wire == _VARINT:
            _, place = _varint(data, place)
        elif wire in (_FIXED64, _FIXED32):
            place += 8 if wire == _FIXED64 else 4
        elif wire == _BYTES:
            size, place = _varint(data, place)
            yield tag >> 3, data[place : place + size]
            place += size
        else:
            raise WrongValue("no ONNX graph")
        if place > len(data):
            raise WrongValue("an ONNX graph that is cut short")


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise WrongValue("an ONNX graph that is cut short")
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise WrongValue("no ONNX graph")
