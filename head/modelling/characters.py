"""The people that come along: what differs between them, as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from head.modelling.parts import hair, hair_long
from head.modelling.parts.part import Part
from head.modelling.reshape import Bend, Push

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Character:
    """One person.

    Attributes:
        file: the name of its file in `head/data/`, without the ending.
        bend: proportions.
        shape: weights of identity shapes by name.
        hair: makes the hair on the first head's skull.
        colours: linear RGB of materials by name, where not the first head's.
        beard: how far a short beard stands off, in millimetres; 0 for none.
        hair_roughness: of the hair, where not the first head's: curls shine less.
        brows: factor on the brows' width.
        lashes: factor on the lashes' length.
    """

    file: str
    bend: Bend | None = None
    shape: Mapping[str, float] = field(default_factory=dict)
    hair: Callable[[], Part] = hair.hair
    colours: Mapping[str, Rgb] = field(default_factory=dict)
    beard: float = 0.0
    hair_roughness: float = 0.5
    brows: float = 1.0
    lashes: float = 1.0


UNDER_CHIN = Push((0, -86, 44), (46, 20, 40), (0, 5.0, -2.0))
"""A jaw with an edge, seen from the side."""

BEHIND_AND_BELOW = Bend(
    pushes=(
        Push((55, -50, -9), (20, 32, 18.5), (2.4, -1.2, -1.0)),
        Push((34, -98, 26), (30, 17.5, 42), (-2.2, 4.0, -2.0)),
        Push((0, -98, 46), (34, 17.5, 34), (0, 3.4, -1.0)),
    )
)
"""Corners of the jaw, and an edge above the neck, where the first head's face (which bundles are
trained on) ends: z below 10, y below -80."""

CHARACTERS: dict[str, Character] = {
    "posetalk-head-1": Character("builtin", BEHIND_AND_BELOW),
    "mira": Character(
        "mira",
        Bend(
            width=((-220, 0.88), (-110, 0.92), (-76, 0.89), (-34, 0.94), (5, 0.97), (60, 0.975)),
            rise=((-220, 9), (-100, 8), (-76, 6), (-34, 3.5), (5, 1.5), (33, 0), (150, -2)),
            neck=0.87,
            pushes=(
                UNDER_CHIN,
                Push((20, 52, 76), (30, 15, 22), (0, 0.5, -1.6)),
                Push((0, 8, 98), (22, 30, 26), (0, 1.2, -1.8)),
                Push((43, 8, 58), (24, 20, 28), (1.6, 1.5, 1.6)),
                Push((0, -62, 84), (20, 14, 20), (0, 0, -1.6)),
            ),
            eyes=1.07,
        ),
        {"lip_fullness": 1.5, "nose_width": 0.5, "jaw_width": -0.4},
        hair_long.curls,
        {
            "skin": (0.300, 0.142, 0.082),
            "lid_edge": (0.20, 0.085, 0.055),
            "lips": (0.300, 0.090, 0.072),
            "mouth": (0.54, 0.16, 0.135),
            "iris": (0.13, 0.055, 0.020),
            "limbus": (0.02, 0.010, 0.006),
            "sclera": (0.83, 0.81, 0.78),
            "brow": (0.014, 0.009, 0.008),
            "hair": (0.034, 0.021, 0.016),
            "collar": (0.50, 0.235, 0.03),
            "shirt": (0.60, 0.30, 0.045),
        },
        hair_roughness=0.72,
        brows=1.05,
        lashes=1.35,
    ),
    "henrik": Character(
        "henrik",
        Bend(
            width=((-220, 1.04), (-110, 1.06), (-76, 1.05), (-34, 1.03), (5, 1.02), (60, 1.0)),
            rise=((-220, 3), (-100, 0), (-76, -2), (-34, -1.5), (5, -1), (33, 0), (150, -3)),
            neck=1.05,
            pushes=(
                Push((20, 53, 76), (30, 12, 20), (0, -1.0, 2.2)),
                Push((28, -15, 72), (6, 17, 14), (0.4, 0, -2.2)),
                Push((36, -2, 66), (18, 13, 18), (0.5, -1.0, 1.6)),
                Push((27, -48, 66), (8, 13, 14), (0, 0, -1.2)),
                Push((0, -62, 84), (22, 15, 20), (0, 0, 2.0)),
            ),
            eyes=0.97,
        ),
        {
            "heaviness": 0.7,
            "nose_length": 1.2,
            "nose_width": 0.9,
            "ear_size": 1.2,
            "lip_fullness": -0.9,
        },
        hair.receding,
        {
            "skin": (0.74, 0.43, 0.32),
            "lips": (0.52, 0.21, 0.175),
            "iris": (0.15, 0.27, 0.42),
            "limbus": (0.03, 0.06, 0.10),
            "brow": (0.26, 0.245, 0.23),
            "hair": (0.36, 0.35, 0.34),
            "collar": (0.028, 0.036, 0.07),
            "shirt": (0.036, 0.05, 0.095),
        },
        beard=2.6,
        hair_roughness=0.62,
        brows=1.35,
        lashes=0.7,
    ),
    "yuna": Character(
        "yuna",
        Bend(
            width=((-220, 0.82), (-110, 0.84), (-76, 0.86), (-34, 0.93), (5, 0.98), (60, 0.985)),
            rise=((-220, 13), (-100, 12), (-76, 9), (-34, 5.5), (5, 2.5), (33, 0), (150, -3)),
            neck=0.84,
            pushes=(
                UNDER_CHIN,
                Push((20, 52, 76), (30, 15, 22), (0, 1.0, -2.4)),
                Push((0, 8, 98), (22, 30, 26), (0, 1.6, -3.2)),
                Push((0, 34, 84), (14, 18, 18), (0, 0, -2.0)),
                Push((36, -8, 62), (26, 24, 30), (0.8, 0.5, 1.8)),
            ),
            eyes=1.10,
        ),
        {"lip_fullness": 0.5, "nose_width": -1.6, "ear_size": -0.8},
        hair_long.bob,
        {
            "skin": (0.80, 0.545, 0.41),
            "lips": (0.63, 0.185, 0.165),
            "iris": (0.085, 0.042, 0.020),
            "limbus": (0.02, 0.011, 0.008),
            "brow": (0.030, 0.020, 0.017),
            "hair": (0.026, 0.018, 0.018),
            "collar": (0.42, 0.062, 0.05),
            "shirt": (0.54, 0.088, 0.068),
        },
        brows=0.85,
        lashes=1.3,
    ),
}
"""By the name that `--head` takes; the first is the one that bundles are trained for."""
