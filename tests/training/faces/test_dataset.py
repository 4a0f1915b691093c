"""Datasets in the released layout: round trip, building from recordings, checks, hostile values."""

from __future__ import annotations

import io
import os
import pickle
import resource
import shutil
import sys
from pathlib import Path

import lmdb
import numpy as np
import pytest
import soundfile
from cli import call, finish, start
from sound_files import encode as encode_sound

from head.files.pickle_reader import PickleError
from training.faces import normalisation
from training.faces.build import build
from training.faces.check import check
from training.faces.clip_arrays import FaceClip, SetError, encode
from training.faces.lmdb_dataset import DATA, LmdbSet, LmdbWriter
from training.faces.plain_values import LIMITS, dumps, loads
from training.faces.recordings import find, read_motion, resample, savitzky_golay

PEOPLE = ("ada", "bob", "cleo", "dan")


def motion_arrays(frames: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    exp = 0.1 * rng.normal(size=(frames, 50)).cumsum(0) / np.sqrt(np.arange(1, frames + 1))[:, None]
    pose = np.zeros((frames, 6))
    pose[:, :4] = 0.05 * np.sin(np.arange(frames)[:, None] / [9, 11, 13, 5] + seed)
    return {
        "exp": exp.astype(np.float32),
        "pose": pose.astype(np.float32),
        "fps": np.array(25),
        "shape": np.full(100, float(seed), np.float32),
        "head": np.array("posetalk-head-1"),
    }


def record(folder: Path, person: str, name: str, frames: int, seed: int) -> None:
    home = folder / person
    home.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(seed).standard_normal(frames * 640)
    with (home / f"{name}.wav").open("wb") as file:
        soundfile.write(file, noise, 16_000, format="WAV")
    np.savez(home / f"{name}.npz", **motion_arrays(frames, seed))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for seed, person in enumerate(PEOPLE):
        record(folder, person, "first", 230 + seed, 2 * seed)
        record(folder, person, "second", 300, 2 * seed + 1)
    return folder


@pytest.fixture(scope="module")
def built(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sets") / "set"
    build(recordings, out, smooth=False)
    return out


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


def test_what_is_written_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 330
    clip = FaceClip(
        np.round(rng.uniform(-0.9, 0.9, n * 640) * 32768).astype(np.float32) / 32768,
        *(rng.normal(size=(n, width)).astype(np.float32) for width in (100, 50, 6)),
    )
    writer = LmdbWriter(tmp_path)
    writer.add("ada/000", clip)
    writer.close()
    with LmdbSet(tmp_path) as found:
        assert found.n_frames("ada/000") == n
        for start, length in [(0, n), (99, 2), (100, 100), (250, 80), (329, 1)]:
            part = found.read("ada/000", start, length)
            for name in ("shape", "exp", "pose"):
                whole = getattr(clip, name)[start : start + length]
                np.testing.assert_array_equal(getattr(part, name), whole)
            sound = clip.samples[640 * start : 640 * (start + length)]
            np.testing.assert_array_equal(part.samples, sound)
        with pytest.raises(SetError, match="of 330"):
            found.read("ada/000", 300, 31)


def test_values_are_laid_out_as_the_released_code_expects(built: Path) -> None:
    """Read with lmdb, pickle and soundfile alone, as its loader does."""
    env = lmdb.open(str(built), readonly=True, lock=False)
    with env.begin() as view:
        assert pickle.loads(view.get(b"metadata")) == {"seg_len": 100}
        count = pickle.loads(view.get(b"ada/000/metadata"))["n_frames"]
        value = pickle.loads(view.get(b"ada/000/002"))
        raw = view.get(b"ada/000/002")
    env.close()
    assert count == 230 and set(value) == {"audio", "coef"}
    assert b"numpy._core" not in raw, "numpy 1 can read it, too"
    shapes = {name: array.shape for name, array in value["coef"].items()}
    assert shapes == {"shape": (30, 100), "exp": (30, 50), "pose": (30, 6)}
    with soundfile.SoundFile(io.BytesIO(value["audio"])) as sound:
        assert (sound.format, sound.subtype, sound.samplerate) == ("FLAC", "PCM_16", 16_000)
        assert sound.frames == 30 * 640
    assert (built / "train.txt").read_text().count("/000\n") == 2
    listed = "".join((built / f"{name}.txt").read_text() for name in ("train", "val", "test"))
    assert sorted(listed.split()) == (built / "keys.txt").read_text().split()


def test_no_speaker_is_in_two_splits_and_lists_may_be_given(
    recordings: Path, built: Path, tmp_path: Path
) -> None:
    people = [
        {line.split("/")[0] for line in (built / f"{name}.txt").read_text().split()}
        for name in ("train", "val", "test")
    ]
    assert [len(group) for group in people] == [2, 1, 1] and len(set.union(*people)) == 4
    source = tmp_path / "source"
    shutil.copytree(recordings, source)
    (source / "test.txt").write_text("cleo\n")
    split = build(source, tmp_path / "set").videos
    assert split["test"] == ["cleo/000", "cleo/001"] and split["val"] == []


def test_statistics_are_those_within_four_seconds(built: Path) -> None:
    found = normalisation.read(built / "stats_train.npz")
    with LmdbSet(built) as data:
        rows = []
        for video in data.videos("train"):
            exp = data.read(video, 0, data.n_frames(video)).exp
            crops = [exp[k : k + 100] for k in range(len(exp) - 99)]
            means, spreads = [c.mean(0) for c in crops], [c.std(0) for c in crops]
            rows.append((np.mean(means, 0), np.mean(spreads, 0), exp.max(0), exp.min(0)))
    mean, std, top, low = (np.array(column) for column in zip(*rows, strict=True))
    np.testing.assert_allclose(found["exp_mean"], mean.mean(0), atol=1e-5)
    np.testing.assert_allclose(found["exp_std"], std.mean(0), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found["exp_max"], top.max(0))
    np.testing.assert_allclose(found["exp_min"], low.min(0))
    model = normalisation.for_model(found)
    assert model.motion_mean.shape == (54,) and model.motion_std[53] == found["pose_std"][3]
    assert (model.shape_std == 1.0).all(), "nobody's shape changes while speaking"
    assert normalisation.for_model(found, head_rotation=False).motion_mean.shape == (51,)


def test_other_rates_are_resampled_in_time(tmp_path: Path) -> None:
    times = (np.arange(300) + 0.5) / 30
    arrays = motion_arrays(300, 0) | {"fps": np.array(30.0)}
    arrays["exp"][:, 0] = times
    np.savez(tmp_path / "m.npz", **arrays)
    motion = read_motion(tmp_path / "m.npz")
    assert len(motion.exp) == 250 and motion.fps == 30
    inner = (np.arange(1, 249) + 0.5) / 25
    np.testing.assert_allclose(motion.exp[1:249, 0], inner, atol=1e-5)
    assert resample(arrays["pose"], 50.0).shape == (150, 6)


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


class _Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("touch hacked",))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "is missing"),
        (b"", "it is cut short"),
        (pickle.dumps(_Evil()), "it asks for posix.system"),
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


@pytest.mark.parametrize("protocol", range(6))
def test_plain_pickles_of_every_protocol_are_read(protocol: int) -> None:
    value = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": b"\x00\xff",
        "c": [1, 2.5, None],
        "d": np.asfortranarray(np.eye(3)[:2]),
        "e": np.int64(4),
        "f": b"",
    }
    found = loads(pickle.dumps(value, protocol=protocol))
    assert found["b"] == b"\x00\xff" and found["c"] == [1, 2.5, None] and found["e"] == 4
    np.testing.assert_array_equal(found["a"], value["a"])
    np.testing.assert_array_equal(found["d"], value["d"])


@pytest.mark.parametrize(
    "bad",
    [
        pickle.dumps(np.array([_Evil()], object)),
        pickle.dumps(np.array(["text"])),
        pickle.dumps(np.zeros(2, [("a", "f4")])),
        pickle.dumps({1, 2}),
        b'cnumpy\ndtype\n}S"x"\nI1\nsb.',  # would change a constructor
        b"cnumpy\nndarray\n.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.",
        b"(i__main__\nX\n.",
        b"\x80\x02P0\n.",
        b"\x80\x05\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",  # claims bytes without end
        b"]" * 100 + b"a" * 99 + b".",
        b"",
    ],
)
def test_other_pickles_are_refused(bad: bytes) -> None:
    with pytest.raises(PickleError) as caught:
        loads(bad)
    assert "\n" not in str(caught.value)


def test_a_value_beyond_all_measure_is_refused() -> None:
    with pytest.raises(PickleError, match="67 MB, 67 at most"):
        loads(bytes(LIMITS.most_bytes + 1))


def test_a_full_disk_is_said_and_leaves_nothing(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        arguments = ["dataset", "build", str(recordings), "-o", str(tmp_path / "set")]
        code, _, messages = call(arguments, capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 1 and messages.count("\n") == 1 and "cannot be written" in messages
    assert not list(tmp_path.iterdir())


# --- smoothing -----------------------------------------------------------------------------------
def test_smoothing_is_that_of_savitzky_and_golay() -> None:
    """Their published numbers, least squares in each window, and SciPy where it is installed."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 3)).cumsum(0).astype(np.float32)
    five = savitzky_golay(values, 5)
    published = np.array([-3, 12, 17, 12, -3]) / 35  # of a parabola over five points
    np.testing.assert_allclose(five[10], published @ values[8:13].astype(float), rtol=1e-5)
    published = np.array([-2, 3, 6, 7, 6, 3, -2]) / 21
    seven = savitzky_golay(values, 7)
    np.testing.assert_allclose(seven[20], published @ values[17:24].astype(float), rtol=1e-5)
    for n, window, made in ((0, 5, five), (1, 5, five), (2, 7, seven)):
        fitted = np.polynomial.polynomial.polyfit(
            np.arange(window), values[:window].astype(float), 2
        )
        wanted = np.polynomial.polynomial.polyval(n, fitted)
        np.testing.assert_allclose(made[n], wanted, rtol=1e-4, atol=1e-5)
    scipy = pytest.importorskip("scipy.signal", reason="not run: scipy is not installed")
    for window, made in ((5, five), (7, seven)):
        wanted = scipy.savgol_filter(values.astype(float), window, 2, axis=0, mode="interp")
        np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-5)


def test_parabolas_pass_and_jitter_goes() -> None:
    t = np.arange(30.0)[:, None]
    parabola = (0.3 * t**2 - 2 * t + 1).astype(np.float32)
    np.testing.assert_allclose(savitzky_golay(parabola, 7), parabola, rtol=1e-4, atol=1e-3)
    jitter = np.where(t % 2, 1.0, -1.0).astype(np.float32)
    assert np.abs(savitzky_golay(jitter, 5)[2:-2]).max() < 0.4
    np.testing.assert_array_equal(savitzky_golay(jitter[:4], 5), jitter[:4])


def test_a_build_smooths_each_part_over_its_own_frames(recordings: Path, tmp_path: Path) -> None:
    build(recordings, tmp_path / "smooth")
    whole = read_motion(recordings / "ada" / "first.npz")
    with LmdbSet(tmp_path / "smooth") as data:
        assert data.about["smoothed"] is True
        found = data.read("ada/000", 0, 230)
    np.testing.assert_allclose(found.exp, savitzky_golay(whole.exp, 5)[:230], atol=1e-6)
    np.testing.assert_allclose(
        found.pose[:, :3], savitzky_golay(whole.pose, 7)[:230, :3], atol=1e-6
    )
    np.testing.assert_allclose(
        found.pose[:, 3:], savitzky_golay(whole.pose, 5)[:230, 3:], atol=1e-6
    )
    np.testing.assert_array_equal(found.shape, whole.shape[:230])
