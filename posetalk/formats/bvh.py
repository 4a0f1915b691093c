"""`.bvh`: the joints alone (head, jaw, eyes), as motion capture programs exchange them.

Lengths are centimetres, angles degrees, applied in the order of the channels: Y, then X, then Z.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from posetalk.formats.clip import Clip
from stream.senders.angles import yaw_pitch_roll

CENTIMETRES: Final = 100.0
TIP: Final = 0.05
"""Metres that the last joints of the tree point forward, so that programs draw them."""


def write(clip: Clip) -> bytes:
    """The joint tree, and a line of angles per frame; the root also has its place."""
    lines = ["HIERARCHY", *_tree(clip, 0, ""), "MOTION", f"Frames: {len(clip)}"]
    lines.append(f"Frame Time: {1 / clip.fps:.8f}")
    order = _depth_first(clip, 0)
    angles = np.degrees(yaw_pitch_roll(clip.pose[:, order].astype(np.float64)))
    place = " ".join(f"{value * CENTIMETRES:.5f}" for value in clip.joints[0])
    for row in np.round(angles.reshape(len(clip), -1).astype(np.float64), 5) + 0.0:
        lines.append(" ".join((place, *(f"{value:.5f}" for value in row))))
    return ("\n".join(lines) + "\n").encode("ascii")


def _children(clip: Clip, joint: int) -> list[int]:
    return [child for child, parent in enumerate(clip.head.parents) if parent == joint]


def _depth_first(clip: Clip, joint: int) -> list[int]:
    """Joints in the order of the tree's text, which is that of the angles."""
    return [joint, *(j for child in _children(clip, joint) for j in _depth_first(clip, child))]


def _tree(clip: Clip, joint: int, indent: str) -> list[str]:
    head = clip.head
    parent = head.parents[joint]
    offset = np.zeros(3) if parent < 0 else clip.joints[joint] - clip.joints[parent]
    places = "6 Xposition Yposition Zposition" if parent < 0 else "3"
    inner = indent + "\t"
    lines = [
        f"{indent}{'ROOT' if parent < 0 else 'JOINT'} {head.joint_names[joint]}",
        f"{indent}{{",
        f"{inner}OFFSET {_centimetres(offset)}",
        f"{inner}CHANNELS {places} Yrotation Xrotation Zrotation",
    ]
    children = _children(clip, joint)
    for child in children:
        lines += _tree(clip, child, inner)
    if not children:
        tip = _centimetres(np.array([0, 0, TIP]))
        lines += [f"{inner}End Site", f"{inner}{{", f"{inner}\tOFFSET {tip}", f"{inner}}}"]
    return [*lines, f"{indent}}}"]


def _centimetres(point: np.ndarray) -> str:
    return " ".join(f"{value * CENTIMETRES:.5f}" for value in point)
