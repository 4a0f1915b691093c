"""ARKit weights from any head, and motion of one head on another."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from flame_files import flame_model, pickled
from scipy.optimize import lsq_linear

from head.arkit.box import box_least_squares
from head.arkit.shapes import arkit_shapes
from head.arkit.solver import SOLVED, own_motion, region_weights
from head.arkit.weights import arkit_weights, channels_from_arkit, solver_of
from head.channels import ARKIT_52, CHANNELS, INDEX, JAW_OPEN_RADIANS, MOUTH_CLOSE_RADIANS
from head.geometry.measure import lip_gap
from head.importing.flame import import_flame
from head.model import Head, HeadError
from head.retarget import retarget
from head.rig import builtin_head
from head.skinning import motion_to_parameters, skin

SOLVED_NAMES = [ARKIT_52[k] for k in SOLVED]


@pytest.fixture(scope="module")
def mixing() -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(7).normal(size=(50, 50)))[0]


@pytest.fixture(scope="module")
def flame(mixing: np.ndarray) -> Head:
    """The built-in face as a FLAME file would have it: its channels mixed and anonymous."""
    return import_flame(pickled(flame_model(builtin_head(), mixing=mixing)), "f.pkl", "flame")


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """(T, 54) smooth motion of the built-in head, in the channels that speech and brows use."""
    rng = np.random.default_rng(3)
    out = np.zeros((60, 54), np.float32)
    knots = rng.uniform(-0.4, 0.8, (13, 54)).clip(0, 0.8)
    kinds = ("mouthF", "mouthP", "mouthS", "mouthR", "brow", "eye")
    used = [INDEX[name] for name in SOLVED_NAMES if name in INDEX and name.startswith(kinds)]
    for k in [*used, 53]:
        out[:, k] = np.interp(np.arange(60) / 5, np.arange(13), knots[:, k])
    out[:, used] *= 0.5
    out[:, 53] *= 0.35
    out[:, 50:53] = 0.1
    return out


def test_the_box_solver_agrees_with_scipys() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 3, 43):
        for _ in range(20):
            tall = rng.normal(size=(2 * count, count)) * rng.uniform(0.1, 5, count)
            goal = tall @ rng.uniform(-1.5, 2.5, count) + rng.normal(size=2 * count)
            wanted = lsq_linear(tall, goal, bounds=(0, 1), tol=1e-14, method="bvls").x
            for start in (np.zeros(count), np.ones(count), rng.uniform(0, 1, count)):
                found = box_least_squares(tall.T @ tall, tall.T @ goal, start)
                np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_weights_by_name_are_as_arkit_has_them() -> None:
    head = builtin_head()
    expression = np.zeros((2, 50), np.float32)
    expression[0, INDEX["mouthClose"]] = 1.0
    expression[1, INDEX["mouthSmileLeft"]] = 0.6
    jaw = np.array([[MOUTH_CLOSE_RADIANS, 0, 0], [JAW_OPEN_RADIANS, 0, 0]], np.float32)
    found = arkit_weights(head, expression, jaw)
    # The lips are closed over the jaw as it is: ARKit's two weights are then alike.
    closed, opened = (found[:, ARKIT_52.index(name)] for name in ("mouthClose", "jawOpen"))
    assert closed[0] == pytest.approx(opened[0]) and opened[1] == pytest.approx(1.0)
    back, turned = channels_from_arkit(head, found)
    np.testing.assert_allclose(back, expression, atol=1e-6)
    np.testing.assert_allclose(turned, jaw, atol=1e-6)


def test_shapes_carried_to_the_same_face_are_its_own() -> None:
    head = builtin_head()
    shapes = arkit_shapes(head)
    face = head.regions["face"]
    for name in ("mouthSmileLeft", "mouthPucker", "eyeBlinkRight", "browInnerUp", "jawForward"):
        own = head.expression_basis[face][:, :, INDEX[name]]
        np.testing.assert_allclose(shapes[face][:, :, ARKIT_52.index(name)], own, atol=2e-4)


def test_anonymous_channels_are_named_again(
    flame: Head, mixing: np.ndarray, speech: np.ndarray
) -> None:
    """The truth is known here: weights that were mixed come back."""
    expression, _, jaw = motion_to_parameters(speech)
    truth = arkit_weights(builtin_head(), expression, jaw)
    solver = solver_of(flame)
    mixed = expression @ mixing
    for found in (arkit_weights(flame, mixed, jaw), solver.follow(mixed, jaw)):
        assert found.shape == (60, 52) and found.min() >= 0 and found.max() <= 1
        assert np.abs(found - truth).mean() < 0.025
        moving = [k for k in SOLVED if truth[:, k].std() > 0.05]
        assert len(moving) > 15
        agree = [np.corrcoef(found[:, k], truth[:, k])[0, 1] for k in moving]
        assert np.mean(agree) > 0.9 and np.median(agree) > 0.95
    made = np.stack([solver.posed(weights) for weights in arkit_weights(flame, mixed, jaw)])
    own = own_motion(flame, mixed, jaw)
    lips = flame.regions["lips"]
    error = np.linalg.norm(made - own, axis=2)[:, lips]
    moved = np.linalg.norm(own - flame.template, axis=2)[:, lips]
    assert error.mean() < 0.25 * moved.mean()


def test_weights_are_steady(flame: Head, mixing: np.ndarray, speech: np.ndarray) -> None:
    """Still motion, still weights; a little more motion, a little more weight; `follow` damps."""
    expression, _, jaw = motion_to_parameters(speech)
    mixed = (expression @ mixing).astype(np.float32)
    still = arkit_weights(flame, np.repeat(mixed[9:10], 5, axis=0), np.repeat(jaw[9:10], 5, axis=0))
    assert np.ptp(still, axis=0).max() == 0
    nudged = mixed + np.random.default_rng(5).normal(0, 0.001, mixed.shape).astype(np.float32)
    before, after = arkit_weights(flame, mixed, jaw), arkit_weights(flame, nudged, jaw)
    assert np.abs(after - before).max() < 0.05
    shaky = mixed + np.random.default_rng(6).normal(0, 0.02, mixed.shape).astype(np.float32)
    solver = solver_of(flame)
    loose, damped = arkit_weights(flame, shaky, jaw), solver.follow(shaky, jaw)
    jitter = [np.abs(np.diff(w, 2, axis=0)).mean() for w in (loose, damped)]
    assert jitter[1] < 0.9 * jitter[0]


def test_any_motion_gives_weights_in_range(flame: Head) -> None:
    rng = np.random.default_rng(1)
    wild = rng.normal(0, 30, (20, 50)).astype(np.float32)
    jaws = rng.normal(0, 1, (20, 3)).astype(np.float32)
    found = arkit_weights(flame, wild, jaws)
    assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1
    assert not arkit_weights(flame, np.zeros(50), np.zeros(3)).any()


def test_without_a_jaw_the_expressions_open_the_mouth(
    mixing: np.ndarray, speech: np.ndarray
) -> None:
    """`flame2023_no_jaw`: jawOpen is solved for, and the idle joint counts for nothing."""
    head = builtin_head()
    rest = np.zeros(50, np.float32)
    jaw = np.array([JAW_OPEN_RADIANS, 0, 0], np.float32)
    opening = skin(head, rest, jaw_pose=jaw) - head.template
    basis = head.expression_basis.copy()
    basis[:, :, INDEX["tongueOut"]] = opening  # a channel that nothing else here uses
    weights = head.skin_weights.copy()
    weights[:, 1] += weights[:, 2]
    weights[:, 2] = 0
    model = flame_model(dataclasses.replace(head, expression_basis=basis), mixing=np.eye(50))
    part = import_flame(
        pickled(model | {"weights": weights[_kept(head)].astype(np.float64)}), "n.pkl", "no-jaw"
    )
    psi = rest.copy()
    psi[INDEX["tongueOut"]] = 0.5
    found = arkit_weights(part, psi, np.array([0.3, 0, 0], np.float32))
    assert found[ARKIT_52.index("jawOpen")] == pytest.approx(0.5, abs=0.08)
    mapped = retarget(head, part)(np.concatenate([rest, np.zeros(3), [0.2]]).astype(np.float32))
    assert mapped[INDEX["tongueOut"]] == pytest.approx(0.2 / JAW_OPEN_RADIANS, abs=0.1)


def _kept(head: Head) -> np.ndarray:
    return np.concatenate([head.regions[name] for name in ("skin", "eye_left", "eye_right")])


def test_region_weights_are_shares_of_the_face(flame: Head) -> None:
    share = region_weights(flame)
    assert share.sum() == pytest.approx(1) and share.min() == 0
    assert share[flame.regions["eye_left"]].sum() == 0
    assert share[flame.regions["lips"]].sum() > 0.2


def test_motion_goes_to_flame_and_back(flame: Head, speech: np.ndarray) -> None:
    head = builtin_head()
    there, back = retarget(head, flame), retarget(flame, head)
    assert "nearest" in there.how and "ARKit" in back.how
    mapped = there(speech)
    assert mapped.shape == (60, 54)
    np.testing.assert_array_equal(mapped[:, 50:53], speech[:, 50:53])
    gaps = []
    for rig, motion in ((head, speech), (flame, mapped)):
        expression, _, jaw = motion_to_parameters(motion)
        gaps.append(lip_gap(rig, skin(rig, expression, jaw_pose=jaw)))
    assert np.corrcoef(*gaps)[0, 1] > 0.97 and np.abs(gaps[0] - gaps[1]).mean() < 0.001
    again = back(mapped)
    assert np.corrcoef(again[:, 53], speech[:, 53])[0, 1] > 0.97
    narrow = there(np.delete(speech, [50, 51, 52], axis=1))
    np.testing.assert_allclose(narrow, np.delete(mapped, [50, 51, 52], axis=1), atol=1e-6)


def test_named_heads_share_channels(speech: np.ndarray) -> None:
    head = builtin_head()
    wide = dataclasses.replace(head, id="wide", jaw_open_radians=0.5)
    mapped = retarget(head, wide)(speech)
    np.testing.assert_array_equal(mapped[:, :53], speech[:, :53])
    np.testing.assert_allclose(mapped[:, 53], speech[:, 53] * 0.5 / JAW_OPEN_RADIANS, rtol=1e-6)
    same = retarget(head, head)
    np.testing.assert_array_equal(same(speech), speech)


def test_the_same_mesh_with_other_channels(flame: Head, speech: np.ndarray) -> None:
    """FLAME 2020 on FLAME 2023: the nearest channels are found without any shapes between."""
    turn = np.linalg.qr(np.random.default_rng(8).normal(size=(50, 50)))[0].astype(np.float32)
    other = dataclasses.replace(
        flame, id="flame-2023", expression_basis=np.asarray(flame.expression_basis @ turn)
    )
    mapping = retarget(flame, other)
    assert "same mesh" in mapping.how
    motion = np.zeros((3, 54), np.float32)
    motion[:, :50] = np.random.default_rng(9).normal(0, 0.3, (3, 50))
    before = skin(flame, motion[:, :50])
    after = skin(other, mapping(motion)[:, :50])
    lips = flame.regions["lips"]
    moved = np.linalg.norm(before - flame.template, axis=2)[:, lips].mean()
    assert np.linalg.norm(after - before, axis=2)[:, lips].mean() < 0.05 * moved


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda h: {"landmarks": {}}, "lacks 'nasion'"),
        (lambda h: {"regions": {}}, "lacks 'lip_upper_inner'"),
    ],
)
def test_heads_that_cannot_be_named_say_why(
    flame: Head, change: Callable[[Head], dict[str, object]], says: str
) -> None:
    bare = dataclasses.replace(flame, id="bare", **change(flame))  # type: ignore[arg-type]
    with pytest.raises(HeadError, match=says) as caught:
        arkit_weights(bare, np.zeros(50), np.zeros(3))
    assert "\n" not in str(caught.value)
    with pytest.raises(HeadError, match="bare"):
        retarget(builtin_head(), bare)


def test_a_head_with_other_channels_takes_no_motion(flame: Head) -> None:
    few = dataclasses.replace(
        flame,
        id="few",
        expression_basis=flame.expression_basis[:, :, :20],
        expression_names=flame.expression_names[:20],
        pose_from_expression=flame.pose_from_expression[:, :20],
        joint_expression_basis=None,
    )
    with pytest.raises(HeadError, match="20 expressions"):
        retarget(builtin_head(), few)


def test_all_fifty_channels_are_arkits() -> None:
    assert set(CHANNELS) < set(ARKIT_52)
