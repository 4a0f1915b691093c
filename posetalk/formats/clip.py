"""What the formats write: a head, and its channels and joints at every frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.errors import WrongValue
from head.model import Head
from head.skinning import motion_to_parameters, rotation_matrices
from stream.frames import FPS
from stream.resample import at_rate

Floats = NDArray[np.float32]

GENERATOR: Final = "posetalk"
SYNTHETIC: Final = "Synthetic: this motion was generated from sound by posetalk, nobody was filmed."
"""Said in every format that has a place for it."""


@dataclass(frozen=True, eq=False)
class Clip:
    """L frames of a head of V vertices, E channels and J joints.

    Attributes:
        expression: (L, E) channel weights.
        rotation: (L, 3) head rotation, axis-angle in radians.
        jaw: (L, 3) jaw rotation.
        shape: (S,) identity weights; fewer than the head has, the rest is zero.
    """

    head: Head
    expression: Floats
    rotation: Floats
    jaw: Floats
    shape: Floats
    fps: int = FPS

    @staticmethod
    def of(head: Head, rows: Sequence[Floats], shape: Floats | None = None, fps: int = FPS) -> Clip:
        """From a session's motion vectors, (54,) or (51,) each, brought to `fps`.

        Raises:
            ValueError: no frames, or vectors of another length.
        """
        if not rows:
            raise WrongValue("there are no frames to write")
        expression, rotation, jaw = motion_to_parameters(
            at_rate(np.asarray(rows, np.float32), FPS, fps)
        )
        own = np.zeros(0, np.float32) if shape is None else shape[: head.shape_count]
        return Clip(head, expression, rotation, jaw, np.asarray(own, np.float32), fps)

    def __len__(self) -> int:
        return len(self.expression)

    @cached_property
    def rest(self) -> Floats:
        """(V, 3) this identity's face at rest, in metres."""
        basis = self.head.shape_basis[..., : len(self.shape)]
        return np.asarray(self.head.template + basis @ self.shape, np.float32)

    @cached_property
    def joints(self) -> Floats:
        """(J, 3) this identity's joints at rest."""
        rest, basis = self.head.rest_joints, self.head.joint_shape_basis
        assert rest is not None and basis is not None, "a Head computes both"
        return np.asarray(rest + basis[..., : len(self.shape)] @ self.shape, np.float32)

    @cached_property
    def pose(self) -> Floats:
        """(L, J, 3) each joint's own rotation, axis-angle: head, jaw, and gaze by the channels."""
        head = self.head
        pose = self.expression @ head.pose_from_expression.T
        pose = pose.reshape(len(self), head.joint_count, 3)
        turning = head.joint_names.index(head.turning_joint)
        pose[:, turning] += self.rotation + (pose[:, 0] if turning else 0)
        if turning:
            pose[:, 0] = 0
        pose[:, head.joint_names.index("jaw")] += self.jaw
        return np.asarray(pose, np.float32)

    @cached_property
    def translations(self) -> Floats:
        """(L, J, 3) of every joint from its parent, before it turns.

        Joints that follow the expression move. A file's joints turn about where they were bound,
        so these are chosen such that a vertex comes to where `skin` has it.
        """
        joints, parents = self.joints.astype(np.float64), self.head.parents
        moves = self.head.joint_expression_basis
        local = joints - np.array([joints[p] if p >= 0 else np.zeros(3) for p in parents])
        out = np.tile(local, (len(self), 1, 1))
        if moves is None:
            return np.asarray(out, np.float32)
        placed = joints + np.einsum("jkc,lc->ljk", moves.astype(np.float64), self.expression)
        turns = rotation_matrices(self.pose.astype(np.float64))
        world, origin, wanted = turns.copy(), placed.copy(), np.zeros_like(out)
        for joint, parent in enumerate(parents):
            if parent >= 0:
                bone = placed[:, joint] - placed[:, parent]
                origin[:, joint] = origin[:, parent] + np.einsum(
                    "lab,lb->la", world[:, parent], bone
                )
                world[:, joint] = world[:, parent] @ turns[:, joint]
            shift = np.einsum("lab,lb->la", world[:, joint], joints[joint] - placed[:, joint])
            wanted[:, joint] = origin[:, joint] + shift
            out[:, joint] = wanted[:, joint]
            if parent >= 0:
                step = wanted[:, joint] - wanted[:, parent]
                out[:, joint] = np.einsum("lba,lb->la", world[:, parent], step)
        return np.asarray(out, np.float32)

    @cached_property
    def morphs(self) -> tuple[tuple[str, ...], Floats, Floats]:
        """All that displaces the face before its joints turn.

        Returns:
            names, (M,); displacements, (M, V, 3); weights, (L, M). The head's channels, and for
            heads that have them the pose correctives, each as far as it does anything.
        """
        head = self.head
        names = list(head.expression_names)
        shapes = [np.moveaxis(head.expression_basis, -1, 0)]
        weights = [self.expression]
        if head.pose_basis is not None:
            turned = rotation_matrices(self.pose[:, 1:].astype(np.float64)) - np.eye(3)
            flat = turned.reshape(len(self), -1).astype(np.float32)
            moves = np.abs(head.pose_basis).max(axis=(0, 1)) > 0
            used = np.flatnonzero(moves & (np.abs(flat).max(axis=0) > 1e-6))
            names += [f"pose_{index}" for index in used]
            shapes.append(np.moveaxis(head.pose_basis[..., used], -1, 0))
            weights.append(flat[:, used])
        return tuple(names), np.concatenate(shapes), np.concatenate(weights, axis=1)


def vertex_normals(vertices: Floats, faces: NDArray[np.integer]) -> Floats:
    """(V, 3) unit normals, each the sum of its triangles' normals by area."""
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    across = np.cross(b - a, c - a)
    normals = np.zeros((len(vertices), 3))
    for corner in range(3):
        np.add.at(normals, faces[:, corner], across)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    lone = length[:, 0] < 1e-20
    normals[lone], length[lone] = (0, 0, 1), 1
    return (normals / length).astype(np.float32)


def influences(weights: Floats, most: int = 4) -> tuple[NDArray[np.uint8], Floats]:
    """Skinning weights (V, J) as the `most` strongest joints of each vertex, and their weights.

    Returns:
        (V, most) joints and weights; rows of weights sum to one, joints of weight zero are 0.
    """
    count = min(most, weights.shape[1])
    order = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    chosen = np.take_along_axis(weights, order, axis=1).astype(np.float64)
    chosen /= chosen.sum(axis=1, keepdims=True)
    joints = np.where(chosen > 0, order, 0)
    pad = ((0, 0), (0, most - count))
    return np.pad(joints, pad).astype(np.uint8), np.pad(chosen, pad).astype(np.float32)
