"""Linear blend skinning, once, for numpy arrays and torch tensors (and their gradients).

FLAME's order: identity and expression displace the template, the joints are found on that face (on
FLAME's heads with its expression, as its code has it), pose correctives are added, then the joints
turn: FLAME (Li et al. 2017) eq. 1 to 4, SMPL (Loper et al. 2015) eq. 2.
The namespace is taken from the type of the arguments; torch is never imported here.
"""

from __future__ import annotations

import sys
import weakref
from typing import Any

import numpy as np

from head.errors import WrongValue
from head.model import Head

Array = Any
"""A numpy array or a torch tensor; all arguments of one call are of one kind."""

_CONSTANTS: weakref.WeakKeyDictionary[Head, dict[Any, dict[str, Any]]] = weakref.WeakKeyDictionary()
_ARRAYS = (
    "template",
    "shape_basis",
    "expression_basis",
    "skin_weights",
    "pose_from_expression",
    "pose_basis",
    "rest_joints",
    "joint_shape_basis",
    "joint_expression_basis",
)


def skin(
    head: Head,
    expression: Array,
    *,
    global_rotation: Array | None = None,
    jaw_pose: Array | None = None,
    neck_pose: Array | None = None,
    eye_pose: Array | None = None,
    shape: Array | None = None,
) -> Array:
    """Vertices (..., V, 3) in metres for channel weights (..., E).

    The global rotation turns the head's `turning_joint`: FLAME's root, or the neck of a head with
    shoulders, which stay where they are.

    `global_rotation`, `jaw_pose`, `neck_pose` (..., 3) and `eye_pose` (..., 6: left, right) are
    axis-angle in radians, `shape` (..., S) identity weights (fewer than S: the rest is zero).
    What is left out is zero. Leading dimensions broadcast. The result has the kind, precision and
    device of `expression`.
    """
    xp = _namespace(expression)
    rig = _constants(head, expression)
    batch = expression.shape[:-1]
    moved = rig["template"] + _combine(xp, rig["expression_basis"], expression)
    joints = rig["rest_joints"]
    if rig["joint_expression_basis"] is not None:
        joints = joints + _combine(xp, rig["joint_expression_basis"], expression)
    if shape is not None:
        count = shape.shape[-1]
        moved = moved + _combine(xp, rig["shape_basis"][..., :count], shape)
        joints = joints + _combine(xp, rig["joint_shape_basis"][..., :count], shape)
        batch = np.broadcast_shapes(tuple(batch), tuple(shape.shape[:-1]))
    pose = _pose(xp, head, rig, expression, global_rotation, neck_pose, jaw_pose, eye_pose)
    batch = np.broadcast_shapes(tuple(batch), tuple(pose.shape[:-2]))
    rotations = rotation_matrices(pose)  # (..., J, 3, 3)
    if rig["pose_basis"] is not None:
        turned = rotations[..., 1:, :, :] - rig["identity"]
        moved = moved + _combine(xp, rig["pose_basis"], turned.reshape(*turned.shape[:-3], -1))
    joints = xp.broadcast_to(joints, (*batch, head.joint_count, 3))
    linear, offset = _chain(xp, head.parents, rotations, joints)
    blend = xp.concatenate((linear, offset[..., None]), -1)  # (..., J, 3, 4)
    flat = blend.reshape(*blend.shape[:-3], head.joint_count, 12)
    per_vertex = xp.matmul(rig["skin_weights"], flat)
    per_vertex = per_vertex.reshape(*per_vertex.shape[:-1], 3, 4)
    return (per_vertex[..., :3] * moved[..., None, :]).sum(-1) + per_vertex[..., 3]


def rotation_matrices(axis_angle: Array) -> Array:
    """Axis-angle (..., 3) in radians to matrices (..., 3, 3), smooth through zero (Rodrigues)."""
    xp = _namespace(axis_angle)
    angle = xp.sqrt((axis_angle * axis_angle).sum(-1) + 1e-16)[..., None, None]
    first = xp.sin(angle) / angle
    half = xp.sin(angle / 2) / (angle / 2)
    second = half * half / 2
    x, y, z = axis_angle[..., 0], axis_angle[..., 1], axis_angle[..., 2]
    zero = xp.zeros_like(x)
    cross = xp.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1)
    cross = cross.reshape(*axis_angle.shape[:-1], 3, 3)
    one = xp.ones_like(x)
    identity = xp.stack((one, zero, zero, zero, one, zero, zero, zero, one), -1)
    identity = identity.reshape(*axis_angle.shape[:-1], 3, 3)
    return identity + first * cross + second * xp.matmul(cross, cross)


def motion_to_parameters(motion: Array) -> tuple[Array, Array, Array]:
    """Motion (..., 54) -> expression (..., 50), global rotation (..., 3), jaw pose (..., 3).

    Models without head rotation make (..., 51), expression and jaw: their rotation is zero.

    Raises:
        ValueError: another number of channels.
    """
    xp = _namespace(motion)
    channels = motion.shape[-1] if motion.ndim else 0
    if channels not in (51, 54):
        raise WrongValue(
            f"motion of {channels} channels: give 54 (expression, head rotation, jaw), or 51 "
            "without the rotation"
        )
    jaw = motion[..., -1:]
    zero = xp.zeros_like(jaw)
    still = xp.concatenate((zero, zero, zero), -1)
    rotation = motion[..., 50:53] if channels == 54 else still
    return motion[..., :50], rotation, xp.concatenate((jaw, zero, zero), -1)


def parameters_to_motion(expression: Array, global_rotation: Array, jaw_pose: Array) -> Array:
    """The reverse of `motion_to_parameters`; the jaw's y and z are not part of motion."""
    xp = _namespace(expression)
    return xp.concatenate((expression, global_rotation, jaw_pose[..., :1]), -1)


def _pose(
    xp: Any, head: Head, rig: dict[str, Any], expression: Array, *parts: Array | None
) -> Array:
    """Axis-angle of every joint (..., J, 3): what is asked for plus what the channels add."""
    gaze = xp.matmul(expression, rig["pose_from_expression"].T)
    widths = (3, 3, 3, 6)
    given = [
        xp.zeros_like(gaze[..., :width]) if part is None else part
        for part, width in zip(parts, widths, strict=True)
    ]
    batch = np.broadcast_shapes(tuple(gaze.shape[:-1]), *(tuple(g.shape[:-1]) for g in given))
    asked = xp.concatenate([xp.broadcast_to(g, (*batch, g.shape[-1])) for g in given], -1)
    pose = asked + gaze
    pose = pose.reshape(*pose.shape[:-1], head.joint_count, 3)
    turning = head.joint_names.index(head.turning_joint)
    if turning:
        root = pose[..., :1, :]
        kept = [pose[..., 1:turning, :], pose[..., turning : turning + 1, :] + root]
        pose = xp.concatenate((xp.zeros_like(root), *kept, pose[..., turning + 1 :, :]), -2)
    return pose


def _chain(xp: Any, parents: tuple[int, ...], rotations: Array, joints: Array) -> tuple[Any, Any]:
    """World rotation and offset of every joint, so that a rest point p moves to R p + t."""
    linear = [rotations[..., 0, :, :]]
    origin = [joints[..., 0, :]]
    for child in range(1, len(parents)):
        parent = parents[child]
        bone = joints[..., child, :] - joints[..., parent, :]
        origin.append(origin[parent] + _turn(xp, linear[parent], bone))
        linear.append(xp.matmul(linear[parent], rotations[..., child, :, :]))
    stacked = xp.stack(linear, -3)
    offset = xp.stack(origin, -2) - _turn(xp, stacked, joints)
    return xp.broadcast_to(stacked, (*offset.shape, 3)), offset


def _turn(xp: Any, matrices: Array, vectors: Array) -> Array:
    return xp.matmul(matrices, vectors[..., None])[..., 0]


def _combine(xp: Any, basis: Array, weights: Array) -> Array:
    """Basis (N, 3, C) times weights (..., C) -> (..., N, 3)."""
    flat = xp.matmul(weights, basis.reshape(-1, basis.shape[-1]).T)
    return flat.reshape(*weights.shape[:-1], basis.shape[0], 3)


def _namespace(array: Array) -> Any:
    if isinstance(array, np.ndarray):
        return np
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return torch
    raise TypeError(f"expected a numpy array or a torch tensor, got {type(array).__name__}")


def _convert(array: Array, like: Array) -> Array:
    if isinstance(like, np.ndarray):
        return np.asarray(array, dtype=like.dtype if like.dtype.kind == "f" else np.float32)
    return sys.modules["torch"].tensor(array, dtype=like.dtype, device=like.device)


def _constants(head: Head, like: Array) -> dict[str, Any]:
    """The rig's arrays in the kind, precision and device of `like`, converted once."""
    xp = _namespace(like)
    key = (xp.__name__, like.dtype, str(getattr(like, "device", "")))
    known = _CONSTANTS.setdefault(head, {})
    if key not in known:
        arrays = {name: getattr(head, name) for name in _ARRAYS} | {
            "identity": np.eye(3, dtype=np.float32)
        }
        known[key] = {n: None if a is None else _convert(a, like) for n, a in arrays.items()}
    return known[key]
