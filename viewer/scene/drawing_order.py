"""In which order a head's triangles are drawn, and how: four ranges, for any rasteriser.

Bodies never show their backs; sheets do. What is in the mouth is put back in depth by
`SLOPE_OFFSET` pixels of its own slope (OpenGL's polygon offset): rasterisers round corners to a
part of a pixel, some to a sixteenth, and a triangle seen edge on is so steep that its depth, that
far off, lies centimetres nearer. The mouth's walls came through the skin as single dark pixels. On
lashes and brows, which lie on the skin, such an offset would show the skin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from viewer.scene.shading import solid
from viewer.scene.surface import in_mouth

if TYPE_CHECKING:
    from head.model import Head

SLOPE_OFFSET = 1.0
RANGES = ((True, False), (True, True), (False, True), (False, False))
"""Of the ranges, in order: whether backs are left out, and whether it is put back in depth."""


def drawing_order(head: Head) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Numbers of the head's triangles (F,) as they are drawn, and the lengths of ranges (4,)."""
    inner = np.array([in_mouth(material.name) for material in head.materials])[head.face_material]
    bodies = solid(head.template, head.faces)
    ranges = [np.flatnonzero((bodies == body) & (inner == back)) for body, back in RANGES]
    return np.concatenate(ranges), np.array([len(each) for each in ranges])
