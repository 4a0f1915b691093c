"""The head's own shapes as its landmarks see them, and how far each landmark is believed.

Columns are the 50 channels and then the jaw, in shares of its way (`jaw_open_radians`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.channels import CHANNELS
from head.model import Head
from head.skinning import skin
from posetalk.tracking.landmarks.points import (
    BROWS,
    CHEEKS,
    CHIN,
    IRIS,
    LIDS,
    LIPS,
    NOSE,
    RIGID,
    SIDES,
    UPPER_LID,
    USED,
    vertices_of,
)

Doubles = NDArray[np.float64]

COLUMNS: Final = len(CHANNELS) + 1
JAW: Final = len(CHANNELS)
EYE_RADIUS: Final = 0.0125
"""Metres of the built-in head's eyeball."""
DEPTH: Final = 0.15
"""Belief in a landmark's distance from the camera, of that in its place in the picture."""
_BELIEF: Final = ((LIPS, 1.0), (LIDS, 1.5), (BROWS, 1.0), (CHIN, 0.7), (CHEEKS, 0.5), (NOSE, 0.4))
_BELIEF_RIGID: Final = 0.3
IRIS_BELIEF: Final = 2.0
IRIS_RISE: Final = 0.4
"""Of an iris's way up and down that the tracker shows; the lids tell the rest."""
TOGETHER: Final = 0.5
"""Of the irises' belief: how strictly both eyes look the same way."""
PRIOR: Final = 0.1
"""Of a rest of the head's motion that the skull's rotation has missed."""
RIDGE: Final = 0.03
SPARSE: Final = 0.003
_RARE: Final = (
    ("jaw", 6.0),
    ("mouthLowerDown", 8.0),
    ("mouthRollUpper", 3.0),
    ("mouthShrug", 3.0),
    ("mouthDimple", 3.0),
    ("mouthLeft", 3.0),
    ("mouthRight", 3.0),
    ("noseSneer", 4.0),
    ("cheekSquint", 4.0),
    ("tongueOut", 10.0),
    ("eyeWide", 2.0),
    ("eyeSquint", 3.0),
)
"""Penalty of channels that talking people move little, or that landmarks hardly see."""
_JAW_PENALTY: Final = 0.2
CHIN_ANSWER: Final = 0.6
"""Of the chin's way down that the tracker shows, measured on the drawn head."""


@dataclass(frozen=True, eq=False)
class Shapes:
    """The linear system of one head, the same for every frame.

    Attributes:
        normal: (51, 51) of the least squares, rigid motion eliminated, penalties included.
        rows: (3 U, 51) weighted shapes, to be multiplied with weighted displacements.
        irises: (4, 51) weighted shapes of the eyes' turns: left x, y, right x, y.
        weights: (U, 3) of the displacements.
        linear: (51,) the penalty on the sum of the weights.
        neutral: (U, 3) the landmarks on the head at rest; the irises' rows are zero.
    """

    normal: Doubles
    rows: Doubles
    irises: Doubles
    weights: Doubles
    linear: Doubles
    neutral: Doubles


@functools.lru_cache(maxsize=4)
def shapes_of(head: Head) -> Shapes:
    """The system for `head`, whose channels are ARKit's.

    Raises:
        KeyError: it is not known where the landmarks lie on this head.
    """
    table = vertices_of(head.id)
    vertex = np.array([table.get(k, 0) for k in USED])
    skin_point = np.array([k in table for k in USED])
    weights = _weights() * skin_point[:, None]
    shape = np.concatenate([head.expression_basis[vertex], _jaw(head)[vertex, :, None]], -1)
    shape = shape.astype(np.float64) * weights[:, :, None]
    shape[np.isin(USED, CHIN), 1] *= CHIN_ANSWER
    neutral = head.template[vertex].astype(np.float64) * skin_point[:, None]
    rigid = (_rigid(neutral) * weights[:, :, None]).reshape(-1, 7)
    flat = shape.reshape(-1, COLUMNS)
    # What a rigid motion explains is not the face's: eliminated exactly (Schur's complement).
    inverse = np.linalg.inv(rigid.T @ rigid + PRIOR * np.eye(7))
    seen = flat - rigid @ (inverse @ (rigid.T @ flat))
    irises = IRIS_BELIEF * np.concatenate([_iris(head, side) for side in SIDES])
    size = float(np.median((flat**2).sum(0)))
    penalty = _penalties()
    pairs = TOGETHER * IRIS_BELIEF * EYE_RADIUS * _conjugate(head)
    normal = flat.T @ seen + irises.T @ irises + pairs.T @ pairs + RIDGE * size * np.diag(penalty)
    return Shapes(normal, seen, irises, weights, SPARSE * size * penalty, neutral)


def _weights() -> Doubles:
    """(U, 3)."""
    belief = dict.fromkeys(RIGID, _BELIEF_RIGID)
    for landmarks, value in reversed(_BELIEF):
        belief |= dict.fromkeys(landmarks, value)
    for landmark in IRIS.values():
        belief[landmark] = 0.0
    column = np.array([belief[k] for k in USED])
    return column[:, None] * np.array([1.0, 1.0, DEPTH])


def _penalties() -> Doubles:
    """(51,)."""
    out = np.ones(COLUMNS)
    for prefix, value in _RARE:
        out[[i for i, name in enumerate(CHANNELS) if name.startswith(prefix)]] = value
    out[JAW] = _JAW_PENALTY
    return out


def _jaw(head: Head) -> Doubles:
    """(V, 3) displacement of a fully open jaw, from half of it."""
    rest = np.zeros(len(head.expression_names))
    half = np.array([head.jaw_open_radians / 2, 0, 0])
    return np.asarray(2 * (skin(head, rest, jaw_pose=half) - head.template), np.float64)


def _iris(head: Head, side: str) -> Doubles:
    """(2, 51) metres by which an iris goes to the left, and iris and upper lid go up, per unit of
    each channel that turns the eye.

    The lid that rides on the eye says more of its height than the iris, half of which it hides.
    """
    joint = head.joint_names.index(f"eye_{side}")
    turn = head.pose_from_expression[3 * joint : 3 * joint + 3].astype(np.float64)
    table = vertices_of(head.id)
    lid = head.expression_basis[[table[k] for k in UPPER_LID[side]], 1].mean(0)
    rides = lid * (np.abs(turn).sum(0) > 0)
    seen = np.stack([EYE_RADIUS * turn[1], -EYE_RADIUS * IRIS_RISE * turn[0] + rides])
    return np.concatenate([seen, np.zeros((2, 1))], axis=1)


def _conjugate(head: Head) -> Doubles:
    """(2, 51) how much the left eye turns more than the right one, about y and x."""
    turns = [head.pose_from_expression[3 * joint : 3 * joint + 2] for joint in (3, 4)]
    apart = (turns[0] - turns[1]).astype(np.float64)
    return np.concatenate([apart, np.zeros((2, 1))], axis=1)


def _rigid(points: Doubles) -> Doubles:
    """(U, 3, 7) how points move when all turn about x, y, z, go along them, or grow."""
    out = np.zeros((len(points), 3, 7))
    off = points - points.mean(0)
    for axis in range(3):
        out[:, :, axis] = np.cross(np.eye(3)[axis], off)
        out[:, axis, 3 + axis] = 0.05
    out[:, :, 6] = off
    return out
