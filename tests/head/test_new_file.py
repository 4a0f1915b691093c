"""What is made takes its name when it is whole; what stood there stays until then."""

from __future__ import annotations

import errno
import os
import zipfile
from pathlib import Path

import pytest
from safetensors import SafetensorError

from head.files.json_file import read_json, write_json
from head.new_file import NewFile, full_disk, naming, new_file

FULL = Path("/dev/full")


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


def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path: Path) -> None:
    """An archive raises something else in closing what could not be written."""
    path = tmp_path / "a.npz"
    path.write_text("old")
    with pytest.raises(OSError, match="No space left") as caught, new_file(path) as part:
        part.write_text("new")
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            raise ValueError("there is an open writing handle on it")
    assert caught.value.filename == str(path) and caught.value.errno == errno.ENOSPC
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_full_disk_is_known_behind_what_libraries_raise() -> None:
    with pytest.raises(OSError, match="No space left") as plain, FULL.open("wb", 0) as file:
        file.write(b"x")
    assert full_disk(plain.value) is plain.value
    with (
        pytest.raises(Exception, match=r"space|handle") as packed,
        zipfile.ZipFile(FULL, "w") as archive,
    ):
        archive.writestr("a", b"x" * 100_000)
    assert full_disk(packed.value) is not None
    # As safetensors 0.8 says it; it renames, so that /dev/full is no place to try it.
    told = SafetensorError(
        "Error while serializing: I/O error: No space left on device (os error 28)"
    )
    found = full_disk(told)
    assert found is not None and found.errno == errno.ENOSPC
    with pytest.raises(OSError, match="bundle"), naming("bundle"):
        raise told
    assert full_disk(ValueError("full")) is None and full_disk(FileNotFoundError(2, "no")) is None


def test_json_is_written_whole_or_not(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": [1, 2.5]})
    assert read_json(path) == {"b": [1, 2.5]}
    with pytest.raises(TypeError):
        write_json(path, {"b": {1, 2}})
    assert read_json(path) == {"b": [1, 2.5]} and list(tmp_path.iterdir()) == [path]
