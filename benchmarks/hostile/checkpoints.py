"""Checkpoints and datasets that ask for memory, time or code."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np

from benchmarks.hostile.opcodes import nested_lists, nested_tuples
from benchmarks.hostile.table import hostile


def _checkpoint(folder: Path, description: bytes) -> list[str]:
    with zipfile.ZipFile(folder / "denoiser.pt", "w") as archive:
        archive.writestr("archive/data.pkl", description)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return ["import", str(folder / "denoiser.pt"), "-o", str(folder / "bundle")]


@hostile("more memory or time than any checkpoint")
def checkpoint_with_a_nested_key(folder: Path) -> list[str]:
    return _checkpoint(folder, b"\x80\x02}" + nested_tuples(60) + b"K\x01s.")


@hostile("a path that no system has")
def checkpoint_with_long_paths(folder: Path) -> list[str]:
    long = b"X" + struct.pack("<I", 1_000_000) + b"a" * 1_000_000 + b"q\x01"
    paths = b"cpathlib\nPosixPath\n(" + b"h\x01" * 5000 + b"tR"
    return _checkpoint(folder, b"\x80\x02}(" + long + b"K\x01" + b"K\x02" + paths + b"u.")


@hostile("more memory than any checkpoint")
def checkpoint_with_an_empty_giant(folder: Path) -> list[str]:
    giant = b"cbuiltins\nbytearray\n\x8a\x05" + (1 << 36).to_bytes(5, "little") + b"\x85R"
    return _checkpoint(folder, b"\x80\x02}K\x01" + giant + b"s.")


@hostile("too large for a checkpoint")
def checkpoint_of_lists_by_reference(folder: Path) -> list[str]:
    return _checkpoint(folder, b"\x80\x02}K\x01" + nested_lists(10, 9) + b"s.")


@hostile("too large for a checkpoint")
def checkpoint_of_texts_by_reference(folder: Path) -> list[str]:
    long = b"X" + struct.pack("<I", 500_000) + b"a" * 500_000 + b"q\x01"
    return _checkpoint(folder, b"\x80\x02}K\x01](" + long + b"h\x01" * 50_000 + b"es.")


@hostile("io.open")
def checkpoint_that_asks_for_code(folder: Path) -> list[str]:
    opened = b"cio\nopen\nX\x04\x00\x00\x00trapX\x01\x00\x00\x00w\x86R"
    return _checkpoint(folder, b"\x80\x02}K\x01" + opened + b"s.")


@hostile("not a statistics file|no file of statistics|holds no")
def statistics_that_unpack_to_gigabytes(folder: Path) -> list[str]:
    arrays = io.BytesIO()
    np.savez_compressed(arrays, exp_mean=np.zeros(4 << 20, np.float32))
    (folder / "stats.npz").write_bytes(arrays.getvalue())
    arguments = _checkpoint(folder, b"\x80\x02}K\x01K\x01s.")
    return [*arguments, "--stats", str(folder / "stats.npz")]


def _dataset(folder: Path, value: bytes, **files: str) -> list[str]:
    import lmdb

    where = folder / "set"
    with lmdb.open(str(where), map_size=1 << 24) as env, env.begin(write=True) as change:
        change.put(b"metadata", pickle.dumps({"seg_len": 100}, 3))
        change.put(b"ada/000/metadata", pickle.dumps({"n_frames": 100}, 3))
        change.put(b"ada/000/000", value)
    for name in ("train", "val", "test", "keys"):
        (where / f"{name}.txt").write_text("ada/000\n" if name in ("train", "keys") else "")
    return ["dataset", "check", str(where)]


@hostile("problem")
def value_of_lists_by_reference(folder: Path) -> list[str]:
    return _dataset(folder, b"\x80\x02" + nested_lists(100, 6) + b".")


@hostile("problem")
def value_of_bytes_made_again(folder: Path) -> list[str]:
    long = b"X" + struct.pack("<I", 1_000_000) + b"a" * 1_000_000 + b"q\x01"
    again = b"c_codecs\nencode\nh\x01X\x06\x00\x00\x00latin1\x86R"
    return _dataset(folder, b"\x80\x02(" + long + again * 4000 + b"l.")


@hostile("data.mdb: damaged")
def dataset_whose_pages_lead_elsewhere(folder: Path) -> list[str]:
    arguments = _dataset(folder, b"N." * 5_000)
    path = folder / "set" / "data.mdb"
    data = bytearray(path.read_bytes())
    for at in range(8_192, len(data), 7):
        data[at] = (data[at] * 7 + at) % 256
    path.write_bytes(data)
    return arguments


@hostile("problem")
def list_of_videos_that_never_ends(folder: Path) -> list[str]:
    arguments = _dataset(folder, b"N.")
    (folder / "set" / "train.txt").unlink()
    (folder / "set" / "train.txt").symlink_to("/dev/zero")
    return arguments
