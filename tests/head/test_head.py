"""Head files: what is written is read back, and wrong files get one clear line."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
import pytest

from head import rig
from head.arkit.weights import arkit_weights
from head.channels import ARKIT_52, CHANNELS, INDEX, JAW_OPEN_RADIANS, mirrored
from head.geometry.measure import lip_gap
from head.model import Head, HeadError
from head.rig import BUILTIN_ID, builtin_head, load_head, save_head
from head.skinning import skin


@pytest.fixture(scope="module")
def head() -> Head:
    return builtin_head()


def test_round_trip_keeps_the_head(head: Head, tmp_path: Path) -> None:
    save_head(head, tmp_path / "a.npz")
    again = load_head(tmp_path / "a.npz")
    for item in dataclasses.fields(head):
        one, other = getattr(head, item.name), getattr(again, item.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype
            # deltas are kept in half precision, of the largest of their channel
            np.testing.assert_allclose(other, one, atol=1e-5 if "basis" in item.name else 0)
        elif item.name == "regions":
            assert one.keys() == other.keys()
            assert all((one[name] == other[name]).all() for name in one)
        else:
            assert one == other, item.name


def test_same_head_same_bytes(head: Head, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        save_head(head, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert (tmp_path / "a.npz").stat().st_size < 3e6


def test_builtin_is_found_by_its_id(head: Head) -> None:
    assert load_head(BUILTIN_ID) is head
    assert head.id == BUILTIN_ID


def test_arrays_cannot_be_changed(head: Head) -> None:
    with pytest.raises(ValueError, match="read-only"):
        head.template[0] = 0


def _truncated(path: Path, data: bytes) -> None:
    path.write_bytes(data[: len(data) // 2])


def _garbage(path: Path, data: bytes) -> None:
    path.write_bytes(b"PK not a head" * 100)


def _empty(path: Path, data: bytes) -> None:
    path.write_bytes(b"")


def _other_npz(path: Path, data: bytes) -> None:
    np.savez(path, weights=np.zeros(3))


def _single_array(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def _pickled(path: Path, data: bytes) -> None:
    np.savez(path, about=np.array([{"format": "posetalk-head"}], dtype=object))


def _part_missing(path: Path, data: bytes) -> None:
    path.with_suffix(".whole").write_bytes(data)
    with zipfile.ZipFile(path.with_suffix(".whole")) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            if name != "faces.npy":
                new.writestr(name, old.read(name))


def _bit_flipped(path: Path, data: bytes) -> None:
    middle = len(data) // 2
    path.write_bytes(data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_truncated, "not a whole npz"),
        (_garbage, "not a whole npz"),
        (_empty, "not a whole npz"),
        (_bit_flipped, "not a whole npz"),
        (_other_npz, "holds no posetalk head"),
        (_single_array, "not a head npz"),
        (_pickled, "not a whole npz"),
        (_part_missing, "lacks a part of the head"),
    ],
)
def test_wrong_files_get_one_line(head: Head, tmp_path: Path, spoil, says: str) -> None:  # type: ignore[no-untyped-def]
    save_head(head, tmp_path / "good.npz")
    spoil(tmp_path / "bad.npz", (tmp_path / "good.npz").read_bytes())
    with pytest.raises(HeadError, match=says) as caught:
        load_head(tmp_path / "bad.npz")
    assert "\n" not in str(caught.value)


def test_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(HeadError, match=BUILTIN_ID):
        load_head(tmp_path / "nothing.npz")
    with pytest.raises(HeadError, match="cannot read"):
        load_head(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda h: {"template": h.template[:-1]}, "template|faces|shape"),
        (lambda h: {"template": h.template * np.float32(np.nan)}, "not finite"),
        (lambda h: {"faces": h.faces + h.vertex_count}, "vertices that do not exist"),
        (lambda h: {"skin_weights": h.skin_weights * 2}, "sum to one"),
        (lambda h: {"materials": h.materials[:1]}, "materials that do not exist"),
        (lambda h: {"landmarks": {"chin": 10**6}}, "landmark 'chin'"),
        (lambda h: {"parents": (-1, 0, 3, 1, 1)}, "after its parent"),
    ],
)
def test_parts_that_do_not_fit_are_refused(head: Head, change, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(HeadError, match=says):
        dataclasses.replace(head, **change(head))


def test_subset_moves_like_the_whole(head: Head) -> None:
    keep = np.unique(np.concatenate([head.regions["lips"], head.regions["eye_left"]]))
    part = head.subset(keep)
    rng = np.random.default_rng(1)
    weights = rng.uniform(0, 1, (3, 50)).astype(np.float32)
    pose = {"jaw_pose": np.array([0.2, 0, 0], np.float32), "shape": np.ones(4, np.float32)}
    np.testing.assert_allclose(
        skin(part, weights, **pose), skin(head, weights, **pose)[:, keep], atol=1e-6
    )
    np.testing.assert_allclose(
        lip_gap(part, skin(part, weights, **pose)),
        lip_gap(head, skin(head, weights, **pose)),
        atol=1e-6,
    )
    for wrong in (np.array([-1]), np.array([head.vertex_count]), np.array([1, 1]), np.array([])):
        with pytest.raises(HeadError):
            head.subset(wrong.astype(int))


def test_channels_are_arkits_without_jaw_open_and_cheek_puff() -> None:
    assert len(CHANNELS) == 50 and len(ARKIT_52) == 52
    assert set(ARKIT_52) - set(CHANNELS) == {"jawOpen", "cheekPuff"}
    assert mirrored("mouthSmileLeft") == "mouthSmileRight"
    assert mirrored("jawRight") == "jawLeft"
    assert mirrored("mouthFunnel") == "mouthFunnel"


def test_arkit_weights_by_name(head: Head) -> None:
    expression = np.zeros((2, 50), np.float32)
    expression[0, INDEX["mouthPucker"]] = 0.7
    expression[1, INDEX["tongueOut"]] = 1.4
    jaw = np.array([[JAW_OPEN_RADIANS / 2, 0, 0], [-0.1, 0, 0]], np.float32)
    weights = arkit_weights(head, expression, jaw)
    assert weights.shape == (2, 52)
    assert weights[0, ARKIT_52.index("mouthPucker")] == pytest.approx(0.7)
    assert weights[0, ARKIT_52.index("jawOpen")] == pytest.approx(0.5)
    assert weights[1, ARKIT_52.index("tongueOut")] == 1.0
    assert weights[1, ARKIT_52.index("jawOpen")] == 0.0
    assert np.count_nonzero(weights) == 3


@pytest.mark.slow
def test_the_shipped_files_are_what_the_code_models(tmp_path: Path) -> None:
    from head.modelling.assemble import build, half_skin
    from head.modelling.builtin import model
    from head.modelling.characters import CHARACTERS

    assert tuple(CHARACTERS) == rig.CHARACTERS
    base = half_skin()
    for name, who in CHARACTERS.items():
        save_head(model(build(base, who.hair, who.brows, who.lashes), name), tmp_path / "again.npz")
        again, head = load_head(tmp_path / "again.npz"), load_head(name)
        assert again.faces.shape == head.faces.shape and (again.faces == head.faces).mean() > 0.99
        np.testing.assert_allclose(again.template, head.template, atol=2e-4)
        assert again.landmarks == head.landmarks and again.materials == head.materials
