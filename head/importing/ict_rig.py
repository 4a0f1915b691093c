"""Joints for a face that has shapes only: where its jaw turns, and what follows it.

The lower teeth are rigid, so the shape `jawOpen` says how the jaw turns: the rotation that fits
them best (Kabsch) has an axis and an angle, and its fixed line is the hinge. A vertex follows the
jaw by the share of that motion which its own displacement has. What a joint cannot do (the skin's
path) is added as a pose corrective in proportion to the sine of the jaw's angle, so that the jaw
at its full angle gives the shape exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from head.geometry.mesh import Points
from head.model import JOINTS, HeadError

LARGEST_MISFIT = 0.0005
"""Metres by which the lower teeth may miss a rigid motion."""
SINE_ENTRY = 9 + 7
"""Entry of the pose feature: the jaw's (rotation - identity) at row z, column y, its sine."""


@dataclass(frozen=True)
class Rig:
    """Joints (5, 3), weights (V, 5), regressor (5, V), correctives (V, 3, 36), opening angle."""

    rest: Points
    joints: Points
    weights: Points
    regressor: Points
    pose_basis: Points
    jaw_open_radians: float

    def posed(self, share: float) -> Points:
        """(V, 3) the face with the jaw at `share` of its full angle."""
        angle, jaw, hinge = self.jaw_open_radians * share, self.weights[:, 2], self.joints[2]
        return _turned(
            self.rest + self.pose_basis[:, :, SINE_ENTRY] * np.sin(angle), jaw, angle, hinge
        )

    def before_joints(self, share: float, after: Points) -> Points:
        """The displacement (V, 3) to give before the joints turn so that `after` is what comes
        with the jaw at `share` of its full angle."""
        blend = _blend(self.weights[:, 2], self.jaw_open_radians * share)
        return np.asarray(np.linalg.solve(blend, after[:, :, None])[:, :, 0])


def fit(
    rest: Points, jaw_open: Points, teeth: tuple[int, int], eyes: tuple[tuple[int, int], ...]
) -> Rig:
    """Joints and weights from the neutral face (V, 3) and its shape `jawOpen` (V, 3), in metres.

    `teeth` and `eyes` are ranges of vertices: the lower teeth; the left and the right eyeball.

    Raises:
        HeadError: the lower teeth do not turn about x as one piece.
    """
    angle, hinge = _hinge(rest[slice(*teeth)], jaw_open[slice(*teeth)])
    balls = [rest[slice(*eye)] for eye in eyes]
    centres = [_ball(points) for points in balls]
    neck = np.array([0.0, hinge[1] - 0.085, hinge[2] - 0.022])
    joints = np.stack([neck - [0, 0.04, 0.006], neck, hinge, *centres])
    jaw = _jaw_share(rest, jaw_open, angle, hinge)
    jaw[slice(*teeth)] = 1.0
    weights = _weights(rest, jaw, neck, eyes)
    pose_basis = np.zeros((len(rest), 3, 9 * (len(JOINTS) - 1)))
    turned = _turned(rest, jaw, angle, hinge)
    missing = rest + jaw_open - turned
    missing[np.linalg.norm(missing, axis=1) < 2e-6] = 0.0
    rig = Rig(rest, joints, weights, _regressor(rest, joints), pose_basis, angle)
    pose_basis[:, :, SINE_ENTRY] = rig.before_joints(1.0, missing) / np.sin(angle)
    return rig


def _ball(points: Points) -> Points:
    """Centre of the sphere that fits the back of an eyeball best (its front bulges)."""
    back = points[points[:, 2] < np.median(points[:, 2])]
    system = np.column_stack([2 * back, np.ones(len(back))])
    return np.linalg.lstsq(system, (back * back).sum(axis=1), rcond=None)[0][:3]


def _hinge(before: Points, delta: Points) -> tuple[float, Points]:
    """Angle about +x and the fixed point of the rotation that moves `before` by `delta`."""
    after = before + delta
    a, b = before.mean(axis=0), after.mean(axis=0)
    u, _, vt = np.linalg.svd((before - a).T @ (after - b))
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(vt.T @ u.T))])
    turn = vt.T @ flip @ u.T
    misfit = np.linalg.norm((before - a) @ turn.T + b - after, axis=1).max(initial=0)
    angle = float(np.arctan2(turn[2, 1] - turn[1, 2], turn[1, 1] + turn[2, 2]))
    if misfit > LARGEST_MISFIT or not 0.1 < angle < 1.2 or abs(turn[0, 0] - 1) > 1e-3:
        raise HeadError("jawOpen.obj does not turn the lower teeth about the jaw; is it the kit's?")
    shift = (b - turn @ a)[1:]
    y, z = np.linalg.solve(np.eye(2) - turn[1:, 1:], shift)
    return angle, np.array([0.0, y, z])


def _rotation(angle: float) -> Points:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _jaw_share(rest: Points, delta: Points, angle: float, hinge: Points) -> Points:
    """(V,) how much of the jaw's own motion each vertex makes."""
    rigid = (rest - hinge) @ _rotation(angle).T + hinge - rest
    share = (delta * rigid).sum(axis=1) / np.maximum((rigid * rigid).sum(axis=1), 1e-9)
    return np.asarray(np.where(np.linalg.norm(delta, axis=1) > 2e-5, share, 0).clip(0, 1))


def _turned(rest: Points, jaw: Points, angle: float, hinge: Points) -> Points:
    turned = (rest - hinge) @ _rotation(angle).T + hinge
    return np.asarray(rest + jaw[:, None] * (turned - rest))


def _blend(jaw: Points, angle: float) -> Points:
    """(V, 3, 3) the blended rotation at each vertex."""
    w = jaw[:, None, None]
    return np.asarray((1 - w) * np.eye(3) + w * _rotation(angle))


def _weights(rest: Points, jaw: Points, neck: Points, eyes: tuple[tuple[int, int], ...]) -> Points:
    """(V, 5): the head turns about the neck, whose lower end stays."""
    height = rest[:, 1] + 0.25 * rest[:, 2]  # the throat gives way further down than the nape
    t = np.clip((height - (neck[1] - 0.035)) / 0.07, 0, 1)
    turning = t * t * (3 - 2 * t)
    out = np.zeros((len(rest), len(JOINTS)))
    out[:, 0] = (1 - turning) * (1 - jaw)
    out[:, 1] = turning * (1 - jaw)
    out[:, 2] = jaw
    for k, eye in enumerate(eyes):
        out[slice(*eye)] = np.eye(len(JOINTS))[3 + k]
    return out


def _regressor(rest: Points, joints: Points) -> Points:
    """(5, V) the smallest weights on the nearest vertices that give exactly these joints."""
    out = np.zeros((len(joints), len(rest)))
    for k, joint in enumerate(joints):
        near = np.argsort(np.linalg.norm(rest - joint, axis=1))[:300]
        system = np.vstack([rest[near].T, np.ones(len(near))])
        out[k, near] = np.linalg.pinv(system) @ np.append(joint, 1.0)
    return out
