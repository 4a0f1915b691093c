"""ICT-FaceKit's light model (MIT licence): its OBJ files become a head with named channels.

Its 53 expressions are ARKit's with `_L` and `_R`. They become our 50 channels by name: the two
`browInnerUp` are added, `cheekPuff` has no place, `tongueOut` is made from its tongue, the
`eyeLook` shapes move the lids and the joints turn the eyes (the kit's eyeballs have no shapes).
`jawOpen` becomes the jaw joint: see `ict_rig`. All vertices stay, in the kit's order.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from head.channels import CHANNELS, JAW_OPEN_RADIANS, MOUTH_CLOSE_RADIANS
from head.eye_turns import gaze
from head.geometry.mesh import Ints, Points
from head.geometry.survey import Surveyed, survey
from head.importing import ict_parts as parts
from head.importing import look, obj
from head.importing.ict_rig import Rig, fit
from head.model import Head, HeadError

ICT_ID: Final = "ict-facekit"
NEUTRAL: Final = "generic_neutral_mesh"
METRES_PER_UNIT: Final = 0.01
ROUNDING_METRES: Final = 2e-6
"""Rounding of the numbers in the files; smaller displacements are none."""


def is_ict(files: Mapping[str, bytes]) -> bool:
    """Whether these OBJ files are the kit's."""
    return NEUTRAL in files


def import_ict(place: Path, name: str = ICT_ID, shapes: int = 100) -> Head:
    """The head in ICT-FaceKit's folder `FaceXModel`, one above it, or an archive of it.

    Args:
        place: the folder or archive.
        name: the head's id.
        shapes: the most identity shapes to take.

    Raises:
        HeadError: a file is missing or does not fit; one line.
    """
    files = obj.read_obj_files(place)
    if not is_ict(files):
        raise HeadError(f"{place} has no {NEUTRAL}.obj; give the folder FaceXModel of ICT-FaceKit")
    mesh = obj.parse(files[NEUTRAL], NEUTRAL)
    if len(mesh.vertices) != parts.VERTICES:
        raise HeadError(
            f"{NEUTRAL}.obj has {len(mesh.vertices)} vertices, ICT-FaceKit's light model has "
            f"{parts.VERTICES}"
        )
    p = mesh.vertices * METRES_PER_UNIT
    moved = _Deltas(files, p)
    eyes = parts.EYE_LEFT, parts.EYE_RIGHT
    rig = fit(p, moved["jawOpen"], parts.TEETH_LOWER, eyes)
    balls = parts.within(eyes[0]), parts.within(eyes[1])
    skin, jaw = parts.within(parts.SKIN), rig.weights[:, 2]
    found = survey(p, mesh.faces, rig.joints[3:5], balls, jaw, skin, parts.MARKS)
    tongue = parts.tongue(p, mesh.faces)
    keep = ~np.isin(np.array(mesh.materials), parts.LEFT_OUT)
    identities = sorted(n for n in files if n.startswith("identity"))[:shapes]
    return Head(
        id=name,
        template=p.astype(np.float32),
        faces=mesh.faces[keep].astype(np.int32),
        shape_basis=_stack([moved[n] for n in identities], len(p)),
        expression_basis=_stack(_channels(moved, rig, tongue, p, found), len(p)),
        expression_names=CHANNELS,
        joint_regressor=rig.regressor.astype(np.float32),
        skin_weights=rig.weights.astype(np.float32),
        pose_from_expression=gaze().astype(np.float32),
        pose_basis=rig.pose_basis.astype(np.float32),
        face_material=parts.materials(mesh, keep),
        materials=look.MATERIALS,
        regions={n: i.astype(np.int32) for n, i in _regions(found, tongue).items()},
        landmarks=found.landmarks,
        vertex_tint=look.as_bytes(parts.tint(p, rig.joints[3:5], found, tongue)),
        shape_names=tuple(identities),
        turning_joint="neck",
        jaw_open_radians=rig.jaw_open_radians,
    )


class _Deltas:
    """Displacements (V, 3) in metres by the name of an OBJ file, read when asked for."""

    def __init__(self, files: Mapping[str, bytes], rest: Points) -> None:
        self._files, self._rest = files, rest

    def __getitem__(self, name: str) -> Points:
        if name not in self._files:
            raise HeadError(f"ICT-FaceKit's {name}.obj is missing; download the whole folder again")
        points = obj.vertices(self._files[name], name)
        if len(points) != len(self._rest):
            raise HeadError(f"{name}.obj has {len(points)} vertices, expected {len(self._rest)}")
        delta = points * METRES_PER_UNIT - self._rest
        delta[np.abs(delta).max(axis=1) < ROUNDING_METRES] = 0.0
        return np.asarray(delta)


def _channels(moved: _Deltas, rig: Rig, tongue: Points, p: Points, found: Surveyed) -> list[Points]:
    """Displacements of our 50 channels, before the joints turn."""
    out = []
    for name in CHANNELS:
        if name == "browInnerUp":
            out.append(moved["browInnerUp_L"] + moved["browInnerUp_R"])
        elif name == "tongueOut":
            out.append(parts.tongue_out(p, tongue))
        elif name == "mouthClose":
            out.append(_mouth_close(moved["mouthClose"], rig, found))
        else:
            out.append(moved[_theirs(name)])
    return out


def _mouth_close(shape: Points, rig: Rig, found: Surveyed) -> Points:
    """`mouthClose` as in every named head: w closes the lips over a jaw opened by w times the same
    share of its way. The kit's own shape presses them into each other: only as much as they need.
    """
    share = MOUTH_CLOSE_RADIANS / JAW_OPEN_RADIANS
    upper, lower = found.regions["lip_gap_upper"], found.regions["lip_gap_lower"]
    opened = rig.posed(share)
    gap = opened[upper, 1] - opened[lower, 1]
    closing = np.maximum(shape[lower, 1] - shape[upper, 1], 1e-6)
    return rig.before_joints(share, float((gap / closing).min()) * shape)


def _theirs(name: str) -> str:
    """The kit's name of one of our channels: sides of the face have an underscore."""
    if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        return name
    return name.replace("Left", "_L").replace("Right", "_R")


def _stack(deltas: list[Points], count: int) -> np.ndarray:
    return (
        np.stack([*deltas], -1).astype(np.float32)
        if deltas
        else np.zeros((count, 3, 0), np.float32)
    )


def _regions(found: Surveyed, tongue: Points) -> dict[str, Ints]:
    inside = np.arange(*parts.SOCKET)
    outside = {
        name: found.regions[name][found.regions[name] < parts.FACE[1]]
        for name in ("face", "mouth", "lips", "eyelids", "upper_face")
    }
    return (
        found.regions
        | outside
        | {
            "mouth_inside": inside,
            "eye_left": np.arange(*parts.EYE_LEFT),
            "eye_right": np.arange(*parts.EYE_RIGHT),
            "teeth_upper": np.arange(*parts.TEETH_UPPER),
            "teeth_lower": np.arange(*parts.TEETH_LOWER),
            "tongue": np.flatnonzero(tongue > 0.5),
        }
    )
