"""The 52 ARKit weights that game engines take, from any head.

Heads with ARKit's channels (the built-in one, ICT-FaceKit's) give them by name; for others, FLAME's
say, they are solved for: see `arkit_solver`.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from head.arkit.solver import ArkitSolver, build
from head.channels import ARKIT_52, JAW_OPEN_RADIANS, MOUTH_CLOSE_RADIANS
from head.model import Head

_SOLVERS: weakref.WeakKeyDictionary[Head, ArkitSolver] = weakref.WeakKeyDictionary()

_NOT_CHANNELS = ("jawOpen", "cheekPuff")


def has_arkit_channels(head: Head) -> bool:
    """Whether the head's own channels are ARKit's, by name."""
    names = set(head.expression_names)
    return all(name in names for name in ARKIT_52 if name not in _NOT_CHANNELS)


def solver_of(head: Head) -> ArkitSolver:
    """The solver of a head without ARKit's channels, built once: takes a second or so.

    Raises:
        HeadError: the head lacks the landmarks or regions that are needed; one line.
    """
    if head not in _SOLVERS:
        _SOLVERS[head] = build(head)
    return _SOLVERS[head]


def arkit_weights(head: Head, expression: Any, jaw_pose: Any) -> np.ndarray[Any, Any]:
    """Weights (..., 52) in 0..1 in the order of `ARKIT_52`.

    `expression` (..., E) by the head's own channels, `jaw_pose` (..., 3) axis-angle. `jawOpen` and
    `mouthClose` are as ARKit has them: fully open, and closing over a jaw that is fully open.

    Raises:
        HeadError: the head's channels are not ARKit's, and it lacks what solving needs.
    """
    weights = np.asarray(expression, dtype=np.float32)
    jaw = np.asarray(jaw_pose, dtype=np.float32)
    if has_arkit_channels(head):
        return _by_name(head, weights, jaw)
    batch = np.broadcast_shapes(weights.shape[:-1], jaw.shape[:-1])
    flat = np.broadcast_to(weights, (*batch, weights.shape[-1])).reshape(-1, weights.shape[-1])
    jaws = np.broadcast_to(jaw, (*batch, 3)).reshape(-1, 3)
    solver = solver_of(head)
    out = np.array([solver.solve(psi, turn) for psi, turn in zip(flat, jaws, strict=True)])
    return out.reshape(*batch, len(ARKIT_52)).astype(np.float32)


def channels_from_arkit(head: Head, weights: Any) -> tuple[np.ndarray[Any, Any], ...]:
    """The reverse, for a head with ARKit's channels: expression (..., E) and jaw pose (..., 3)."""
    given = np.asarray(weights, dtype=np.float32)
    expression = np.zeros((*given.shape[:-1], len(head.expression_names)), np.float32)
    jaw = np.zeros((*given.shape[:-1], 3), np.float32)
    for place, name in enumerate(ARKIT_52):
        if name == "jawOpen":
            jaw[..., 0] = given[..., place] * head.jaw_open_radians
        elif name in head.expression_names:
            scale = JAW_OPEN_RADIANS / MOUTH_CLOSE_RADIANS if name == "mouthClose" else 1.0
            expression[..., head.expression_names.index(name)] = scale * given[..., place]
    return expression, jaw


def _by_name(head: Head, weights: Any, jaw: Any) -> np.ndarray[Any, Any]:
    index = {name: i for i, name in enumerate(head.expression_names)}
    out = np.zeros((*np.broadcast_shapes(weights.shape[:-1], jaw.shape[:-1]), 52), np.float32)
    for place, name in enumerate(ARKIT_52):
        if name == "jawOpen":
            out[..., place] = jaw[..., 0] / head.jaw_open_radians
        elif name in index:
            scale = MOUTH_CLOSE_RADIANS / JAW_OPEN_RADIANS if name == "mouthClose" else 1.0
            out[..., place] = scale * weights[..., index[name]]
    return out.clip(0, 1)
