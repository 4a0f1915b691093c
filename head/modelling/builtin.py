"""Write the built-in head, `posetalk-head-1`: `python -m head.modelling.builtin` (needs SciPy)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from head.channels import CHANNELS, mirrored
from head.eye_turns import gaze
from head.model import Head
from head.modelling import identity, look
from head.modelling.anatomy import Anatomy, survey
from head.modelling.assemble import Surface, build
from head.modelling.expressions_face import face
from head.modelling.expressions_mouth import mouth
from head.modelling.parts import lids, lips
from head.modelling.surface.field import Points
from head.modelling.weights import regressor, skin_weights
from head.rig import BUILTIN_ID, save_head

TARGET = Path(__file__).parent.parent / "data" / "builtin.npz"
LEAST_MM = 0.02
"""Smaller displacements are left out of the file."""


def model(surface: Surface) -> Head:
    """The rig of a finished surface."""
    a = survey(surface)
    weights = skin_weights(a)
    shapes = identity.shapes(a)
    names = [m.name for m in look.MATERIALS]
    return Head(
        id=BUILTIN_ID,
        template=(surface.vertices / 1000).astype(np.float32),
        faces=surface.faces.astype(np.int32),
        shape_basis=_metres(shapes),
        expression_basis=_metres(_channels(a, weights)),
        expression_names=CHANNELS,
        joint_regressor=regressor(a).astype(np.float32),
        skin_weights=weights.astype(np.float32),
        pose_from_expression=gaze().astype(np.float32),
        face_material=np.array([names.index(m) for m in surface.material], dtype=np.uint8),
        materials=look.MATERIALS,
        regions={n: i.astype(np.int32) for n, i in _regions(a).items()},
        landmarks=_landmarks(surface),
        vertex_tint=look.tint(a),
        shape_names=identity.SHAPES,
        turning_joint="neck",
    )


def _metres(basis: Points) -> np.ndarray:
    basis = np.where(np.abs(basis).max(axis=1, keepdims=True) < LEAST_MM, 0.0, basis)
    return (basis / 1000).astype(np.float32)


def _channels(a: Anatomy, weights: Points) -> Points:
    """(V, 3, 50): the right side is the mirror image of the left."""
    made = mouth(a, weights) | face(a)
    for name in CHANNELS:
        if name not in made and mirrored(name) in made:
            made[name] = _reflected(a.surface, made[mirrored(name)])
        if name not in made:  # sideways gaze moves only the joint
            made[name] = np.zeros_like(a.p)
    return np.stack([made[name] for name in CHANNELS], -1)


def _reflected(surface: Surface, delta: Points) -> Points:
    twin = surface.mirror
    return np.where((twin >= 0)[:, None], delta[twin] * [-1.0, 1.0, 1.0], 0.0)


def _regions(a: Anatomy) -> dict[str, np.ndarray]:
    """Named vertices. Paired lip regions run from the right corner to the left one."""
    s, half = a.surface, lips.SEGMENTS
    seal = s.lips[lips.SEAL]
    upper, lower = seal[: half + 1], seal[::-1][: half + 1]
    top = np.concatenate([s.mirror[upper[1:half]][::-1], upper[:half]])
    bottom = np.concatenate([s.mirror[lower[1:half]][::-1], lower[:half]])
    middle = slice(len(top) // 2 - 3, len(top) // 2 + 4)
    both_lids = np.concatenate([s.lids[:6].ravel(), s.mirror[s.lids[:6]].ravel()])
    both_lips = np.concatenate([s.lips[2:9].ravel(), s.mirror[s.lips[2:9]].ravel()])
    skin = s.parts["skin"]
    y, z = a.p[skin, 1], a.p[skin, 2]
    outer = np.setdiff1d(skin, s.parts["bag"])
    around = outer[a.lips[outer] > 0.05]
    return {
        **s.parts,
        "lip_upper_inner": top,
        "lip_lower_inner": bottom,
        "lip_gap_upper": top[middle],
        "lip_gap_lower": bottom[middle],
        "lips": np.unique(both_lips),
        "mouth": np.unique(around),
        "eyelids": np.unique(both_lids),
        "upper_face": skin[(y > 0) & (z > 10)],
        "face": outer[(a.p[outer, 2] > 10) & (a.p[outer, 1] > -80)],
    }


def _landmarks(s: Surface) -> dict[str, int]:
    """Named vertices; the left side is the subject's."""
    half = lips.SEGMENTS
    seal, red = s.lips[lips.SEAL], s.lips[lips.BORDER]
    margin = s.lids[lids.MARGIN]
    quarter = lids.AROUND // 4
    marks = {
        "mouth_left": red[half],
        "mouth_right": s.mirror[red[half]],
        "lip_upper_mid": seal[0],
        "lip_lower_mid": seal[-1],
        "lip_upper_top": red[0],
        "lip_lower_bottom": red[-1],
    }
    for name, place in (
        ("inner", lids.INNER),
        ("outer", lids.OUTER),
        ("upper", quarter),
        ("lower", 3 * quarter),
    ):
        marks[f"eye_{name}_left"] = margin[place]
        marks[f"eye_{name}_right"] = s.mirror[margin[place]]
    skin = s.parts["skin"]
    outer = np.setdiff1d(skin, s.parts["bag"])
    p = s.vertices[outer]
    middle = np.abs(p[:, 0]) < 1e-6

    def nearest(point: tuple[float, float, float], only: np.ndarray) -> int:
        d = np.linalg.norm(p - point, axis=1) + np.where(only, 0, 1e6)
        return int(outer[d.argmin()])

    front = middle & (p[:, 2] > 30)
    tip = np.where(front & (np.abs(p[:, 1] - 3) < 14), p[:, 2], -1e6).argmax()
    chin = np.where(middle & (p[:, 2] > 60), p[:, 1], 1e6).argmin()
    marks["nose_tip"], marks["menton"] = outer[tip], outer[chin]
    marks["nasion"] = nearest((0, 37.5, 82), front)
    marks["subnasale"] = nearest((0, -12, 88), front)
    marks["chin"] = nearest((0, -62, 84), front)
    everywhere = np.ones(len(p), dtype=bool)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        marks[f"jaw_{side}"] = nearest((51 * sign, -45, 10), everywhere)
        marks[f"cheek_{side}"] = nearest((40 * sign, 3, 66), everywhere)
        marks[f"nose_wing_{side}"] = nearest((16 * sign, -5, 84), everywhere)
        marks[f"face_side_{side}"] = nearest((70 * sign, 37, 10), everywhere)
    return {name: int(index) for name, index in marks.items()}


def main() -> None:
    """Model the head and write it into the package."""
    head = model(build())
    TARGET.parent.mkdir(exist_ok=True)
    save_head(head, TARGET)
    size = TARGET.stat().st_size / 1e6
    print(f"{TARGET}: {head.vertex_count} vertices, {len(head.faces)} triangles, {size:.2f} MB")


if __name__ == "__main__":
    main()
