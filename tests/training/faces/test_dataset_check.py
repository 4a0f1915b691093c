"""Sets and recordings that are damaged, foreign or hostile are told, never run."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import sys
from pathlib import Path

import lmdb
import numpy as np
import pytest
import soundfile
from cli import call, finish, start
from recorded_faces import PEOPLE, Evil, motion_arrays, record
from sound_files import encode as encode_sound

from training.faces.build import build
from training.faces.check import check
from training.faces.clip_arrays import SetError, encode
from training.faces.lmdb_dataset import DATA, LmdbSet
from training.faces.plain_values import dumps
from training.faces.recordings import find


@pytest.fixture
def broken(built: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    shutil.copytree(built, tmp_path / "set")
    return tmp_path / "set"


def put(folder: Path, key: str, value: bytes | None) -> None:
    env = lmdb.open(str(folder), map_size=1 << 28)
    with env.begin(write=True) as change:
        if value is None:
            assert change.delete(key.encode())
        else:
            change.put(key.encode(), value)
    env.close()


def test_a_good_set_has_no_problems(built: Path, recordings: Path) -> None:
    assert list(check(built)) == [] and list(check(recordings)) == []


def _segment(n: int, **changes: object) -> bytes:
    arrays = motion_arrays(n, 3)
    coef = {"shape": np.zeros((n, 100), np.float32), "exp": arrays["exp"], "pose": arrays["pose"]}
    return dumps({"audio": encode(np.zeros(n * 640, np.float32) + 0.1), "coef": coef} | changes)


def _short_sound() -> bytes:
    return encode(np.full(63_000, 0.1, np.float32))


def _other_rate() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(64_000), 22_050, format="FLAC")
    return file.getvalue()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "is missing"),
        (b"", "it is cut short"),
        (pickle.dumps(Evil()), "it asks for posix.system"),
        (pickle.dumps([1]), "is a list, not a mapping"),
        (_segment(100)[:5000], "it is cut short"),
        (_segment(90), "pose 90 frames where 100 belong"),
        (_segment(100, audio=_short_sound()), "63000 samples of sound, 64000 belong"),
        (_segment(100, audio=_other_rate()), "22050 Hz"),
        (_segment(100, audio=b"fLaCnothing"), "cannot be read"),
        (_segment(100, audio="text"), "holds no `coef` and `audio`"),
        (_segment(100, coef={"exp": np.zeros((100, 50))}), "`shape` is NoneType"),
    ],
)
def test_a_bad_clip_is_reported_and_never_run(
    broken: Path, value: bytes | None, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(broken.parent)
    put(broken, "bob/001/001", value)
    found = list(check(broken))
    assert len(found) == 1 and "bob/001/001" in found[0] and problem in found[0], found
    assert "\n" not in found[0] and not (broken.parent / "hacked").exists()
    with LmdbSet(broken) as data, pytest.raises(SetError, match="bob/001/001"):
        data.read("bob/001", 150, 100)


def test_values_that_are_not_finite_are_reported(broken: Path) -> None:
    arrays = motion_arrays(100, 0)
    arrays["exp"][7, 3] = np.nan
    coef = {"shape": np.zeros((100, 100)), "exp": arrays["exp"], "pose": arrays["pose"]}
    put(broken, "bob/001/000", _segment(100, coef=coef))
    assert "not finite" in "".join(check(broken))


def test_lists_statistics_and_metadata_are_checked(broken: Path) -> None:
    (broken / "val.txt").write_text((broken / "train.txt").read_text().splitlines()[0] + "\n")
    (broken / "test.txt").unlink()
    np.savez(broken / "stats_train.npz", exp_mean=np.zeros(49))
    first = (broken / "train.txt").read_text().splitlines()[1]
    put(broken, f"{first}/metadata", dumps({"n_frames": "many"}))
    found = "\n".join(check(broken))
    for problem in (
        "listed in train.txt and in val.txt",
        "test.txt: cannot read",
        "lacks shape",
        "n_frames is 'many'",
        "entries in no list",
    ):
        assert problem in found, problem


def test_a_cut_off_or_foreign_file_is_refused(broken: Path, tmp_path: Path) -> None:
    data = (broken / DATA).read_bytes()
    (broken / DATA).write_bytes(data[: len(data) // 2])
    with pytest.raises(SetError, match="cut off"):
        LmdbSet(broken)
    (broken / DATA).write_bytes(b"not an LMDB" * 1000)
    with pytest.raises(SetError, match="not an LMDB"):
        LmdbSet(broken)
    with pytest.raises(SetError, match="posetalk dataset build"):
        LmdbSet(tmp_path / "nowhere")


def test_recordings_are_checked_before_they_are_built(tmp_path: Path) -> None:
    source = tmp_path / "source"
    record(source, "ada", "good", 220, 0)
    record(source, "ada", "long", 220, 1)
    soundfile.write(source / "ada" / "long.wav", 0.1 * np.ones(16_000 * 20), 16_000)
    record(source, "bob", "short", 50, 2)
    soundfile.write(source / "bob" / "alone.wav", np.zeros(16_000), 16_000)
    np.savez(source / "bob" / "mute.npz", **motion_arrays(220, 0))
    record(source, "bob", "degrees", 220, 3)
    spoiled = motion_arrays(220, 3)
    np.savez(source / "bob" / "degrees.npz", **(spoiled | {"pose": spoiled["pose"] * 900}))
    found = "\n".join(check(source))
    for problem in (
        "ada/long: 20.0 s of sound, 8.8 s of motion",
        "bob/short: 50 frames",
        "bob/alone: sound without motion",
        "bob/mute: motion without sound",
        "bob/degrees: pose reaches",
    ):
        assert problem in found, problem
    made = build(source, tmp_path / "set", val=0, test=0)
    assert sorted(made.videos["train"]) == ["ada/000", "bob/000"] and len(made.left_out) == 4
    assert [str(r) for r in find(source)[0]][:2] == ["ada/good", "ada/long"]


def test_a_failed_build_leaves_nothing(recordings: Path, built: Path, tmp_path: Path) -> None:
    with pytest.raises(SetError, match="is there already"):
        build(recordings, built)
    with pytest.raises(SetError, match="no such folder"):
        build(tmp_path / "nowhere", tmp_path / "a")
    with pytest.raises(SetError, match="somebody must be left"):
        build(recordings, tmp_path / "b", val=2, test=2)
    assert not list(tmp_path.iterdir())


def test_motion_of_nobody_is_asked_about_at_the_first_door(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training would end with "no head", after everything was built."""
    source, out = tmp_path / "source", tmp_path / "set"
    for seed, person in enumerate(PEOPLE):
        record(source, person, "one", 220, seed)
        arrays = motion_arrays(220, seed)
        del arrays["head"]
        np.savez(source / person / "one.npz", **arrays)
    code, printed, _ = call(["dataset", "check", str(source)], capsys)
    assert code == 1 and "give `--head ID`" in printed
    code, _, message = call(["dataset", "build", str(source), "-o", str(out)], capsys)
    assert code == 1 and "give `--head ID`" in message and not out.exists()
    here = ["--head", "posetalk-head-1"]
    assert call(["dataset", "check", str(source), *here], capsys)[0] == 0
    assert call(["dataset", "build", str(source), "-o", str(out), *here], capsys)[0] == 0
    assert call(["dataset", "check", str(out)], capsys)[0] == 0
    with LmdbSet(out) as made:
        assert made.about["head"] == "posetalk-head-1"


def test_a_head_that_is_not_here_is_told_at_the_first_door(
    recordings: Path, broken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    with pytest.raises(SetError, match=r"no head 'flame'.*posetalk head import"):
        build(recordings, tmp_path / "other", head="flame")
    assert not (tmp_path / "other").exists()
    (broken / "about.json").unlink()  # as released sets are
    problem = "\n".join(check(broken))
    assert "no head 'flame'" in problem and "posetalk head import" in problem
    assert list(check(broken, head="posetalk-head-1")) == []


@pytest.mark.skipif(sys.platform != "linux", reason="not run: is for Linux file names")
def test_names_that_are_no_utf_8(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for seed, person in enumerate(PEOPLE):
        record(source, person, os.fsdecode(b"one\xfc"), 220, seed)
    record(source, os.fsdecode(b"j\xfcrgen"), "one", 220, 9)
    code, printed, _ = finish(start("dataset", "check", "source", cwd=tmp_path))
    assert code == 1 and printed == "j\\udcfcrgen: the folder's name is no UTF-8; rename it\n"
    made = build(source, tmp_path / "set")
    assert sum(map(len, made.videos.values())) == 4 and len(made.left_out) == 1


@pytest.mark.parametrize("ending", ["m4a", "mp4", "mkv"])
def test_films_and_phone_recordings_are_recordings(tmp_path: Path, ending: str) -> None:
    source = tmp_path / "source"
    for seed, person in enumerate(PEOPLE):
        record(source, person, "one", 220, seed)
        sound, rate = soundfile.read(source / person / "one.wav", dtype="float32")
        film = 0.0 if ending == "m4a" else 8.8
        path = source / person / f"one.{ending}"
        encode_sound(path, "aac", sound, rate, picture_seconds=film)
        (source / person / "one.wav").unlink()
    assert list(check(source)) == []
    assert build(source, tmp_path / "set").minutes == pytest.approx(4 * 8.8 / 60, abs=0.02)


def test_the_commands_build_and_check(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "set")
    code, _, messages = call(["dataset", "build", str(recordings), "-o", out], capsys)
    assert code == 0 and "train 4 videos of 2 people" in messages
    assert call(["dataset", "check", out], capsys)[0] == 0
    put(tmp_path / "set", "dan/000/000", None)
    code, printed, messages = call(["dataset", "check", out], capsys)
    assert code == 1 and "dan/000/000 is missing" in printed and "1 problem" in messages
    code, _, messages = call(["dataset", "check", str(tmp_path / "none")], capsys)
    assert code == 1 and "no such folder" in messages
