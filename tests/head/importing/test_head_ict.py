"""ICT-FaceKit's folder becomes a head with named channels (the real files, where they are)."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from head.channels import CHANNELS, INDEX
from head.geometry.measure import lip_gap
from head.importing import ict_parts as parts
from head.importing import import_head, obj
from head.model import Head, HeadError
from head.rig import load_head, save_head
from head.skinning import skin

DATA = Path(os.environ.get("POSETALK_DATA", "/nonexistent")) / "heads" / "ict_facekit"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    archives = sorted(DATA.glob("*.tar.xz"))
    if not archives:
        pytest.skip("not run: POSETALK_DATA names no folder with ICT-FaceKit")
    place = tmp_path_factory.mktemp("ict")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(place, filter="data")
    return place / "FaceXModel"


@pytest.fixture(scope="module")
def ict(folder: Path) -> Head:
    return import_head(folder)


def _shape(folder: Path, name: str) -> np.ndarray:
    return obj.vertices((folder / f"{name}.obj").read_bytes(), name) / 100


def _posed(head: Head, jaw: float = 0.0, **channels: float) -> np.ndarray:
    weights = np.zeros(50, np.float32)
    for name, value in channels.items():
        weights[INDEX[name]] = value
    return skin(head, weights, jaw_pose=np.array([jaw * head.jaw_open_radians, 0, 0], np.float32))


def test_shapes_come_out_as_the_kit_has_them(folder: Path, ict: Head) -> None:
    rest = _shape(folder, "generic_neutral_mesh")
    assert ict.expression_names == CHANNELS and ict.id == "ict-facekit"
    np.testing.assert_allclose(ict.template, rest, atol=1e-7)
    for ours, theirs in (
        ("mouthSmileLeft", "mouthSmile_L"),
        ("mouthLeft", "mouthLeft"),
        ("jawForward", "jawForward"),
        ("noseSneerRight", "noseSneer_R"),
    ):
        np.testing.assert_allclose(_posed(ict, **{ours: 1}), _shape(folder, theirs), atol=4e-6)
    both = _shape(folder, "browInnerUp_L") + _shape(folder, "browInnerUp_R") - rest
    np.testing.assert_allclose(_posed(ict, browInnerUp=1), both, atol=4e-6)


def test_the_jaw_joint_gives_jaw_open(folder: Path, ict: Head) -> None:
    """Exactly where it is fully open; on the way the teeth go round the hinge."""
    rest, wide = _shape(folder, "generic_neutral_mesh"), _shape(folder, "jawOpen")
    np.testing.assert_allclose(_posed(ict, jaw=1), wide, atol=4e-6)
    half = _posed(ict, jaw=0.5)
    straight = rest + (wide - rest) / 2
    assert np.abs(half - straight).max() < 0.003
    teeth = slice(*parts.TEETH_LOWER)
    hinge = np.asarray(ict.rest_joints)[2]
    reach = np.linalg.norm((half - hinge)[teeth, 1:], axis=1)
    np.testing.assert_allclose(reach, np.linalg.norm((rest - hinge)[teeth, 1:], axis=1), atol=2e-4)


def test_lips_close_over_an_open_jaw(ict: Head) -> None:
    """`mouthClose` as in every named head: w closes over w times the built-in's share."""
    share = 0.20 / 0.35
    for w in (0.5, 1.0):
        gap = float(lip_gap(ict, _posed(ict, jaw=share * w, mouthClose=w)))
        open_gap = float(lip_gap(ict, _posed(ict, jaw=share * w)))
        assert abs(gap) < 0.001 < 0.004 < open_gap


def test_eyes_turn_and_tongue_comes_out(ict: Head) -> None:
    for side, eye in (("Left", parts.EYE_LEFT), ("Right", parts.EYE_RIGHT)):
        ball = slice(*eye)
        up = _posed(ict, **{f"eyeLookUp{side}": 1}) - ict.template
        centre = np.asarray(ict.rest_joints)[3 + (side == "Right")]
        front = np.flatnonzero(ict.template[ball, 2] > centre[2] + 0.011)
        assert (up[ball][front, 1] > 0.002).all()
        far = np.linalg.norm(ict.template[ball] - centre, axis=1)
        turned = np.linalg.norm(up[ball] + ict.template[ball] - centre, axis=1)
        np.testing.assert_allclose(turned, far, atol=1e-6)  # round as before
    tongue = ict.regions["tongue"]
    out = _posed(ict, tongueOut=1)[tongue]
    lips = ict.template[ict.landmarks["lip_upper_mid"], 2]
    assert ict.template[tongue, 2].max() < lips < out[:, 2].max()


def test_the_survey_finds_what_the_kit_names(ict: Head, folder: Path) -> None:
    """The kit's own landmarks against those found by the shape alone."""
    from head.geometry.survey import survey

    mesh = obj.parse((folder / "generic_neutral_mesh.obj").read_bytes(), "neutral")
    found = survey(
        mesh.vertices / 100,
        mesh.faces,
        np.asarray(ict.rest_joints, np.float64)[3:],
        (parts.within(parts.EYE_LEFT), parts.within(parts.EYE_RIGHT)),
        None,
        parts.within(parts.SKIN),
    )
    for name, vertex in parts.MARKS.items():
        gap = np.linalg.norm(ict.template[found.landmarks[name]] - ict.template[vertex])
        assert gap < 0.007, f"{name}: {1000 * gap:.1f} mm"


def test_round_trip_and_archive(ict: Head, tmp_path: Path) -> None:
    save_head(ict, tmp_path / "ict.npz", exact=True)
    again = load_head(tmp_path / "ict.npz")
    assert again.jaw_open_radians == ict.jaw_open_radians
    np.testing.assert_allclose(again.expression_basis, ict.expression_basis, atol=1e-8)
    assert np.array_equal(again.pose_basis, ict.pose_basis)


def test_folders_with_something_wrong(folder: Path, tmp_path: Path) -> None:
    neutral = (folder / "generic_neutral_mesh.obj").read_bytes()
    place = tmp_path / "kit"
    place.mkdir()
    (place / "generic_neutral_mesh.obj").write_bytes(neutral)
    with pytest.raises(HeadError, match=r"jawOpen\.obj is missing"):
        import_head(place)
    (place / "jawOpen.obj").write_bytes(neutral)
    with pytest.raises(HeadError, match="does not turn the lower teeth"):
        import_head(place)
    (place / "jawOpen.obj").write_bytes(neutral[: len(neutral) // 4])
    with pytest.raises(HeadError, match=r"jawOpen\.obj has"):
        import_head(place)
    lines = neutral.split(b"\n")
    (place / "generic_neutral_mesh.obj").write_bytes(b"\n".join(lines[:9000]))
    with pytest.raises(HeadError, match="26719"):
        import_head(place)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"v 0 0\n", "not three numbers"),
        (b"v a b c\n", "not three numbers"),
        (b"v 0 0 nan\n", "not finite"),
        (b"v 0 0 0\nf 1 2 3\n", "not there"),
        (b"v 0 0 0\nf a b c\n", "not numbers"),
    ],
)
def test_broken_obj_files_get_one_line(text: bytes, says: str) -> None:
    with pytest.raises(HeadError, match=says):
        obj.parse(text, "broken")
