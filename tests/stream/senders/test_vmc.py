"""VMC: every message against the published layout."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sender_readers import read_osc, rotation_of

from head.channels import ARKIT_52
from stream.frames import Frame
from stream.senders.angles import quaternion
from stream.senders.vmc import VmcEncoder, unity_rotation


def test_a_frame_in_vmc() -> None:
    weights = np.linspace(0, 0.51, 52).astype("f4")
    values = np.concatenate([weights, rotation_of(0, 0.2)])
    encode = VmcEncoder("arkit")
    encode(Frame(7, 4480, np.zeros(54, "f4")), values, 0.0)
    datagrams = encode(Frame(8, 5120, np.zeros(54, "f4")), values, 0.0)
    assert all(len(data) <= 1500 for data in datagrams)
    messages = read_osc(datagrams)
    assert messages[0] == ("/VMC/Ext/OK", [1, 3, 0, 1])
    assert messages[1][0] == "/VMC/Ext/T" and messages[1][1] == [pytest.approx(0.04)]
    assert messages[-1] == ("/VMC/Ext/Blend/Apply", [])
    shapes = {v[0]: v[1] for address, v in messages if address == "/VMC/Ext/Blend/Val"}
    assert {name.lower() for name in shapes} == {name.lower() for name in ARKIT_52}
    for name, weight in zip(ARKIT_52, weights, strict=True):
        assert shapes[name[0].upper() + name[1:]] == pytest.approx(weight)
    bones = {v[0]: v[1:] for address, v in messages if address == "/VMC/Ext/Bone/Pos"}
    assert set(bones) == {"Head", "LeftEye", "RightEye"}
    # 0.2 rad about the axis through the ears: nodding down is positive about x in Unity too.
    np.testing.assert_allclose(bones["Head"][:3], 0)
    np.testing.assert_allclose(bones["Head"][3:], [math.sin(0.1), 0, 0, math.cos(0.1)], atol=1e-6)


def test_rotations_are_mirrored_into_unity_s_axes() -> None:
    """Turning a vector and mirroring it is mirroring it and turning by the mirrored rotation."""
    from head.skinning import rotation_matrices

    def turned(q: np.ndarray, v: np.ndarray) -> np.ndarray:
        x, y, z, w = q
        u = np.array([x, y, z])
        return v + 2 * np.cross(u, np.cross(u, v) + w * v)

    mirror = np.array([-1, 1, 1])
    for turn in np.random.default_rng(1).normal(0, 0.7, (20, 3)).astype("f4"):
        vector = np.array([0.3, -0.5, 0.8])
        ours = rotation_matrices(turn.astype(float)) @ vector
        np.testing.assert_allclose(turned(quaternion(turn), vector), ours, atol=1e-5)
        np.testing.assert_allclose(
            turned(unity_rotation(turn), mirror * vector), mirror * ours, atol=1e-5
        )
