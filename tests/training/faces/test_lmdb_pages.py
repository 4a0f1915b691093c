"""LMDBs that were damaged, or made to do harm: refused before the library maps them."""

from __future__ import annotations

import os
import random
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
