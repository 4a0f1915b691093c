"""Motion made for one head, on another: always in a way that is stated.

- Both have ARKit's channels: by name; the jaw turns by the same share of its way.
- Only the target has: the source's ARKit weights are solved for (`arkit_solver`), then by name.
- Only the source has: the target's channels that come nearest to the weighted ARKit shapes on the
  target itself, by linear least squares with a small ridge: one matrix.
- Neither, but the same mesh (FLAME 2020 and 2023): the channels nearest to the same displacements.
- Neither, and different meshes: by way of ARKit.

Rotation of the head carries over as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from head.arkit.solver import region_weights
from head.arkit.weights import arkit_weights, channels_from_arkit, has_arkit_channels, solver_of
from head.channels import ARKIT_52
from head.model import Head, HeadError
from head.skinning import motion_to_parameters, parameters_to_motion

Floats = NDArray[np.float32]
Mapping = Callable[[Floats, Floats], tuple[Floats, Floats]]
"""Expression (..., E) and jaw pose (..., 3) of the source -> those of the target."""

RIDGE: Final = 0.003
"""Share of the mean size of the target's channels: weights stay as small as FLAME's are."""
CHANNELS: Final = 50
"""Expression channels of a motion vector."""


@dataclass(frozen=True, eq=False)
class Retarget:
    """Maps motion vectors (..., 54), or (..., 51) without head rotation."""

    source: Head
    target: Head
    how: str
    """What is done, for the user."""
    parameters: Mapping

    def __call__(self, motion: NDArray[Any]) -> Floats:
        """The motion for the target head, in the same layout."""
        expression, rotation, jaw = motion_to_parameters(np.asarray(motion, np.float32))
        expression, jaw = self.parameters(expression, jaw)
        if motion.shape[-1] == CHANNELS + 1:
            return np.concatenate([expression, jaw[..., :1]], axis=-1).astype(np.float32)
        out: Floats = parameters_to_motion(expression, rotation, jaw).astype(np.float32)
        return out


def retarget(source: Head, target: Head) -> Retarget:
    """How motion of `source` moves `target`.

    Raises:
        HeadError: the target cannot be moved so: it lacks the regions that are needed, or its
            channels are not 50.
    """
    if len(target.expression_names) != CHANNELS:
        raise HeadError(
            f"head {target.id!r} has {len(target.expression_names)} expressions; motion has 50"
        )
    if source.id == target.id:
        return Retarget(source, target, "as it is", lambda expression, jaw: (expression, jaw))
    named = has_arkit_channels(source), has_arkit_channels(target)
    if named == (True, True):
        return Retarget(source, target, "by the names of its channels", _by_name(source, target))
    if named == (False, True):
        solver_of(source)
        how = "by ARKit weights, solved from each frame"
        return Retarget(source, target, how, _by_name(source, target))
    if named == (False, False) and _same_mesh(source, target):
        how = "by the nearest channels of the same mesh"
        return Retarget(source, target, how, _by_mesh(source, target))
    if named == (False, False):
        solver_of(source)
    how = "by the nearest channels to its ARKit weights"
    return Retarget(source, target, how, _by_shapes(source, target))


def _by_name(source: Head, target: Head) -> Mapping:
    def parameters(expression: Floats, jaw: Floats) -> tuple[Floats, Floats]:
        if has_arkit_channels(source):  # unclipped: motion may leave 0..1 a little
            order = [source.expression_names.index(name) for name in target.expression_names]
            share = target.jaw_open_radians / source.jaw_open_radians
            return expression[..., order], (jaw * np.float32(share)).astype(np.float32)
        found, opened = channels_from_arkit(target, arkit_weights(source, expression, jaw))
        return found, opened

    return parameters


def _by_mesh(source: Head, target: Head) -> Mapping:
    matrix = nearest_channels(target, np.asarray(source.expression_basis, np.float64))

    def parameters(expression: Floats, jaw: Floats) -> tuple[Floats, Floats]:
        return (expression @ matrix.T).astype(np.float32), jaw

    return parameters


def _by_shapes(source: Head, target: Head) -> Mapping:
    solver = solver_of(target)
    shapes = solver.shapes.copy()
    if solver.has_jaw:
        shapes[:, :, ARKIT_52.index("jawOpen")] = 0  # the joint does that
    matrix = nearest_channels(target, shapes)

    def parameters(expression: Floats, jaw: Floats) -> tuple[Floats, Floats]:
        weights = arkit_weights(source, expression, jaw)
        opened = np.zeros_like(jaw)
        opened[..., 0] = weights[..., ARKIT_52.index("jawOpen")] * target.jaw_open_radians
        return (weights @ matrix.T).astype(np.float32), opened

    return parameters


def nearest_channels(target: Head, fields: NDArray[np.float64]) -> NDArray[np.float64]:
    """(E, K) weights of the target's channels that come nearest to displacements (V, 3, K)."""
    weights = region_weights(target)
    index = np.flatnonzero(weights > 0)
    scale = np.sqrt(weights[index])[:, None, None]
    own = (scale * target.expression_basis[index]).reshape(-1, target.expression_basis.shape[2])
    wanted = (scale * fields[index]).reshape(-1, fields.shape[2])
    square = own.T @ own
    ridge = RIDGE * float(np.diag(square).mean()) + 1e-30
    system = square + ridge * np.eye(len(square))
    return np.asarray(np.linalg.solve(system, own.T @ wanted), np.float64)


def _same_mesh(one: Head, other: Head) -> bool:
    return one.vertex_count == other.vertex_count and np.array_equal(one.faces, other.faces)
