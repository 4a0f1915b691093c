"""All formats from the command, and what they share."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from cli import call
from posed_motion import HEAD, Gltf, corners_of, some_motion

import posetalk
from head.skinning import skin
from posetalk.app.outputs import ClipOutput, check_names
from posetalk.formats import FORMATS
from posetalk.formats.clip import influences, vertex_normals
from stream.frames import Frame


def test_every_format_from_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run writes them all; they tell one story."""
    import soundfile

    speech, rate = soundfile.read(posetalk.demo_speech(), frames=3 * 16000)
    soundfile.write(tmp_path / "words.wav", speech, rate)
    monkeypatch.chdir(tmp_path)
    names = [f"face{ending}" for ending in (*FORMATS, ".npz")]
    code, _, messages = call(["animate", "words.wav", "--backend", "fake", "-o", *names], capsys)
    assert code == 0 and "face.glb" in messages
    rows = list(csv.DictReader(Path("face.csv").read_text().splitlines()))
    assert len(rows) == 180, "three seconds of an app that records 60 in each"
    command = ["animate", "words.wav", "--backend", "fake", "--fps", "25", "-o"]
    assert call([*command, "face.csv"], capsys)[0] == 0
    assert call([*command, "face.npz"], capsys)[0] == 2
    assert sorted(p.name for p in tmp_path.glob("face*")) == sorted(names)
    motion = posetalk.Motion.load("face.npz")
    rows = list(csv.DictReader(Path("face.csv").read_text().splitlines()))
    jaws = np.array([float(row["JawOpen"]) for row in rows])
    np.testing.assert_allclose(jaws, motion.pose[:, 3] / 0.35, atol=1e-6)
    assert jaws.max() > 0.2
    middle = len(motion) // 2
    vertices = skin(HEAD, motion.exp[middle], jaw_pose=motion.pose[middle, 3:])
    found = Gltf(Path("face.glb").read_bytes()).pose(middle / 25)
    np.testing.assert_allclose(found, corners_of(vertices), atol=2e-6)


def test_an_ending_that_is_unknown_lists_them_all(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.mp4 .*\.npz .*\.csv .*\.glb .*\.usda .*\.bvh"):
        check_names([tmp_path / "face.fbx"])
    with pytest.raises(ValueError, match=r"face\.bvh: is named twice"):
        check_names([tmp_path / "face.bvh", tmp_path / "face.csv", tmp_path / "face.bvh"])


def test_what_came_is_kept_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.bvh"
    path.write_bytes(b"an older one")
    for end in (ClipOutput.close, ClipOutput.abandon):
        end(ClipOutput(path, None, HEAD, FORMATS[".bvh"]))  # nothing came
        assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == b"an older one"
    output = ClipOutput(path, None, HEAD, FORMATS[".bvh"])
    output.show([Frame(k, 640 * k, row) for k, row in enumerate(some_motion(3))])
    output.close()
    output.close()
    assert output.abandon() is None
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes().startswith(b"HIERARCHY")


def test_normals_point_outwards_and_have_length_one() -> None:
    normals = vertex_normals(HEAD.template, HEAD.faces)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    nose = HEAD.landmarks["nose_tip"]
    assert normals[nose, 2] > 0.7


def test_influences_keep_the_strongest_joints() -> None:
    joints, weights = influences(np.array([[0.1, 0.2, 0.3, 0.15, 0.25], [0, 1, 0, 0, 0]], "f4"))
    np.testing.assert_array_equal(joints, [[2, 4, 1, 3], [1, 0, 0, 0]])
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(weights[0], np.array([0.3, 0.25, 0.2, 0.15]) / 0.9, rtol=1e-6)
