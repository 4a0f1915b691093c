"""LMDBs that were damaged, or made to do harm: refused before the library maps them."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest
from patience import PATIENCE

from training.faces.lmdb_pages import DamagedError, check_pages

VALUES = (10, 100, 3_000, 5_000, 50)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """One that has grown and shrunk, with long values and short ones."""
    folder = tmp_path_factory.mktemp("set")
    with lmdb.open(str(folder), map_size=1 << 26) as env:
        for turn in range(3):
            with env.begin(write=True) as change:
                for k in range(700):
                    change.put(b"key/%05d/%d" % (k, turn), os.urandom(VALUES[(k + turn) % 5]))
                for k in range(0, 700, 3):
                    change.delete(b"key/%05d/%d" % (k, turn - 1))
    return (folder / "data.mdb").read_bytes()


def test_what_the_library_wrote_is_sound(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(whole)
    check_pages(tmp_path / "data.mdb")
    with lmdb.open(str(tmp_path / "none")):
        pass
    check_pages(tmp_path / "none" / "data.mdb")


@pytest.mark.parametrize("length", [0, 100, 4_096, 8_191, 8_192, 50_000])
def test_one_that_is_cut_short_is_not(whole: bytes, length: int, tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(whole[:length])
    with pytest.raises(DamagedError):
        check_pages(tmp_path / "data.mdb")


def test_a_page_may_lie_beyond_the_first_65536(whole: bytes, tmp_path: Path) -> None:
    """A large one's branches lead on by all 48 bits of a number; the library agrees."""
    size, words = 4_096, struct.Struct("<HHH")
    meta = max((0, size), key=lambda at: struct.unpack_from("<Q", whole, at + 144))
    (root,) = struct.unpack_from("<Q", whole, meta + 128)
    (first,) = struct.unpack_from("<H", whole, root * size + 16)
    pointer = root * size + first
    child = words.unpack_from(whole, pointer)[0]
    assert struct.unpack_from("<H", whole, root * size + 10) == (1,), "the root is a branch"

    for moved_to in (65_536 + child, 2 * 65_536 + 7):
        path, changed = tmp_path / "data.mdb", bytearray(whole)
        words.pack_into(changed, pointer, moved_to & 0xFFFF, moved_to >> 16, 0)
        struct.pack_into("<Q", changed, meta + 136, moved_to)  # the last page
        page = bytearray(whole[child * size : (child + 1) * size])
        struct.pack_into("<Q", page, 0, moved_to)
        changed[child * size : (child + 1) * size] = bytes(size)
        path.write_bytes(changed)
        with path.open("r+b") as file:  # sparse: little of it is on the disk
            file.seek(moved_to * size)
            file.write(page)
        check_pages(path)
        with lmdb.open(str(tmp_path), readonly=True, lock=False) as env, env.begin() as view:
            assert len(list(view.cursor())) == view.stat()["entries"]
        with path.open("r+b") as file:
            file.seek(moved_to * size)
            file.write(bytes(size))
        with pytest.raises(DamagedError):
            check_pages(path)


READ_ALL = """
import sys, lmdb
try:
    with lmdb.open(sys.argv[1], readonly=True, lock=False) as env, env.begin() as view:
        for _ in view.cursor():
            pass
except lmdb.Error:
    pass
"""


def test_what_is_let_through_ends_no_process(whole: bytes, tmp_path: Path) -> None:
    """Each that was changed and passes is read whole by the library, in a process of its own."""
    chance, path, refused = random.Random(1), tmp_path / "data.mdb", 0
    for _ in range(40):
        changed = bytearray(whole)
        for _ in range(chance.choice((1, 3, 30))):
            page = chance.randrange(len(whole) // 4_096)
            at = chance.choice((chance.randrange(16), 16 + chance.randrange(64)))
            changed[4_096 * page + at] = chance.randrange(256)
        path.write_bytes(changed)
        try:
            check_pages(path)
        except DamagedError:
            refused += 1
            continue
        reading = [sys.executable, "-c", READ_ALL, str(tmp_path)]
        assert subprocess.run(reading, timeout=PATIENCE, check=False).returncode == 0
    assert 3 < refused < 37
