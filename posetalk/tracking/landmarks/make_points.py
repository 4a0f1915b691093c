"""Write `points.json`: which vertex of the built-in head each landmark of the tracker lies on.

    python -m posetalk.tracking.landmarks.make_points [--model face_landmarker.task]

The head at rest is drawn, as several characters and from several sides, and tracked. A landmark
belongs to the skin that is drawn there, on average. Lips and lids, where neighbours in the picture
are not neighbours on the face, go by the head's own names instead.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.geometry.survey import lid_edge
from head.model import Floats, Head, Indices
from head.new_file import new_file
from head.rig import builtin_head
from head.skinning import skin
from posetalk.tracking.landmarks.model_file import find_model
from posetalk.tracking.landmarks.points import FILE, LIDS_LOWER, LIDS_UPPER, LIPS_LOWER, LIPS_UPPER
from posetalk.tracking.landmarks.tracker import POINTS, LandmarkTracker
from posetalk.tracking.problem import TrackingError

Doubles = NDArray[np.float64]

SIZE: Final = 768
VIEWS: Final = ((0.0, 0.0), (-12.0, 0.0), (12.0, 0.0), (0.0, 8.0), (0.0, -8.0))
CHARACTERS: Final = 6
WIDEST_SPREAD: Final = 0.006
"""Metres: a landmark that lies elsewhere on every character slides, and is left out."""


def measure(head: Head, model: Path) -> dict[int, int]:
    """Vertex by landmark.

    Raises:
        TrackingError: the tracker does not see the head.
    """
    hits: list[Doubles] = []
    normals_ok = np.zeros(head.vertex_count, bool)
    normals_ok[head.regions["skin"]] = True
    triangles = head.faces[normals_ok[head.faces].all(axis=1)]
    from viewer.render.renderer import Renderer
    from viewer.scene.framing import FIELD_OF_VIEW_DEGREES, frame_head

    framing = frame_head(head)
    focal = SIZE / 2 / np.tan(np.radians(FIELD_OF_VIEW_DEGREES / 2))
    rest = np.zeros(len(head.expression_names), np.float32)
    with Renderer(head, SIZE, SIZE) as renderer:
        for seed in range(CHARACTERS):
            shape = np.random.default_rng(seed).normal(0, 0.6, head.shape_count) * (seed > 0)
            vertices: Floats = skin(head, rest, shape=shape.astype(np.float32))
            for yaw, pitch in VIEWS:
                with LandmarkTracker(model) as tracker:
                    picture = renderer.render(vertices, yaw=yaw, pitch=pitch)
                    faces = [tracker(picture, k / 25)[:1] for k in range(3)][-1]
                if not faces:
                    raise TrackingError("the tracker finds no face in the head as it is drawn")
                pose = framing.pose(yaw, pitch)
                seen = (vertices - pose[:3, 3]) @ pose[:3, :3]
                flat = SIZE / 2 + focal * seen[:, :2] / -seen[:, 2:] * [1, -1]
                hits.append(_hit(faces[0].points[:, :2], flat, -seen[:, 2], triangles, head))
    places = np.array(hits)  # (n, 478, 3) on the template
    seen_often = np.isfinite(places[:, :, 0]).mean(0) > 0.7
    places[:, ~seen_often] = 0
    middle = np.nanmedian(places, axis=0)
    spread = np.nanmedian(np.linalg.norm(places - middle, axis=2), axis=0)
    index = np.flatnonzero(normals_ok)
    out: dict[int, int] = {}
    for k in range(POINTS - 10):
        if seen_often[k] and spread[k] < WIDEST_SPREAD:
            far = np.linalg.norm(head.template[index] - middle[k], axis=1)
            out[k] = int(index[far.argmin()])
    return out | _by_name(head)


def _hit(points: Floats, flat: Doubles, depth: Doubles, triangles: Indices, head: Head) -> Doubles:
    """(478, 3) the places on the template that are drawn at `points` (478, 2); NaN where none."""
    a, b, c = (flat[triangles[:, k]] for k in range(3))
    area = _cross(b - a, c - a)
    facing = area < 0  # the picture's y points down
    a, b, c, area, near = a[facing], b[facing], c[facing], area[facing], triangles[facing]
    out = np.full((len(points), 3), np.nan)
    for k, p in enumerate(np.asarray(points, np.float64)):
        u, v = _cross(p - a, c - a) / area, _cross(b - a, p - a) / area
        inside = np.flatnonzero((u >= 0) & (v >= 0) & (u + v <= 1))
        if not len(inside):
            continue
        best = inside[depth[near[inside]].mean(axis=1).argmin()]
        share = np.array([1 - u[best] - v[best], u[best], v[best]])
        out[k] = share @ head.template[near[best]]
    return out


def _cross(a: Doubles, b: Doubles) -> Doubles:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def _by_name(head: Head) -> dict[int, int]:
    """Lips and lids: along the head's own lines, evenly."""
    out: dict[int, int] = {}
    for marks, name in ((LIPS_UPPER, "lip_upper_inner"), (LIPS_LOWER, "lip_lower_inner")):
        line = head.regions[name]
        places = np.linspace(0, len(line) - 1, len(marks)).round().astype(int)
        out |= dict(zip(marks, (int(line[p]) for p in places), strict=True))
    for side in ("left", "right"):
        rim = lid_edge(head, side)
        half = len(rim) // 2
        below = np.concatenate([rim[:1], rim[: half - 1 : -1]])
        for lid, edge in ((LIDS_UPPER[side], rim[: half + 1]), (LIDS_LOWER[side], below)):
            # both from the inner corner to the outer one
            across = np.abs(head.template[edge, 0])
            goals = np.linspace(across[0], across[-1], len(lid))
            found = [int(edge[np.abs(across - goal).argmin()]) for goal in goals]
            out |= dict(zip(lid, found, strict=True))
    return out


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--model", type=Path, default=None)
    options = parser.parse_args()
    head = builtin_head()
    table = measure(head, find_model(options.model))
    text = json.dumps({"head": head.id, "vertices": {str(k): table[k] for k in sorted(table)}})
    with new_file(FILE) as part:
        part.write_text(text + "\n", "utf-8")
    print(f"{FILE}: {len(table)} landmarks")


if __name__ == "__main__":
    main()
