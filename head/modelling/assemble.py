"""The whole surface: half skin with lips and lids, the parts, and their mirror images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from head.modelling.parts import brows, ear, eyes, hair, lids, lips, mouth, shirt
from head.modelling.parts.part import Part, Triangles, strip
from head.modelling.surface.field import Points
from head.modelling.surface.lay import lay

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Surface:
    """The neutral model in millimetres.

    `mirror[i]` is the vertex opposite to i, or -1 for parts without a twin. `parts` names vertices
    ('skin' holds skin, lips, lids and the bag); `lips` (loops, columns) and `lids` (loops, around)
    are vertex numbers on the left side.
    """

    vertices: Points
    faces: Triangles
    material: list[str]
    mirror: Index
    parts: dict[str, Index]
    lips: Index
    lids: Index


def half_skin() -> tuple[Points, Triangles]:
    """The left half of the skin between lips and lids: what takes longest to make."""
    return lay([lips.loops()[-1], lids.loops()[-1]])


def skin_half(base: tuple[Points, Triangles] | None = None) -> tuple[Part, Index, Index, Index]:
    """Skin, lips, lids and bag of the left half, welded; numbers of lips, lids and bag vertices."""
    mouth_loops, lid_loops = lips.loops(), lids.loops()
    vertices, faces = base if base is not None else half_skin()
    blocks, triangles = [vertices], [faces]
    material = ["skin"] * len(faces)
    total, used, numbers = len(vertices), 0, []
    for loops, closed in ((mouth_loops, False), (lid_loops, True)):
        rows, columns = loops.shape[:2]
        index = np.empty((rows, columns), dtype=np.int64)
        index[-1] = used + np.arange(columns)
        used += columns
        index[:-1] = total + np.arange((rows - 1) * columns).reshape(rows - 1, columns)
        blocks.append(loops[:-1].reshape(-1, 3))
        total += (rows - 1) * columns
        grid = strip(rows, columns, closed=closed, flip=False)
        triangles.append(index.reshape(-1)[grid])
        per_row = len(grid) // (rows - 1)
        if closed:
            material += ["lid_edge"] * (2 * per_row) + ["skin"] * (len(grid) - 2 * per_row)
        else:
            material += ["mouth"] * (2 * per_row) + ["lips"] * (lips.BORDER - 2) * per_row
            material += ["skin"] * (rows - 1 - lips.BORDER) * per_row
        numbers.append(index)
    inside = mouth.bag(mouth_loops[0])
    columns = mouth_loops.shape[1]
    place = np.concatenate([numbers[0][0], total + np.arange(len(inside.vertices) - columns)])
    blocks.append(inside.vertices[columns:])
    triangles.append(place[inside.faces][:, ::-1])
    material += inside.material
    part = Part("skin", np.concatenate(blocks), np.concatenate(triangles), material)
    return part, numbers[0], numbers[1], place


def build(
    base: tuple[Points, Triangles] | None = None,
    hairdo: Callable[[], Part] = hair.hair,
    brow_width: float = 1.0,
    lash_length: float = 1.0,
) -> Surface:
    """Everything, mirrored. `base` is a ready half skin, which takes longest to make."""
    half, lip_index, lid_index, bag_index = skin_half(base)
    lid_loops = half.vertices[lid_index]
    sided = [
        half,
        ear.ear(),
        eyes.ball(),
        eyes.lashes(lid_loops, long=lash_length),
        brows.brow(brow_width),
        mouth.teeth(True),
        mouth.teeth(False),
        mouth.tongue(),
    ]
    blocks: list[Points] = []
    triangles: list[Triangles] = []
    material: list[str] = []
    parts: dict[str, Index] = {}
    mirror: list[Index] = []
    total = 0
    for part in sided:
        n = len(part.vertices)
        middle = np.abs(part.vertices[:, 0]) < 1e-9
        left = total + np.arange(n)
        twin = left.copy()
        twin[~middle] = total + n + np.arange((~middle).sum())
        back = left[~middle]
        blocks += [part.vertices, part.vertices[~middle] * [-1.0, 1.0, 1.0]]
        triangles += [part.faces + total, twin[part.faces][:, ::-1]]
        material += part.material * 2
        mirror += [twin, back]
        if part.name in ("skin", "teeth_upper", "teeth_lower", "tongue"):
            parts[part.name] = np.concatenate([left, twin[~middle]])
        else:
            parts[f"{part.name}_left"] = left
            parts[f"{part.name}_right"] = twin
        if part.name == "skin":
            parts["bag"] = np.unique(np.concatenate([bag_index, twin[bag_index]]))
        total += n + int((~middle).sum())
    for part in (hairdo(), shirt.shirt()):
        n = len(part.vertices)
        blocks.append(part.vertices)
        triangles.append(part.faces + total)
        material += part.material
        parts[part.name] = total + np.arange(n)
        mirror.append(np.full(n, -1))
        total += n
    return Surface(
        np.concatenate(blocks),
        np.concatenate(triangles),
        material,
        np.concatenate(mirror),
        parts,
        lip_index,
        lid_index,
    )
