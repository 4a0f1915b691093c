"""Skinning against a slow formula written another way, and numpy against torch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from head.geometry.measure import eye_opening, lip_gap, lip_protrusion, mouth_width
from head.model import Head
from head.rig import builtin_head
from head.skinning import motion_to_parameters, parameters_to_motion, rotation_matrices, skin


@pytest.fixture(scope="module")
def head() -> Head:
    """The built-in head with pose correctives added, which it does not have itself."""
    rng = np.random.default_rng(3)
    plain = builtin_head()
    correctives = rng.normal(0, 1e-3, (plain.vertex_count, 3, 36)).astype(np.float32)
    return dataclasses.replace(plain, pose_basis=correctives)


def _quaternion_matrix(r: np.ndarray) -> np.ndarray:
    """Rotation by way of a quaternion."""
    angle = np.linalg.norm(r)
    if angle == 0:
        return np.eye(3)
    w, (x, y, z) = np.cos(angle / 2), np.sin(angle / 2) * r / angle
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _naive(head: Head, expression: np.ndarray, pose: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """One frame in double precision with 4x4 matrices, joint by joint; `pose` is (J, 3)."""
    shaped = head.template + head.shape_basis.astype(float) @ shape
    joints = head.joint_regressor.astype(float) @ shaped
    full = pose + (head.pose_from_expression.astype(float) @ expression).reshape(-1, 3)
    turns = [_quaternion_matrix(r) for r in full]
    assert head.pose_basis is not None
    feature = np.concatenate([(t - np.eye(3)).ravel() for t in turns[1:]])
    moved = shaped + head.expression_basis.astype(float) @ expression
    moved = moved + head.pose_basis.astype(float) @ feature
    out = np.zeros_like(moved)
    for j in range(len(joints)):
        matrix, k = np.eye(4), j
        while k >= 0:  # from the joint up to the root
            local = np.eye(4)
            local[:3, :3] = turns[k]
            local[:3, 3] = joints[k] - turns[k] @ joints[k]
            matrix = local @ matrix
            k = head.parents[k]
        homogeneous = np.c_[moved, np.ones(len(moved))] @ matrix.T
        out += head.skin_weights[:, j : j + 1] * homogeneous[:, :3]
    return out


@pytest.mark.parametrize("turning_joint", ["root", "neck"])
def test_equals_the_naive_formula(head: Head, turning_joint: str) -> None:
    rng = np.random.default_rng(0)
    head = dataclasses.replace(head, turning_joint=turning_joint)
    for _ in range(3):
        expression = rng.uniform(-0.2, 1, 50)
        shape = rng.normal(0, 1, head.shape_count)
        pose = rng.normal(0, 0.3, (5, 3))
        ours = skin(
            head,
            expression,
            global_rotation=pose[0],
            neck_pose=pose[1],
            jaw_pose=pose[2],
            eye_pose=pose[3:].ravel(),
            shape=shape,
        )
        if turning_joint == "neck":
            pose = np.stack([np.zeros(3), pose[0] + pose[1], *pose[2:]])
        np.testing.assert_allclose(ours, _naive(head, expression, pose, shape), atol=2e-7)


def test_the_builtin_head_turns_above_its_shoulders() -> None:
    head = builtin_head()
    still, turned = (
        skin(head, np.zeros(50), global_rotation=np.array([0.1, y, 0.0])) for y in (-0.2, 0.2)
    )
    moved = np.linalg.norm(turned - still, axis=-1)
    shirt = [m.name for m in head.materials].index("shirt")
    shirt = np.unique(head.faces[head.face_material == shirt])
    assert moved[shirt].max() < 0.004 < 0.02 < moved[head.landmarks["lip_upper_mid"]]


def test_torch_equals_numpy_and_has_gradients(head: Head) -> None:
    rng = np.random.default_rng(1)
    expression = rng.uniform(0, 1, (2, 3, 50)).astype(np.float32)
    jaw = rng.normal(0, 0.2, (2, 3, 3)).astype(np.float32)
    turn = rng.normal(0, 0.2, (3, 3)).astype(np.float32)  # broadcast over the first dimension
    shape = rng.normal(0, 1, (2, 1, 4)).astype(np.float32)
    expected = skin(head, expression, jaw_pose=jaw, global_rotation=turn, shape=shape)
    assert expected.shape == (2, 3, head.vertex_count, 3) and expected.dtype == np.float32
    tensors = [torch.tensor(a, requires_grad=True) for a in (expression, jaw, turn, shape)]
    ours = skin(head, tensors[0], jaw_pose=tensors[1], global_rotation=tensors[2], shape=tensors[3])
    np.testing.assert_allclose(ours.detach().numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(
        lip_gap(head, ours).detach().numpy(), lip_gap(head, expected), atol=1e-6
    )
    ours.square().sum().backward()
    assert all(t.grad is not None and torch.isfinite(t.grad).all() for t in tensors)
    assert all(t.grad is not None and t.grad.abs().sum() > 0 for t in tensors)


def test_gradient_at_rest_is_finite(head: Head) -> None:
    jaw = torch.zeros(3, requires_grad=True)
    gap = lip_gap(head, skin(head, torch.zeros(50), jaw_pose=jaw))
    gap.backward()
    assert jaw.grad is not None and torch.isfinite(jaw.grad).all()
    assert jaw.grad[0] > 0.05  # metres per radian: the jaw opens the mouth


def test_rotations_are_rotations_through_zero() -> None:
    for angle in (0.0, 1e-9, 1e-4, 0.5, np.pi, 6.0):
        matrix = rotation_matrices(np.array([0.6, 0.0, 0.8]) * angle)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(
            matrix, _quaternion_matrix(np.array([0.6, 0, 0.8]) * angle), atol=1e-8
        )


def test_motion_vectors_and_parameters() -> None:
    motion = np.random.default_rng(2).normal(size=(4, 54)).astype(np.float32)
    expression, rotation, jaw = motion_to_parameters(motion)
    assert (expression.shape, rotation.shape, jaw.shape) == ((4, 50), (4, 3), (4, 3))
    assert (jaw[:, 0] == motion[:, 53]).all() and not jaw[:, 1:].any()
    assert (parameters_to_motion(expression, rotation, jaw) == motion).all()
    tensor = torch.tensor(motion)
    assert (parameters_to_motion(*motion_to_parameters(tensor)) == tensor).all()


def test_motion_without_head_rotation_keeps_the_head_still() -> None:
    motion = np.random.default_rng(3).normal(size=(2, 5, 51)).astype(np.float32)
    for given in (motion, torch.tensor(motion)):
        expression, rotation, jaw = motion_to_parameters(given)
        assert (expression == given[..., :50]).all() and (jaw[..., 0] == given[..., 50]).all()
        assert rotation.shape == (2, 5, 3) and not rotation.any()


@pytest.mark.parametrize("shape", [(4, 53), (4, 56), (4, 0), ()])
def test_motion_of_other_widths_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"54 .* or 51"):
        motion_to_parameters(np.zeros(shape, np.float32))


def test_measures_have_the_batch_shape(head: Head) -> None:
    vertices = skin(head, np.zeros((2, 3, 50), np.float32))
    for value in (
        lip_gap(head, vertices),
        mouth_width(head, vertices),
        lip_protrusion(head, vertices),
        eye_opening(head, vertices, "left"),
    ):
        assert value.shape == (2, 3)


def test_wrong_kinds_are_named(head: Head) -> None:
    with pytest.raises(TypeError, match="list"):
        skin(head, [0.0] * 50)
