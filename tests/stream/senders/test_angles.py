"""Turns of the head and the eyes as the angles that other programs want."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sender_readers import HEAD, rotation_of

from head.channels import ARKIT_52, CHANNELS
from stream.senders.angles import eye_angles, yaw_pitch_roll


@pytest.mark.parametrize(("axis", "place"), [(1, 0), (0, 1), (2, 2)])
def test_yaw_pitch_roll_are_turns_about_y_x_z(axis: int, place: int) -> None:
    angles = yaw_pitch_roll(rotation_of(axis, 0.4))
    expected = np.zeros(3)
    expected[place] = 0.4
    np.testing.assert_allclose(angles, expected, atol=1e-6)


def test_yaw_pitch_roll_rebuild_any_turn() -> None:
    def about(axis: int, angle: float) -> np.ndarray:
        c, s = math.cos(angle), math.sin(angle)
        matrix = np.eye(3)
        i, j = [(1, 2), (2, 0), (0, 1)][axis]
        matrix[i, i] = matrix[j, j] = c
        matrix[i, j], matrix[j, i] = -s, s
        return matrix

    from head.skinning import rotation_matrices

    turns = np.random.default_rng(0).normal(0, 0.5, (50, 3)).astype("f4")
    for turn, (yaw, pitch, roll) in zip(turns, yaw_pitch_roll(turns), strict=True):
        rebuilt = about(1, yaw) @ about(0, pitch) @ about(2, roll)
        np.testing.assert_allclose(rebuilt, rotation_matrices(turn.astype(float)), atol=1e-5)


def test_eyes_turn_as_the_head_s_own_joints() -> None:
    """What tools are told is what the built-in head's eyes do."""
    joints = HEAD.pose_from_expression.reshape(len(HEAD.joint_names), 3, -1)
    for name in [n for n in CHANNELS if n.startswith("eyeLook")]:
        weights = np.zeros(52, np.float32)
        weights[ARKIT_52.index(name)] = 1
        side = 0 if name.endswith("Left") else 1
        joint = joints[HEAD.joint_names.index(("eye_left", "eye_right")[side])]
        x, y, _ = joint[:, HEAD.expression_names.index(name)]
        np.testing.assert_allclose(eye_angles(weights)[side], [y, x], atol=1e-6)
        np.testing.assert_allclose(eye_angles(weights)[1 - side], 0, atol=1e-6)
