"""ARKit-52 weights of a head whose own channels are anonymous: FLAME's, say.

At load time the 52 shapes are carried over to the head (`arkit_shapes`) and everything that a
frame needs is reduced to small matrices; then each frame is a least-squares problem of 43 weights
in 0..1: which shapes together move the head's named regions most nearly as its own motion does?

    minimise  sum_v c_v | sum_k w_k D_kv - (E psi + J(jaw))_v |^2  +  sum_k r_k w_k^2
              + sum_k t_k (w_k - w_before_k)^2

c weighs the regions, r keeps weights small where shapes are nearly alike. The problem is strictly
convex, so its answer is unique and continuous in the motion: still motion gives still weights,
with no state at all. The last term, used by `follow`, also damps what jitters.
The jaw's turn about x counts as that share of `jawOpen`, whatever the arc that the joint takes
between; its other turns count as they move the face at rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from head.arkit.box import Doubles, box_least_squares
from head.arkit.shapes import arkit_shapes, has_jaw
from head.channels import ARKIT_52
from head.eye_turns import GAZE_RADIANS
from head.geometry.mesh import areas
from head.model import Head
from head.skinning import rotation_matrices, skin

Floats = NDArray[np.floating[Any]]

GAZE: Final = tuple(i for i, name in enumerate(ARKIT_52) if name.startswith("eyeLook"))
SOLVED: Final = tuple(i for i, name in enumerate(ARKIT_52) if i not in GAZE and name != "tongueOut")
"""What is solved for: gaze is read off the eye joints, and such heads have no tongue."""
REGION_WEIGHTS: Final = {"face": 1.0, "mouth": 3.0, "eyelids": 10.0, "lips": 10.0}
"""Per area; a vertex has the largest of its regions'."""
RIDGE: Final = 0.01
"""r_k, of the shape's own size."""
FOLLOWING: Final = 0.1
"""t_k, of the shape's own size, so that quick lids stay quick."""


@dataclass(frozen=True, eq=False)
class ArkitSolver:
    """The reduced system of one head. N solved weights, E channels."""

    head: Head
    shapes: Doubles
    """(V, 3, 52) displacements per unit of each weight."""
    normal: Doubles
    """(N, N) of the least squares, the ridge included."""
    from_expression: Doubles
    """(N, E) right side per unit of a channel."""
    from_opening: Doubles
    """(N,) right side per radian of the jaw about x."""
    from_jaw: Doubles
    """(N, 9) right side per entry of what the jaw's rotation has besides that about x."""
    from_gaze: Doubles
    """(N, 8) right side per unit of a gaze weight, whose lids are accounted for already."""

    @property
    def has_jaw(self) -> bool:
        """Whether the head's jaw joint moves anything."""
        return has_jaw(self.head)

    def solve(self, expression: Floats, jaw_pose: Floats, before: Floats | None = None) -> Doubles:
        """Weights (52,) in 0..1 of one frame: expression (E,), jaw (3,) axis-angle.

        With `before` (52,), the frame before's weights, jitter is damped.
        """
        psi = np.asarray(expression, np.float64)
        jaw = np.asarray(jaw_pose, np.float64)
        aside = rotation_matrices(jaw) - rotation_matrices(jaw * [1, 0, 0])
        gaze = self.gaze(psi)
        right = self.from_expression @ psi + self.from_opening * jaw[0]
        right += self.from_jaw @ aside.ravel() - self.from_gaze @ gaze
        solved, normal = list(SOLVED), self.normal
        if before is None:
            start = np.zeros(len(solved))
        else:
            start = np.asarray(before, np.float64)[solved]
            pull = FOLLOWING * np.diag(normal)
            normal = normal + np.diag(pull)
            right = right + pull * start
        out = np.zeros(len(ARKIT_52))
        out[solved] = box_least_squares(normal, right, start)
        out[list(GAZE)] = gaze
        return out

    def follow(self, expression: Floats, jaw_pose: Floats) -> Doubles:
        """Weights (T, 52) of motion over time, (T, E) and (T, 3)."""
        out = np.zeros((len(expression), len(ARKIT_52)))
        before: Doubles | None = None
        for t, (psi, jaw) in enumerate(zip(expression, jaw_pose, strict=True)):
            before = self.solve(psi, jaw, before)
            out[t] = before
        return out

    def gaze(self, expression: Doubles) -> Doubles:
        """(8,) the eyeLook weights that turn the eyes as the head's channels do."""
        turn = (np.asarray(self.head.pose_from_expression, np.float64) @ expression).reshape(-1, 3)
        out = []
        for index in GAZE:
            name = ARKIT_52[index]
            left = name.endswith("Left")
            rx, ry, _ = turn[self.head.joint_names.index("eye_left" if left else "eye_right")]
            outward = ry if left else -ry
            way = {"Down": rx, "Up": -rx, "In": -outward, "Out": outward}
            look = name.removeprefix("eye").removesuffix("Left").removesuffix("Right")
            out.append(way[look.removeprefix("Look")] / GAZE_RADIANS[look])
        return np.clip(out, 0, 1)

    def posed(self, weights: Floats) -> Doubles:
        """(V, 3) the face that the weights (52,) make of this head's template."""
        moved: Doubles = self.head.template + self.shapes @ np.asarray(weights, np.float64)
        return moved


def build(head: Head) -> ArkitSolver:
    """The solver of a head: takes a second or so.

    Raises:
        HeadError: the head lacks the landmarks or regions that are needed; one line.
    """
    shapes = arkit_shapes(head)
    return reduced(head, shapes)


def reduced(head: Head, shapes: Doubles) -> ArkitSolver:
    """The small matrices for shapes (V, 3, 52) of this head."""
    weights = region_weights(head)
    index = np.flatnonzero(weights > 0)
    part = head.subset(index)
    scale = np.sqrt(weights[index])[:, None, None]
    every = (scale * shapes[index]).reshape(-1, shapes.shape[2])
    solved = every[:, list(SOLVED)]
    own = (scale * part.expression_basis).reshape(-1, part.expression_basis.shape[2])
    jaw = (scale * jaw_fields(part)).reshape(-1, 9)
    square = solved.T @ solved
    opening = every[:, ARKIT_52.index("jawOpen")] / head.jaw_open_radians
    if not has_jaw(head):
        opening = np.zeros_like(opening)
    size = np.diag(square)
    ridge = RIDGE * size + 1e-6 * float(size.mean())
    return ArkitSolver(
        head=head,
        shapes=shapes,
        normal=square + np.diag(ridge),
        from_expression=solved.T @ own,
        from_opening=solved.T @ opening,
        from_jaw=solved.T @ jaw,
        from_gaze=solved.T @ every[:, list(GAZE)],
    )


def region_weights(head: Head) -> Doubles:
    """(V,) how much a vertex counts: its area times its region's weight; they sum to one."""
    share = np.zeros(head.vertex_count)
    for name, weight in REGION_WEIGHTS.items():
        index = head.regions.get(name, np.zeros(0, np.int32))
        share[index] = np.maximum(share[index], weight)
    share *= areas(np.asarray(head.template, np.float64), head.faces)
    total: Doubles = share / max(float(share.sum()), 1e-30)
    return total


def jaw_fields(head: Head) -> Doubles:
    """(V, 3, 9) displacement at rest per entry of the jaw's (rotation - identity).

    Exact for a jaw that turns alone by small angles; correctives count as they stand at rest.
    """
    joint = head.joint_names.index("jaw")
    arm = head.template - np.asarray(head.rest_joints)[joint]
    share = head.skin_weights[:, joint]
    rows = np.zeros((head.vertex_count, 3, 3, 3))
    for axis in range(3):  # row `axis` of the matrix moves along that axis
        rows[:, axis, axis, :] = share[:, None] * arm
    out: Doubles = rows.reshape(-1, 3, 9)
    if head.pose_basis is not None:
        out += head.pose_basis[:, :, 9 * (joint - 1) : 9 * joint]
    return out


def own_motion(head: Head, expression: Floats, jaw_pose: Floats) -> Doubles:
    """(..., V, 3) the head's own face, eyes and jaw included, in double precision."""
    moved: Doubles = skin(
        head, np.asarray(expression, np.float64), jaw_pose=np.asarray(jaw_pose, np.float64)
    )
    return moved
