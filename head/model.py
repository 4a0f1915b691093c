"""A head in FLAME form as one value: template, linear bases, joints and skinning weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.channels import JAW_OPEN_RADIANS
from head.errors import PosetalkError

Floats = NDArray[np.float32]
Indices = NDArray[np.int32]

JOINTS: Final = ("root", "neck", "jaw", "eye_left", "eye_right")
PARENTS: Final = (-1, 0, 1, 1, 1)


class HeadError(PosetalkError, ValueError):
    """A head, or a file that should hold one, is not usable. The message is one plain line."""


@dataclass(frozen=True)
class Material:
    """How a part of the surface looks: linear RGB in 0..1, roughness and metallic as in glTF."""

    name: str
    rgb: tuple[float, float, float]
    roughness: float = 0.6
    metallic: float = 0.0


@dataclass(frozen=True, eq=False)
class Head:
    """A rig. V vertices, F triangles, S identity shapes, E expression channels, J joints.

    Lengths are metres; x points to the subject's left, y up, z forward (FLAME's axes).
    Arrays are read-only and two heads are equal only if they are the same object, so a head can be
    a key of a cache.
    """

    id: str
    template: Floats
    """(V, 3) the neutral face."""
    faces: Indices
    """(F, 3) triangles, counter-clockwise seen from outside."""
    shape_basis: Floats
    """(V, 3, S) displacement per unit of an identity shape."""
    expression_basis: Floats
    """(V, 3, E) displacement per unit of a channel, before the joints turn."""
    expression_names: tuple[str, ...]
    joint_regressor: Floats
    """(J, V) joint positions as weighted sums of vertices; each row sums to one."""
    skin_weights: Floats
    """(V, J) non-negative, rows sum to one."""
    pose_from_expression: Floats
    """(3 J, E) axis-angle added to the joints per unit of a channel (gaze)."""
    face_material: NDArray[np.uint8]
    """(F,) index into `materials`."""
    materials: tuple[Material, ...]
    regions: Mapping[str, Indices] = field(default_factory=dict)
    """Named sets of vertices."""
    landmarks: Mapping[str, int] = field(default_factory=dict)
    """Named single vertices."""
    pose_basis: Floats | None = None
    """(V, 3, 9 (J-1)) FLAME's pose correctives, per entry of (rotation - identity)."""
    vertex_tint: NDArray[np.uint8] | None = None
    """(V, 3) factor / 255 on the material's colour: blush, shade; None means white."""
    shape_names: tuple[str, ...] = ()
    joint_names: tuple[str, ...] = JOINTS
    parents: tuple[int, ...] = PARENTS
    turning_joint: str = "root"
    """The joint that a global rotation turns: FLAME's root, or a neck that leaves shoulders be."""
    jaw_open_radians: float = JAW_OPEN_RADIANS
    """The jaw's angle about +x that ARKit's jawOpen = 1 means on this head."""
    joints_follow_expression: bool = False
    """Whether the regressor sees the face with its expression, as FLAME's code has it. Else the
    joints depend on the identity alone."""
    rest_joints: Floats | None = None
    """(J, 3); computed from the regressor, kept by `subset`."""
    joint_shape_basis: Floats | None = None
    """(J, 3, S); computed from the regressor, kept by `subset`."""
    joint_expression_basis: Floats | None = None
    """(J, 3, E) of joints that follow the expression, else None; computed and kept likewise."""

    def __post_init__(self) -> None:
        if self.rest_joints is None:
            object.__setattr__(self, "rest_joints", _regress(self.joint_regressor, self.template))
        if self.joint_shape_basis is None:
            moved = _regress(self.joint_regressor, self.shape_basis)
            object.__setattr__(self, "joint_shape_basis", moved)
        if self.joints_follow_expression and self.joint_expression_basis is None:
            moved = _regress(self.joint_regressor, self.expression_basis)
            object.__setattr__(self, "joint_expression_basis", moved)
        check(self)
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    @property
    def vertex_count(self) -> int:
        return int(self.template.shape[0])

    @property
    def shape_count(self) -> int:
        return int(self.shape_basis.shape[2])

    @property
    def joint_count(self) -> int:
        return len(self.joint_names)

    def region(self, name: str) -> Indices:
        """The vertices of a region.

        Raises:
            HeadError: this head has none of that name.
        """
        if name not in self.regions:
            raise HeadError(
                f"head {self.id!r} has no region {name!r}: import it again with --landmarks"
            )
        return self.regions[name]

    def subset(self, vertex_indices: NDArray[np.integer]) -> Head:
        """The same rig with only these vertices, in this order: cheap to skin, same motion.

        Faces, regions and landmarks that lose a vertex are dropped. Joints stay where they were.

        Raises:
            HeadError: an index is out of range or given twice.
        """
        keep = np.asarray(vertex_indices, dtype=np.int64).reshape(-1)
        if keep.size == 0 or keep.min() < 0 or keep.max() >= self.vertex_count:
            raise HeadError(f"vertex indices must lie in 0..{self.vertex_count - 1}")
        place = np.full(self.vertex_count, -1, dtype=np.int32)
        place[keep] = np.arange(keep.size, dtype=np.int32)
        if (place >= 0).sum() != keep.size:
            raise HeadError("vertex indices must not repeat")
        whole = (place[self.faces] >= 0).all(axis=1)
        return replace(
            self,
            template=self.template[keep],
            faces=place[self.faces[whole]],
            shape_basis=self.shape_basis[keep],
            expression_basis=self.expression_basis[keep],
            joint_regressor=self.joint_regressor[:, keep],
            skin_weights=self.skin_weights[keep],
            face_material=self.face_material[whole],
            regions={n: place[i] for n, i in self.regions.items() if (place[i] >= 0).all()},
            landmarks={n: int(place[i]) for n, i in self.landmarks.items() if place[i] >= 0},
            pose_basis=None if self.pose_basis is None else self.pose_basis[keep],
            vertex_tint=None if self.vertex_tint is None else self.vertex_tint[keep],
        )


def _regress(regressor: Floats, values: Floats) -> Floats:
    """(J, V) times (V, ...) in double precision."""
    flat = regressor.astype(np.float64) @ values.reshape(len(values), -1).astype(np.float64)
    return flat.reshape(len(regressor), *values.shape[1:]).astype(np.float32)


def check(head: Head) -> None:
    """Raise `HeadError` unless shapes, ranges and indices fit together."""
    vertices, joints = len(head.template), len(head.joint_names)
    channels, shapes = len(head.expression_names), head.shape_basis.shape[-1]
    expected: dict[str, tuple[int, ...]] = {
        "template": (vertices, 3),
        "faces": (len(head.faces), 3),
        "shape_basis": (vertices, 3, shapes),
        "expression_basis": (vertices, 3, channels),
        "joint_regressor": (joints, vertices),
        "skin_weights": (vertices, joints),
        "pose_from_expression": (3 * joints, channels),
        "face_material": (len(head.faces),),
        "pose_basis": (vertices, 3, 9 * (joints - 1)),
        "vertex_tint": (vertices, 3),
        "rest_joints": (joints, 3),
        "joint_shape_basis": (joints, 3, shapes),
        "joint_expression_basis": (joints, 3, channels),
    }
    for name, shape in expected.items():
        array = getattr(head, name)
        if array is None:
            continue
        if array.shape != shape:
            raise HeadError(f"head {head.id!r}: {name} has shape {array.shape}, expected {shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise HeadError(f"head {head.id!r}: {name} holds values that are not finite")
    if len(head.parents) != joints or head.parents[0] != -1:
        raise HeadError(f"head {head.id!r}: parents do not describe a tree with the root first")
    if head.turning_joint not in head.joint_names:
        raise HeadError(f"head {head.id!r} turns at {head.turning_joint!r}, not a joint of it")
    if any(not 0 <= parent < child for child, parent in enumerate(head.parents) if child):
        raise HeadError(f"head {head.id!r}: a joint must come after its parent")
    if len(head.faces) and not 0 <= head.faces.min() <= head.faces.max() < vertices:
        raise HeadError(f"head {head.id!r}: faces name vertices that do not exist")
    if len(head.face_material) and head.face_material.max() >= len(head.materials):
        raise HeadError(f"head {head.id!r}: faces name materials that do not exist")
    for name, indices in head.regions.items():
        if len(indices) and not 0 <= indices.min() <= indices.max() < vertices:
            raise HeadError(f"head {head.id!r}: region {name!r} names vertices that do not exist")
    for name, index in head.landmarks.items():
        if not 0 <= index < vertices:
            raise HeadError(f"head {head.id!r}: landmark {name!r} is not a vertex")
    if not 0.05 <= head.jaw_open_radians <= 1.5:
        raise HeadError(f"head {head.id!r}: a jaw that opens by {head.jaw_open_radians} radians")
    if np.abs(head.skin_weights.sum(axis=1) - 1).max(initial=0) > 1e-3:
        raise HeadError(f"head {head.id!r}: skinning weights do not sum to one")
