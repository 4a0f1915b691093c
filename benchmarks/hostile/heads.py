"""Pickles of heads that ask for much, and names that are no files."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hostile.opcodes import (
    Raw,
    Sparse,
    code,
    nested_lists,
    nested_tuples,
    reference,
    text,
)
from benchmarks.hostile.table import hostile

KEYS = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights")


def _head_import(folder: Path, data: bytes, name: str = "flame.pkl") -> list[str]:
    (folder / name).write_bytes(data)
    return ["head", "import", str(folder / name), "-o", str(folder / "out.npz")]


def _flame(first: Any) -> bytes:
    """A model whose first part is this one."""
    parts = {key: np.zeros((2, 2)) for key in KEYS}
    return b"\x80\x02" + code(parts | {"v_template": first}) + b"."


@hostile("a key that is a tuple")
def nested_tuple_as_key(folder: Path) -> list[str]:
    return _head_import(folder, b"\x80\x02}" + nested_tuples(60) + b"K\x01s.")


@hostile("larger than any of a head")
def list_by_reference(folder: Path) -> list[str]:
    return _head_import(folder, _flame(Raw(nested_lists(10, 8))))


@hostile("larger than any of a head")
def long_list_of_one_list(folder: Path) -> list[str]:
    inner = b"](" + b"K\x01" * 2000 + b"eq\x01"
    return _head_import(folder, _flame(Raw(b"](" + inner + b"h\x01" * 2000 + b"e")))


def _sparse(**state: Any) -> Raw:
    whole = {"data": np.ones(2), "indices": np.zeros(2, np.int32)} | state
    made = code(Sparse(np.eye(2)))
    return Raw(made[: made.index(b"}(")] + code(whole) + b"b")


@hostile("does not fit together")
def sparse_with_long_columns(folder: Path) -> list[str]:
    indptr = np.array([0, 1 << 29, 0, 1 << 29, 2], np.int64)
    return _head_import(folder, _flame(_sparse(_shape=(5, 4), indptr=indptr)))


@hostile("of a size that no head has")
def sparse_that_is_huge(folder: Path) -> list[str]:
    shape = (30_000, 30_000)
    return _head_import(folder, _flame(_sparse(_shape=shape, indptr=np.zeros(3, np.int32))))


@hostile("more bytes than it has")
def bytes_encoded_again_and_again(folder: Path) -> list[str]:
    long = b"X" + struct.pack("<I", 4_000_000) + b"a" * 4_000_000 + b"q\x01"
    again = b"c_codecs\nencode\nh\x01X\x06\x00\x00\x00latin1\x86R"
    return _head_import(folder, b"\x80\x02(" + long + again * 2000 + b"l.")


@hostile("instructions")
def instructions_without_end(folder: Path) -> list[str]:
    return _head_import(folder, b"\x80\x02" + b"N0" * 4_000_000 + b"N.")


@hostile("nested too deeply")
def chumpy_in_chumpy(folder: Path) -> list[str]:
    opening = reference("copy_reg", "_reconstructor") + reference("chumpy.ch", "Ch")
    opening += reference("__builtin__", "object") + b"N\x87R}" + text("x")
    return _head_import(folder, _flame(Raw(opening * 400 + b"K\x01" + b"sb" * 400)))


@hostile("cut short")
def bytes_that_are_only_claimed(folder: Path) -> list[str]:
    return _head_import(folder, b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"x.")


@hostile("do not fill its shape")
def array_of_an_enormous_shape(folder: Path) -> list[str]:
    made = code(np.zeros((3, 7)))
    big = made.replace(code((3, 7)), code((2**31 - 1, 2**31 - 1)))
    return _head_import(folder, _flame(Raw(big)))


@hostile("is a device, not a regular file")
def head_from_a_device(folder: Path) -> list[str]:
    return ["head", "import", "/dev/zero", "-o", str(folder / "out.npz")]


@hostile("is a pipe, not a regular file")
def head_from_a_pipe(folder: Path) -> list[str]:
    os.mkfifo(folder / "flame.pkl")
    return ["head", "import", str(folder / "flame.pkl"), "-o", str(folder / "out.npz")]


@hostile("is a device, not a regular file")
def head_that_links_to_a_device(folder: Path) -> list[str]:
    (folder / "head.npz").symlink_to("/dev/zero")
    return ["head", "show", str(folder / "head.npz")]


@hostile("is a device, not a regular file")
def obj_that_links_to_a_device(folder: Path) -> list[str]:
    (folder / "generic_neutral_mesh.obj").symlink_to("/dev/zero")
    return ["head", "import", str(folder), "-o", str(folder / "out.npz")]


@hostile("is a device, not a regular file")
def checkpoint_from_a_device(folder: Path) -> list[str]:
    return ["import", "/dev/zero", "-o", str(folder / "bundle")]


@hostile("is a pipe, not a regular file")
def motion_from_a_pipe(folder: Path) -> list[str]:
    os.mkfifo(folder / "motion.npz")
    return ["style", "extract", str(folder / "motion.npz"), "-o", str(folder / "out.npz")]
