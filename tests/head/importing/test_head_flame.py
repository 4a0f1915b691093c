"""FLAME pickles: read as data, checked against the model's own formula, refused when wrong."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flame_files import Model, pickled, plain

from benchmarks.hostile.opcodes import Chumpy, Raw, Sparse, code, reference
from head.arkit.shapes import arkit_shapes
from head.files.pickle_reader import read_pickle
from head.files.pickled_arrays import to_array
from head.importing.flame import LIMITS, import_flame
from head.model import Head, HeadError
from head.rig import builtin_head, load_head, save_head
from head.skinning import skin


def _matrix(r: np.ndarray) -> np.ndarray:
    """Rodrigues by the exponential series of the cross-product matrix."""
    k = np.array([[0, -r[2], r[1]], [r[2], 0, -r[0]], [-r[1], r[0], 0]])
    out, term = np.eye(3), np.eye(3)
    for n in range(1, 30):
        term = term @ k / n
        out = out + term
    return out


def _flame_formula(
    m: dict[str, np.ndarray], shape: np.ndarray, expression: np.ndarray, pose: np.ndarray
) -> np.ndarray:
    """Vertices as the paper writes them (Li et al. 2017, eq. 1 to 5), one vertex list at a time.

    Its joints are those of the face with its expression, as FLAME's released code regresses them.
    `pose` (5, 3) in the file's own order of joints.
    """
    coefficients = np.zeros(400)
    coefficients[: len(shape)] = shape
    coefficients[300 : 300 + len(expression)] = expression
    turns = [_matrix(r) for r in pose]
    joints = m["J_regressor"] @ (m["v_template"] + m["shapedirs"] @ coefficients)
    feature = np.concatenate([(t - np.eye(3)).reshape(-1) for t in turns[1:]])
    shaped = m["v_template"] + m["shapedirs"] @ coefficients + m["posedirs"] @ feature
    world = []
    for k, turn in enumerate(turns):
        local = np.eye(4)
        local[:3, :3] = turn
        parent = int(m["kintree_table"][0, k]) if k else -1
        local[:3, 3] = joints[k] - (joints[parent] if k else 0)
        world.append(local if not k else world[parent] @ local)
    out = np.zeros_like(shaped)
    for k, frame in enumerate(world):
        moved = (shaped - joints[k]) @ frame[:3, :3].T + frame[:3, 3]
        out += m["weights"][:, k : k + 1] * moved
    return out


def test_vertices_are_those_of_flames_own_formula(model: Model, flame: Head) -> None:
    rng = np.random.default_rng(2)
    shape, expression = rng.normal(size=100), rng.normal(size=50)
    pose = rng.normal(0, 0.3, (5, 3))
    wanted = _flame_formula(plain(model), shape, expression, pose)
    ours = skin(
        flame,
        expression.astype(np.float32),
        shape=shape.astype(np.float32),
        global_rotation=pose[0].astype(np.float32),
        neck_pose=pose[1].astype(np.float32),
        jaw_pose=pose[2].astype(np.float32),
        eye_pose=pose[3:].reshape(-1).astype(np.float32),
    )
    assert np.abs(ours - wanted).max() < 2e-6  # metres
    assert np.abs(wanted - plain(model)["v_template"]).max() > 0.02  # it did move
    still = replace(flame, joints_follow_expression=False, joint_expression_basis=None)
    apart = skin(still, expression.astype("f4"), jaw_pose=pose[2].astype("f4"))
    together = skin(flame, expression.astype("f4"), jaw_pose=pose[2].astype("f4"))
    assert np.abs(apart - together).max() > 2e-5  # and joints that do not follow would show


def test_joints_follow_the_expression_through_parts_files_and_torch(
    flame: Head, tmp_path: Path
) -> None:
    rng = np.random.default_rng(4)
    expression = rng.normal(size=(3, 50)).astype("f4")
    turned = {
        "jaw_pose": np.array([0.3, 0, 0], "f4"),
        "global_rotation": np.array([0, 0.4, 0], "f4"),
    }
    wanted = skin(flame, expression, **turned)
    index = np.arange(0, flame.vertex_count, 7)
    np.testing.assert_allclose(
        skin(flame.subset(index), expression, **turned), wanted[:, index], atol=1e-6
    )
    save_head(flame, tmp_path / "flame.npz", exact=True)
    np.testing.assert_allclose(
        skin(load_head(tmp_path / "flame.npz"), expression, **turned), wanted, atol=1e-6
    )
    assert builtin_head().joint_expression_basis is None


def test_the_file_on_disk_keeps_single_precision(flame: Head, tmp_path: Path) -> None:
    save_head(flame, tmp_path / "flame.npz", exact=True)
    again = load_head(tmp_path / "flame.npz")
    np.testing.assert_allclose(again.expression_basis, flame.expression_basis, rtol=3e-7)
    np.testing.assert_allclose(again.shape_basis, flame.shape_basis, rtol=3e-7)
    assert np.array_equal(again.pose_basis, flame.pose_basis)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flame.npz"]


def test_landmarks_and_regions_are_found_by_the_shape_alone(flame: Head) -> None:
    head = builtin_head()
    near = {"menton": 6.0}  # where a chin ends is a matter of taste
    for name, vertex in head.landmarks.items():
        gap = np.linalg.norm(head.template[vertex] - flame.template[flame.landmarks[name]])
        assert gap * 1000 < near.get(name, 4.0), name
    kept = np.concatenate([head.regions[name] for name in ("skin", "eye_left", "eye_right")])
    place = {int(v): i for i, v in enumerate(kept)}
    for name, share in {"lips": 0.8, "mouth": 0.85, "eyelids": 0.8, "upper_face": 0.9}.items():
        truth = {place[int(v)] for v in head.regions[name] if int(v) in place}
        assert len(truth & set(flame.regions[name].tolist())) > share * len(truth), name


def test_eyes_are_told_apart_by_their_side(model: Model, flame: Head) -> None:
    """A file whose joint 3 is the right eye gives the same head."""
    order = [0, 1, 2, 4, 3]
    other = dict(model)
    arrays = plain(model)
    other["weights"] = arrays["weights"][:, order]
    other["J_regressor"] = Sparse(arrays["J_regressor"][order])
    posedirs = arrays["posedirs"].reshape(-1, 3, 4, 9)[:, :, [0, 1, 3, 2]]
    other["posedirs"] = posedirs.reshape(-1, 3, 36)
    turned = import_flame(pickled(other), "turned.pkl", "flame")
    rest = np.asarray(turned.rest_joints)
    np.testing.assert_allclose(rest, flame.rest_joints, atol=1e-6)
    assert rest[3, 0] > 0 > rest[4, 0]
    look = {"eye_pose": np.array([0.2, 0.1, 0, -0.1, 0.3, 0], np.float32)}
    zero = np.zeros(50, np.float32)
    np.testing.assert_allclose(skin(turned, zero, **look), skin(flame, zero, **look), atol=1e-6)


def test_a_file_without_a_jaw(model: Model) -> None:
    """`flame2023_no_jaw`: nothing follows the jaw joint, and the lips are found all the same."""
    weights = plain(model)["weights"].copy()
    weights[:, 1] += weights[:, 2]
    weights[:, 2] = 0
    head = import_flame(pickled(dict(model, weights=weights)), "no_jaw.pkl", "flame-2023-no-jaw")
    seal = head.template[head.landmarks["lip_upper_mid"]] * 1000
    truth = builtin_head()
    wanted = truth.template[truth.landmarks["lip_upper_mid"]] * 1000
    assert np.linalg.norm(seal - wanted) < 4


def test_other_writers_of_the_same_arrays(model: Model, flame: Head) -> None:
    """Plain numpy, Fortran order, big endian, single precision, all protocols of Python 3."""
    arrays = plain(model)
    arrays["v_template"] = np.asfortranarray(arrays["v_template"])
    arrays["weights"] = arrays["weights"].astype(">f8")
    arrays["f"] = arrays["f"].astype(np.int64)
    arrays["shapedirs"] = arrays["shapedirs"][:, :, 290:360].astype(np.float32)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps(arrays, protocol=protocol)
        head = import_flame(data, "other.pkl", "other", shapes=5, first_expression=10)
        np.testing.assert_allclose(head.template, flame.template, atol=1e-7)
        np.testing.assert_allclose(head.expression_basis, flame.expression_basis, atol=1e-8)
        assert head.shape_count == 5


def test_selections_of_chumpy_arrays() -> None:
    base = np.arange(12.0)
    state = {"a": Chumpy(base), "idxs": np.array([3, 1, 2, 0]), "preferred_shape": (2, 2)}
    made = reference("copy_reg", "_reconstructor") + reference("chumpy.reordering", "Select")
    select = Raw(made + reference("__builtin__", "object") + b"N\x87R" + code(state) + b"b")
    found = read_pickle(pickled({"v": select}), LIMITS)
    assert to_array(found["v"], "v").tolist() == [[3, 1], [2, 0]]


def _small(model: Model) -> Model:
    """The model with its shapes left out, quick to write."""
    return dict(model, shapedirs=np.zeros((len(plain(model)["v_template"]), 3, 400), np.float32))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: {"weights": None}, "weights is no array of numbers"),
        (lambda m: {"weights": plain(m)["weights"][:, :4]}, "weights has shape"),
        (lambda m: {"weights": plain(m)["weights"] * 2}, "sum to one"),
        (lambda m: {"f": plain(m)["f"] + 5000}, "vertices that are not there"),
        (lambda m: {"f": plain(m)["f"][:, :2]}, "not triangles"),
        (lambda m: {"shapedirs": np.zeros((3335, 3, 150))}, "--first-expression"),
        (lambda m: {"shapedirs": np.zeros((10, 3, 400))}, "shapedirs has shape"),
        (lambda m: {"posedirs": np.zeros((3335, 3, 207))}, "posedirs has shape"),
        (lambda m: {"v_template": plain(m)["v_template"] * 100}, "unit is the metre"),
        (lambda m: {"v_template": plain(m)["v_template"] * np.nan}, "not finite"),
        (lambda m: {"kintree_table": np.zeros((2, 5), np.int64)}, "hang together"),
        (lambda m: {"f": "triangles"}, "f is no array of numbers"),
        (lambda m: {"v_template": np.zeros((3335, 3)) + [[0, 0.1, 0]] * 3335}, "m high"),
    ],
)
def test_models_that_do_not_fit_get_one_line(
    model: Model, change: Callable[[Model], Model], says: str
) -> None:
    with pytest.raises(HeadError, match=says) as caught:
        import_flame(pickled(_small(model) | change(model)), "odd.pkl", "odd")
    assert "\n" not in str(caught.value)


def test_missing_parts_are_named(model: Model) -> None:
    part = {key: value for key, value in _small(model).items() if key != "posedirs"}
    with pytest.raises(HeadError, match=r"lacks posedirs"):
        import_flame(pickled(part), "part.pkl", "part")
    with pytest.raises(HeadError, match="no FLAME model"):
        import_flame(pickle.dumps([1, 2]), "list.pkl", "list")


def test_a_face_that_cannot_be_read_comes_without_regions(
    model: Model, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Right shapes, but noise: no nose, no lips. It moves; one line says what it cannot do."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(-0.1, 0.1, plain(model)["v_template"].shape)
    head = import_flame(pickled(_small(model) | {"v_template": noise}), "noise.pkl", "noise")
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("noise.pkl: ") and "without regions" in line and "\n" not in line
    assert "lip metrics" in line and "ARKit" in line and "--landmarks" in line
    assert sorted(head.regions) == ["eye_left", "eye_right", "skin"] and not head.landmarks
    save_head(head, tmp_path / "noise.npz")
    moved = skin(load_head(tmp_path / "noise.npz"), np.ones(50, np.float32))
    assert np.isfinite(moved).all()
    with pytest.raises(HeadError, match="none can be solved for"):
        arkit_shapes(head)
    with pytest.raises(HeadError, match="has no region 'lips'"):
        head.region("lips")


def test_named_landmarks_stand_for_what_is_not_found(
    model: Model, flame: Head, caplog: pytest.LogCaptureFixture
) -> None:
    """A mouth that is open at rest has no line between its lips, but its landmarks are enough."""
    template = plain(model)["v_template"].copy()
    jaw = plain(model)["weights"][:, 2] > 0.3
    template[jaw, 1] -= 0.02
    opened = pickled(_small(model) | {"v_template": template})
    import_flame(opened, "open.pkl", "open")
    assert "no line between the lips" in caplog.text and "mouth_right" in caplog.text
    caplog.clear()
    names = ("mouth_right", "lip_upper_mid", "lip_lower_mid", "mouth_left")
    marks = {name: flame.landmarks[name] for name in names}
    head = import_flame(opened, "open.pkl", "open", landmarks=marks)
    assert not caplog.records and {"lips", "mouth", "lip_gap_upper"} <= head.regions.keys()
    assert all(head.landmarks[name] == vertex for name, vertex in marks.items())
    gap = head.template[head.regions["lip_gap_upper"], 1].mean()
    assert gap - head.template[head.regions["lip_gap_lower"], 1].mean() > 0.01
    with pytest.raises(HeadError, match="is no landmark"):
        import_flame(opened, "open.pkl", "open", landmarks={"ear": 3})
    with pytest.raises(HeadError, match="vertices 0 to"):
        import_flame(opened, "open.pkl", "open", landmarks={"chin": 10**6})
