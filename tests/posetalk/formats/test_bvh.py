"""BVH: joints turn as ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from posed_motion import HEAD, about, posed

from posetalk.formats import Clip, bvh


def read_bvh(text: str) -> tuple[dict[str, tuple[str | None, NDArray[Any], int]], NDArray[Any]]:
    """A small reader: joint -> (parent, offset, first channel), and the rows of angles."""
    joints: dict[str, tuple[str | None, NDArray[Any], int]] = {}
    stack: list[str | None] = []
    channels = 0
    hierarchy, motion = text.split("MOTION\n")
    name: str | None = None
    for line in hierarchy.splitlines()[1:]:
        words = line.split()
        if words[0] in ("ROOT", "JOINT"):
            name = words[1]
        elif words[0] == "End":
            name = None
        elif words[0] == "{":
            stack.append(name)
        elif words[0] == "}":
            stack.pop()
        elif words[0] == "OFFSET" and stack[-1] is not None:
            parent = stack[-2] if len(stack) > 1 else None
            joints[stack[-1]] = (parent, np.array(words[1:], float), channels)
        elif words[0] == "CHANNELS":
            assert words[-3:] == ["Yrotation", "Xrotation", "Zrotation"]
            channels += int(words[1])
    lines = motion.splitlines()
    rows = np.array([line.split() for line in lines[2:]], float)
    assert lines[0] == f"Frames: {len(rows)}" and rows.shape[1] == channels
    assert float(lines[1].removeprefix("Frame Time:")) == pytest.approx(0.04)
    return joints, rows


def test_joints_in_a_bvh_turn_as_ours(clip: Clip) -> None:
    joints, rows = read_bvh(bvh.write(clip).decode())
    assert tuple(joints) == HEAD.joint_names
    for frame, row in enumerate(rows):
        world: dict[str | None, tuple[Any, Any]] = {None: (np.eye(3), np.zeros(3))}
        for name, (parent, offset, first) in joints.items():
            place = offset
            if parent is None:
                place, first = row[first : first + 3], first + 3
            y, x, z = np.radians(row[first : first + 3])
            turn, origin = world[parent]
            world[name] = (turn @ about(1, y) @ about(0, x) @ about(2, z), origin + turn @ place)
        for index, name in enumerate(HEAD.joint_names):
            # A point that belongs to this joint alone moves with it.
            alone = np.flatnonzero(HEAD.skin_weights[:, index] > 0.9999)
            if not len(alone):
                continue
            vertex = alone[0]
            local = clip.rest[vertex] + HEAD.expression_basis[vertex] @ clip.expression[frame]
            turn, origin = world[name]
            expected = origin + turn @ (local - clip.joints[index]) * 100
            np.testing.assert_allclose(posed(clip, frame)[vertex] * 100, expected, atol=2e-3)
