"""Write the heads that come along: `python -m head.modelling.builtin` (needs SciPy)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from head.channels import CHANNELS, mirrored
from head.eye_turns import gaze
from head.model import Head
from head.modelling import identity, look
from head.modelling.anatomy import Anatomy, survey
from head.modelling.assemble import Surface, build, half_skin
from head.modelling.characters import CHARACTERS, Character
from head.modelling.expressions_face import face
from head.modelling.expressions_mouth import Deltas, close, mouth
from head.modelling.parts import lids, lips
from head.modelling.reshape import carried, reshape
from head.modelling.surface.field import Points
from head.modelling.weights import JAW, regressor, skin_weights
from head.rig import BUILTIN_ID, save_head

FOLDER = Path(__file__).parent.parent / "data"
LEAST_MM = 0.02
"""Smaller displacements are left out of the file."""


def model(surface: Surface, name: str = BUILTIN_ID) -> Head:
    """The rig of a finished surface, as the person of that name."""
    who = CHARACTERS[name]
    a = survey(surface)
    weights, joints = skin_weights(a), regressor(a)
    shapes, channels = identity.shapes(a), _channels(a, weights, who)
    template, grown = a.p, look.beard(a) if who.beard else None
    if who.bend is not None:
        wanted = np.array([who.shape.get(each, 0.0) for each in identity.SHAPES])
        template = reshape(a, who.bend, shapes @ wanted)
        bent = {each: carried(a, who.bend, channels[each]) for each in CHANNELS}
        if grown is not None:
            template = template + who.beard * grown[:, None] * _normals(surface, template)
        here = replace(a, p=template)
        channels = bent | {"mouthClose": close(here, weights, joints[JAW] @ template)}
    names = [m.name for m in look.MATERIALS]
    return Head(
        id=name,
        template=(template / 1000).astype(np.float32),
        faces=surface.faces.astype(np.int32),
        shape_basis=_metres(shapes),
        expression_basis=_metres(np.stack([channels[each] for each in CHANNELS], -1)),
        expression_names=CHANNELS,
        joint_regressor=joints.astype(np.float32),
        skin_weights=weights.astype(np.float32),
        pose_from_expression=gaze().astype(np.float32),
        face_material=np.array([names.index(m) for m in surface.material], dtype=np.uint8),
        materials=look.materials(who),
        regions={n: i.astype(np.int32) for n, i in _regions(a).items()},
        landmarks=_landmarks(surface),
        vertex_tint=look.tint(a, grown),
        shape_names=identity.SHAPES,
        turning_joint="neck",
    )


def _normals(surface: Surface, p: Points) -> Points:
    """Unit normals (V, 3), of the triangles round each vertex."""
    corners = p[surface.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    out = np.zeros_like(p)
    for k in range(3):
        np.add.at(out, surface.faces[:, k], across)
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12))


def _metres(basis: Points) -> np.ndarray:
    basis = np.where(np.abs(basis).max(axis=1, keepdims=True) < LEAST_MM, 0.0, basis)
    return (basis / 1000).astype(np.float32)


def _channels(a: Anatomy, weights: Points, who: Character) -> Deltas:
    """(V, 3) by channel: the right side is the mirror image of the left."""
    made = mouth(a, weights) | face(a, who.lashes)
    for name in CHANNELS:
        if name not in made and mirrored(name) in made:
            made[name] = _reflected(a.surface, made[mirrored(name)])
        if name not in made:  # sideways gaze moves only the joint
            made[name] = np.zeros_like(a.p)
    return made


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
    """Model all of them and write them into the package."""
    base = half_skin()
    FOLDER.mkdir(exist_ok=True)
    for name, who in CHARACTERS.items():
        head = model(build(base, who.hair, who.brows, who.lashes), name)
        target = FOLDER / f"{who.file}.npz"
        save_head(head, target)
        size = target.stat().st_size / 1e6
        print(f"{target}: {head.vertex_count} vertices, {len(head.faces)} triangles, {size:.2f} MB")


if __name__ == "__main__":
    main()
