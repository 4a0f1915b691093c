"""What is made takes its name when it is whole; what stood there stays until then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from head.new_file import NewFile, new_file


def test_a_new_file_takes_its_name_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with new_file(path) as part:
        assert part.parent == tmp_path and part.suffix == ".txt"
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_what_raises_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), new_file(path) as part:
        part.write_text("ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Neither one under the name, nor any that somebody has planted beside it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    path = tmp_path / "a.txt"
    for planted in (path, tmp_path / "a.txt.part", tmp_path / ".a.txt.part"):
        planted.symlink_to(elsewhere)
    with new_file(path) as part:
        part.write_text("new")
    assert elsewhere.read_text() == "precious"
    assert path.read_text() == "new" and not path.is_symlink()


def test_devices_and_folders_are_no_place_for_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.iterdir())
    for path in (tmp_path / "pipe", tmp_path / "folder", Path(os.devnull)):
        with pytest.raises(OSError, match="is no file"):
            NewFile(path)
    assert sorted(tmp_path.iterdir()) == before


def test_the_usual_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with new_file(tmp_path / "a") as part:
            part.write_text("")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
