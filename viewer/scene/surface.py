"""What a drawn vertex looks like before any light falls on it: paint, and light baked once.

Pure numpy and scipy: the window, the videos and the web page all draw from these values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from head.skinning import skin
from viewer.scene.lights import light_directions
from viewer.scene.shading import DrawnMesh, SmoothNormals, ambient_occlusion, soft_shadow

if TYPE_CHECKING:
    from head.model import Head

Floats = NDArray[np.float32]

TRANSLUCENT = ("skin", "lip", "ear", "tongue", "gum", "lid", "mouth", "nose")
IN_MOUTH = ("teeth", "tongue", "gum", "mouth")
OCCLUSION_JAW_RADIANS = 0.22  # the mouth's inside gets the little light an open mouth lets in
LEAST_IN_MOUTH = 0.6
"""Of the sky: light goes round in a mouth, so that its corners are dark flesh and not black."""


def paint(head: Head, mesh: DrawnMesh) -> Floats:
    """Linear red, green, blue, and roughness of each drawn vertex: (D, 4)."""
    looks = [(*material.rgb, material.roughness) for material in head.materials]
    paint = np.array(looks, np.float32)[mesh.material]
    if head.vertex_tint is not None:
        tint = head.vertex_tint[mesh.source] / np.float32(255)
        paint[:, :3] *= tint
        # Nothing shines deep in the mouth: a sheen on what is painted dark there is seen as grey.
        inside = np.array([in_mouth(material.name) for material in head.materials])
        matt = 1 - (1 - paint[:, 3]) * tint.mean(axis=1)
        paint[:, 3] = np.where(inside[mesh.material], matt, paint[:, 3])
    return paint


def surface(head: Head, mesh: DrawnMesh, normals: SmoothNormals) -> Floats:
    """Sky seen, translucency, key light seen, fill light seen of each drawn vertex: (D, 4).

    Baked once, with the mouth slightly open so that its inside gets the little light that it will
    get in speech. A head turns by a few degrees only: what moves most, the lips, hides little.
    """
    jaw = np.array([OCCLUSION_JAW_RADIANS, 0.0, 0.0], np.float32)
    posed = skin(head, np.zeros(len(head.expression_names), np.float32), jaw_pose=jaw)
    vertices = np.asarray(posed, np.float32)
    facing, lights = normals(vertices), light_directions()
    soft = np.array([_softness(material.name) for material in head.materials], np.float32)
    sky = ambient_occlusion(vertices, facing, head.faces)
    key = soft_shadow(vertices, facing, head.faces, lights["key_direction"])
    fill = soft_shadow(vertices, facing, head.faces, lights["fill_direction"])
    seen = np.stack([sky, np.zeros_like(sky), key, fill], axis=1)[mesh.source]
    lift = np.array([_lift(material.name) for material in head.materials], np.float32)
    seen = seen ** lift[mesh.material][:, None]
    seen[:, 0] = np.maximum(seen[:, 0], np.where(lift < 0.5, LEAST_IN_MOUTH, 0.0)[mesh.material])
    seen[:, 1] = soft[mesh.material]
    return seen


def in_mouth(material: str) -> bool:
    """Whether a material of this name is inside the mouth."""
    return any(word in material.lower() for word in IN_MOUTH)


def _lift(material: str) -> float:
    """Exponent on what is seen: the mouth and the eyes get light from what is round them too."""
    name = material.lower()
    if in_mouth(material):
        return 0.45
    return 0.5 if "sclera" in name or "iris" in name else 1.0


def _softness(material: str) -> float:
    """1 for what light shines into, 0 for what it does not, half for teeth."""
    if "teeth" in material.lower():
        return 0.5
    return float(any(word in material.lower() for word in TRANSLUCENT))
