"""Sets of recorded faces: what is written is read, and is laid out as the released code expects."""

from __future__ import annotations

import io
import pickle
import shutil
from pathlib import Path

import lmdb
import numpy as np
import pytest
import soundfile
from recorded_faces import motion_arrays

from training.faces import normalisation
from training.faces.build import build
from training.faces.clip_arrays import FaceClip, SetError
from training.faces.lmdb_dataset import LmdbSet, LmdbWriter
from training.faces.recordings import read_motion, resample


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
