"""ARKit's shapes on a head that has none: the built-in head's, carried over to it.

Landmarks, the line of the lips and the edges of the lids, which both heads have by name, fix a
smooth map from one face onto the other. A point of the target then moves as the points of the
built-in face do that the map brings nearest to it, on the same lip and the same lid. So every
shape is defined by named places on the head itself; no table fitted to anybody's data is used.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from head.channels import ARKIT_52, CHANNELS, INDEX, JAW_OPEN_RADIANS, MOUTH_CLOSE_RADIANS
from head.geometry.mesh import Bools, Ints, Points, distances, normals
from head.geometry.survey import lid_edge
from head.geometry.warp import fit, spans
from head.model import Head, HeadError
from head.rig import builtin_head
from head.skinning import skin

ALONG, NEIGHBOURS = 13, 4
"""Points on the line of the lips; vertices of the built-in head that one of the target follows."""
_CARRIED: Final = ("face", "mouth", "mouth_inside", "bag", "eyelids", "lips")
"""Regions that the shapes are carried over to."""
REACH: Final = 0.30
"""Distance (of that between the eyes) beyond which nothing is carried over."""


def arkit_shapes(head: Head) -> Points:
    """Displacements (V, 3, 52) in metres of a face at rest, per unit of each ARKit weight.

    `jawOpen` is the head's own jaw, where it has one, fully open; `mouthClose` closes the lips over
    a jaw that is fully open, as ARKit has it. The gaze channels move lids only.

    Raises:
        HeadError: the head lacks the landmarks or regions that are needed; one line.
    """
    source = builtin_head()
    ours, theirs = _control(source), _control(head)
    warp = fit(ours, theirs)
    apart = _ruler(head)
    from_points = np.asarray(source.template, np.float64)
    index = source.regions["skin"].astype(np.int64)
    start = from_points[index]
    landed = warp(start)
    shapes = np.zeros((len(index), 3, len(ARKIT_52)))
    for k, field in enumerate(_fields(source, index)):
        moving = np.flatnonzero(np.abs(field).max(axis=1) > 1e-6)
        shapes[moving, :, k] = warp((start + field)[moving]) - landed[moving]
    out = np.zeros((head.vertex_count, 3, len(ARKIT_52)))
    names = [name for name in _CARRIED if name in head.regions]
    goal = np.unique(np.concatenate([head.regions[name] for name in names]))
    kinds = _sides(source)[index], _sides(head)[goal]
    points = np.asarray(head.template, np.float64)[goal]
    out[goal] = _follow(points, kinds[1], landed, kinds[0], shapes, REACH * apart)
    _own_jaw(head, out)
    return out


def _fields(head: Head, index: Ints) -> list[Points]:
    """The built-in head's 52 displacements (V', 3) of its vertices `index`."""
    rest = np.zeros(len(CHANNELS), np.float32)
    jaw = np.array([JAW_OPEN_RADIANS, 0, 0], np.float32)
    out = []
    for name in ARKIT_52:
        if name == "jawOpen":
            out.append((skin(head, rest, jaw_pose=jaw) - head.template)[index].astype(np.float64))
        elif name == "cheekPuff":
            out.append(_cheek_puff(head)[index])
        else:
            scale = JAW_OPEN_RADIANS / MOUTH_CLOSE_RADIANS if name == "mouthClose" else 1.0
            out.append(scale * head.expression_basis[index, :, INDEX[name]].astype(np.float64))
    return out


def _cheek_puff(head: Head) -> Points:
    """Both cheeks swell along their normals, most beside the corners of the mouth."""
    p = np.asarray(head.template, np.float64)
    out = normals(p, head.faces)
    share = np.zeros(len(p))
    apart = _ruler(head)
    for side in ("left", "right"):
        corner, cheek, jaw = (
            p[head.landmarks[f"{name}_{side}"]] for name in ("mouth", "cheek", "jaw")
        )
        middle = 0.4 * corner + 0.3 * cheek + 0.3 * jaw
        far = np.linalg.norm(p - middle, axis=1) / (0.5 * apart)
        share = np.maximum(share, np.clip(1 - far * far, 0, 1))
    return np.asarray(0.12 * apart * share[:, None] * out)


def has_jaw(head: Head) -> bool:
    """Whether anything follows the jaw joint; in some of FLAME's files nothing does."""
    return bool(head.skin_weights[:, head.joint_names.index("jaw")].max() > 0.05)


def _own_jaw(head: Head, out: Points) -> None:
    if not has_jaw(head):
        return
    rest = np.zeros(len(head.expression_names), np.float32)
    jaw = np.array([head.jaw_open_radians, 0, 0], np.float32)
    out[:, :, ARKIT_52.index("jawOpen")] = skin(head, rest, jaw_pose=jaw) - head.template


def _ruler(head: Head) -> float:
    joints = np.asarray(head.rest_joints, np.float64)
    names = head.joint_names
    return float(np.linalg.norm(joints[names.index("eye_left")] - joints[names.index("eye_right")]))


_MARKS: Final = (
    "nasion",
    "nose_tip",
    "subnasale",
    "nose_wing_left",
    "nose_wing_right",
    "chin",
    "menton",
    "cheek_left",
    "cheek_right",
    "jaw_left",
    "jaw_right",
    "face_side_left",
    "face_side_right",
    "lip_upper_top",
    "lip_lower_bottom",
)


def _control(head: Head) -> Points:
    """(N, 3) the points that correspond between heads."""
    p = np.asarray(head.template, np.float64)
    missing = [name for name in _MARKS if name not in head.landmarks]
    missing += [name for name in ("lip_upper_inner", "lip_lower_inner") if name not in head.regions]
    if missing:
        raise HeadError(
            f"head {head.id!r} has no ARKit channels, and none can be solved for: it lacks "
            f"{missing[0]!r}; import it again (with --landmarks where that cannot be found)"
        )
    line = _along(p[head.regions["lip_upper_inner"]]) + _along(p[head.regions["lip_lower_inner"]])
    rims = [p[_rim(head, side)][::2] for side in ("left", "right")]
    marks = p[[head.landmarks[name] for name in _MARKS]]
    return np.concatenate([marks, line / 2, *rims])


def _rim(head: Head, side: str) -> Ints:
    """The edge of a lid, from the inner corner over the upper lid."""
    name = f"lid_edge_{side}"
    if name in head.regions:
        return head.regions[name].astype(np.int64)
    return lid_edge(head, side)


def _along(points: Points) -> Points:
    """(ALONG, 3) evenly spread on a polyline."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    way = np.concatenate([[0], np.cumsum(steps)])
    goals = np.linspace(0, way[-1], ALONG)
    return np.stack([np.interp(goals, way, points[:, k]) for k in range(3)], axis=1)


def _sides(head: Head) -> Ints:
    """(V,) 1 on the upper and 2 on the lower lip, 3 and 4 on the lids; 0 elsewhere."""
    p, apart = np.asarray(head.template, np.float64), _ruler(head)
    out = np.zeros(len(p), dtype=np.int64)
    reach = 0.35 * apart
    upper, lower = head.regions["lip_upper_inner"], head.regions["lip_lower_inner"]
    above, below = (distances(p, head.faces, line, reach) for line in (upper, lower))
    near = np.minimum(above, below) < reach
    out[near] = np.where(above[near] <= below[near], 1, 2)
    for side in ("left", "right"):
        rim = _rim(head, side)
        half = len(rim) // 2
        inner = [int(v) for v in rim[1:half]], [int(v) for v in rim[half + 1 :]]
        top, bottom = (distances(p, head.faces, lid, 0.12 * apart) for lid in inner)
        near = np.minimum(top, bottom) < 0.12 * apart
        out[near] = np.where(top[near] <= bottom[near], 3, 4)
    return out


def _follow(
    points: Points, kinds: Ints, landed: Points, their: Ints, shapes: Points, reach: float
) -> Points:
    """(N, 3, C) the mean motion of the nearest of `landed` (M, 3), which move by `shapes`."""
    out = np.zeros((len(points), 3, shapes.shape[2]))
    opposite = {1: 2, 2: 1, 3: 4, 4: 3}
    flat = shapes.reshape(len(shapes), -1)
    for kind in np.unique(kinds):
        mine = np.flatnonzero(kinds == kind)
        allowed: Bools = their != opposite.get(int(kind), -1)
        here, moves = landed[allowed], flat[allowed]
        for start in range(0, len(mine), 512):
            some = mine[start : start + 512]
            far = spans(points[some], here)
            best = np.argpartition(far, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
            gap = np.take_along_axis(far, best, axis=1)
            share = 1 / np.maximum(gap, 1e-5) ** 2
            share /= share.sum(axis=1, keepdims=True)
            share *= np.clip(2 * (1 - gap.min(axis=1, keepdims=True) / reach), 0, 1)
            moved = np.einsum("nk,nkc->nc", share, moves[best])
            out[some] = moved.reshape(len(some), 3, -1)
    return out
