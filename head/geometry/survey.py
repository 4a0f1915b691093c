"""Landmarks and regions of a face from its geometry, for heads whose files name none.

Everything is measured in the distance between the eyes (`ruler`), which a rig's eye joints give.
x points to the subject's left, y up, z forward. The line of the lips is where surfaces that face
each other lie close together; the opening of the eyes is measured as seen from the front.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import numpy as np

from head.geometry.face_points import COLUMNS, FacePoints
from head.geometry.mesh import Bools, Ints, Points, distances, edges, normals, parts
from head.model import Head, HeadError

T = TypeVar("T")
PROFILE: Final = ("nose_tip", "nasion", "subnasale")
MOUTH: Final = ("mouth_right", "lip_upper_mid", "lip_lower_mid", "mouth_left")
CHIN: Final = ("chin", "menton")


def eye_marks(side: str) -> tuple[str, ...]:
    """The landmarks round an eye, from the inner corner over the upper lid."""
    return tuple(f"eye_{where}_{side}" for where in ("inner", "upper", "outer", "lower"))


@dataclass(frozen=True)
class Surveyed:
    """What a head's own fields of these names hold, and what its colours need."""

    landmarks: dict[str, int]
    regions: dict[str, Ints]
    lips: Points
    """(V,) 1 on the red of the lips, 0 off it, soft between."""
    ruler: float
    """The distance between the eyes in metres."""


def survey(
    points: Points,
    faces: Ints,
    eyes: Points,
    balls: tuple[Bools, Bools],
    jaw: Points | None,
    only: Bools | None = None,
    known: Mapping[str, int] | None = None,
) -> Surveyed:
    """Find them.

    Args:
        points: (V, 3) metres, mouth and eyes as at rest.
        faces: (F, 3).
        eyes: (2, 3) centres of the left and the right eyeball.
        balls: (V,) twice, which vertices are the left and the right eyeball.
        jaw: (V,) how much each vertex follows the jaw, or None where nothing does.
        only: (V,) which vertices may be skin; the largest connected part if None.
        known: landmarks that need not be found. Where a part of the face is not found, its
            landmarks are enough.

    Raises:
        HeadError: no face is found; one line that names the landmarks that would help.
    """
    ruler = float(np.linalg.norm(eyes[0] - eyes[1]))
    if only is None:
        label = parts(faces, len(points))
        label[balls[0] | balls[1]] = -1
        names, counts = np.unique(label[label >= 0], return_counts=True)
        only = label == names[counts.argmax()]
    face = FacePoints(points, normals(points, faces), only, eyes, ruler, edges(faces))
    told = dict(known or {})
    marks = _or_told(face.profile, told, PROFILE, _same) | told
    line = _or_told(lambda: face.lips(marks, jaw), told, MOUTH, face.line_between)
    marks |= _or_told(lambda: face.chin(marks, line), told, CHIN, _same)
    upper, lower = line[:, 0], line[:, 1]
    marks |= face.mouth(upper, lower)
    rims = [
        _or_told(partial(face.lids, k), told, eye_marks(side), partial(face.rim_between, side))
        for k, side in enumerate(("left", "right"))
    ]
    for side, rim in zip(("left", "right"), rims, strict=True):
        marks |= face.eye(side, rim)
    marks |= face.sides(marks)
    marks = {name: int(index) for name, index in (marks | told).items()}
    lips = face.red(marks, upper, lower)
    return Surveyed(marks, _regions(face, faces, marks, upper, lower, rims, lips), lips, ruler)


def _same(told: Mapping[str, int]) -> dict[str, int]:
    return dict(told)


def _or_told(
    find: Callable[[], T],
    told: Mapping[str, int],
    names: tuple[str, ...],
    make: Callable[[Mapping[str, int]], T],
) -> T:
    """What is found, or what is made of the landmarks `names` where they are told.

    Raises:
        HeadError: neither.
    """
    try:
        return find()
    except HeadError as error:
        if not told.keys() >= set(names):
            raise HeadError(f"{error} (or name {', '.join(names)})") from None
        return make({name: told[name] for name in names})


def _regions(
    face: FacePoints,
    faces: Ints,
    marks: dict[str, int],
    upper: Ints,
    lower: Ints,
    rims: list[Ints],
    lips: Points,
) -> dict[str, Ints]:
    p, r, skin = face.p, face.ruler, face.skin
    inside = face.hidden(marks, upper)
    around = skin & (distances(p, faces, np.concatenate([upper, lower]), 0.75 * r) < 0.7 * r)
    lids = skin & (distances(p, faces, np.concatenate(rims), 0.13 * r) <= 0.12 * r)
    eyes, front = face.eyes.mean(axis=0), p[:, 2] > face.eyes[:, 2].mean() - 0.75 * r
    whole = skin & front & (p[:, 1] > p[marks["menton"], 1] - 0.05 * r)
    whole &= p[:, 1] < eyes[1] + 1.1 * r
    middle = slice(COLUMNS // 2 - 3, COLUMNS // 2 + 4)
    return {
        "skin": np.flatnonzero(skin),
        "lip_upper_inner": upper,
        "lip_lower_inner": lower,
        "lip_gap_upper": upper[middle],
        "lip_gap_lower": lower[middle],
        "lips": np.flatnonzero(lips > 0.5),
        "mouth": np.flatnonzero(around & ~inside & front),
        "mouth_inside": np.flatnonzero(inside),
        "eyelids": np.flatnonzero(lids),
        "lid_edge_left": rims[0],
        "lid_edge_right": rims[1],
        "upper_face": np.flatnonzero(whole & (p[:, 1] > eyes[1] - 0.5 * r)),
        "face": np.flatnonzero(whole & ~inside),
    }


def lid_edge(head: Head, side: str) -> Ints:
    """(AROUND,) vertices round the opening of an eye, as `survey` finds them, of any head.

    Raises:
        HeadError: there are no lids round its eye joint.
    """
    p = np.asarray(head.template, np.float64)
    joints, names = np.asarray(head.rest_joints, np.float64), head.joint_names
    eyes = joints[[names.index("eye_left"), names.index("eye_right")]]
    skin = np.zeros(len(p), dtype=bool)
    skin[head.regions["skin"]] = True
    ruler = float(np.linalg.norm(eyes[0] - eyes[1]))
    faces = head.faces.astype(np.int64)
    face = FacePoints(p, normals(p, faces), skin, eyes, ruler, edges(faces))
    return face.lids(0 if side == "left" else 1)
