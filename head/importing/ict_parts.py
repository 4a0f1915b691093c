"""Parts of ICT-FaceKit's light model: its ranges of vertices, its tongue, and how it looks.

The ranges and the landmarks are those of the kit's own README.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from head.geometry.mesh import Bools, Ints, Points, distances
from head.geometry.survey import Surveyed
from head.importing import look
from head.importing.obj import Mesh

VERTICES: Final = 26719
FACE, SKIN, SOCKET = (0, 9409), (0, 14062), (11248, 13294)
GUMS_AND_TONGUE, TEETH_UPPER, TEETH_LOWER = (14062, 17039), (17039, 19247), (19247, 21451)
EYE_LEFT, EYE_RIGHT = (21451, 23021), (23021, 24591)
MARKS: Final = {
    "nasion": 978,
    "nose_tip": 4857,
    "subnasale": 1147,
    "nose_wing_right": 1140,
    "nose_wing_left": 3360,
    "menton": 966,
    "mouth_right": 5708,
    "mouth_left": 6213,
    "lip_upper_top": 0,
    "lip_lower_bottom": 5518,
    "lip_upper_mid": 5533,
    "lip_lower_mid": 5517,
    "eye_outer_right": 1507,
    "eye_inner_right": 1528,
    "eye_inner_left": 3742,
    "eye_outer_left": 3721,
}
"""Vertices, of the 68 points of the README."""
BROWS: Final = ((268, 493, 1914, 2044, 1401), (3615, 4240, 4114, 2734, 2509))
LEFT_OUT: Final = (
    "M_LacrimalFluid",
    "M_EyeBlend",
    "M_EyeOcclusion",
    "M_EyeLashes",
    "M_IrisLeft",
    "M_IrisRight",
)
"""Films and strips that need a transparent texture, and what lies behind the opaque eyeball: the
iris is painted on its front instead."""
TONGUE_OUT_METRES: Final = 0.036


def within(limits: tuple[int, int]) -> Bools:
    """(V,) whether a vertex is in a range."""
    out = np.zeros(VERTICES, dtype=bool)
    out[slice(*limits)] = True
    return out


def tongue(p: Points, faces: Ints) -> Points:
    """(V,) 1 on the tongue, 0 on the gums, soft between.

    They are one surface: a point is tongue if its way along the surface to the tongue's back is
    shorter than that to any gum that touches a tooth.
    """
    part = np.flatnonzero(within(GUMS_AND_TONGUE))
    teeth = p[TEETH_UPPER[0] : TEETH_LOWER[1]]
    gap = np.array([np.linalg.norm(teeth - point, axis=1).min() for point in p[part]])
    gums = part[gap < 0.003]
    own = faces[((faces >= part[0]) & (faces <= part[-1])).all(axis=1)]
    lower = p[slice(*TEETH_LOWER)]
    middle = np.abs(p[part, 0]) < 0.004
    top = lower[:, 1].max() - 0.006
    back = part[middle & (p[part, 1] < top) & (p[part, 1] > top - 0.012)]
    back = back[(p[back, 2] > lower[:, 2].min()) & (p[back, 2] < lower[:, 2].max() - 0.012)]
    to_tongue, to_gums = distances(p, own, back), distances(p, own, gums)
    to_tongue, to_gums = np.minimum(to_tongue, 1.0), np.minimum(to_gums, 1.0)
    lead = np.where(to_tongue < 1.0, to_gums - 0.8 * to_tongue, -1.0)
    return np.asarray(np.clip(lead / 0.006 + 0.5, 0, 1) * within(GUMS_AND_TONGUE))


def tongue_out(p: Points, share: Points) -> Points:
    """(V, 3) the tongue slides forward and up over the teeth, its tip most; the root stays."""
    here = share > 0.5
    z = p[here, 2]
    along = np.clip((p[:, 2] - z.min()) / max(float(np.ptp(z)), 1e-6), 0, 1) * share
    x = -0.12 * p[:, 0] * along
    y, z = 0.32 * TONGUE_OUT_METRES * along**1.3, TONGUE_OUT_METRES * along**1.2
    return np.stack([x, y, z], axis=1)


def materials(mesh: Mesh, keep: Bools) -> np.ndarray:
    """(F,) which of `look.MATERIALS` each kept triangle is made of."""
    names = np.array(mesh.materials)
    out = np.zeros(len(mesh.faces), dtype=np.uint8)
    for given, ours in (
        ("M_GumsTongue", "tongue"),
        ("M_Teeth", "teeth"),
        ("M_ScleraLeft", "sclera"),
        ("M_ScleraRight", "sclera"),
    ):
        out[names == given] = look.NAMES.index(ours)
    out[within(SOCKET)[mesh.faces].all(axis=1)] = look.NAMES.index("mouth")
    return out[keep]


def tint(p: Points, centres: Points, found: Surveyed, tongue_share: Points) -> Points:
    """(V, 3) shades: lips, lashes, brows, gums, and iris and pupil on the front of the eyes."""
    out = look.face_tint(p, found)
    for brow in BROWS:
        look.shade(out, look.stroke(p, p[list(brow)], 0.006) * within(FACE), look.BROW_RGB)
    gums = within(GUMS_AND_TONGUE) * (1 - tongue_share)
    look.shade(out, gums, look.GUMS_ON_TONGUE_RGB)
    for eye, centre in zip((EYE_LEFT, EYE_RIGHT), centres, strict=True):
        look.paint_eye(out, p, within(eye), centre)
    return out
