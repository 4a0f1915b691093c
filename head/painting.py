"""A head in other colours: the same person, repainted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from head.model import Head, HeadError, Material

COMPANIONS: Mapping[str, tuple[str, ...]] = {
    "skin": ("lid_edge",),
    "hair": ("brow",),
    "iris": ("limbus",),
    "shirt": ("collar",),
}
"""What takes on another colour with its part, as much darker or lighter as it was."""

Rgb = tuple[float, float, float]


def parse_colour(text: str) -> Rgb:
    """Linear red, green and blue in 0..1 of #rrggbb, as a screen shows it.

    Raises:
        HeadError: it is no colour.
    """
    found = re.fullmatch(r"#?([0-9a-fA-F]{6})", text)
    if found is None:
        raise HeadError(f"{text[:40]!r} is no colour: give red, green and blue as #rrggbb")
    red, green, blue = ((byte / 255) ** 2.0 for byte in bytes.fromhex(found[1]))
    return red, green, blue


def colour_of(material: Material) -> str:
    """A material's colour as #rrggbb, before light falls on it."""
    return "#" + bytes(round(255 * min(1.0, part) ** 0.5) for part in material.rgb).hex()


def painted(head: Head, name: str, colours: Mapping[str, Rgb]) -> Head:
    """The head `name`: `head` with these linear colours by material.

    Lids, brows, the iris's edge and the collar go with skin, hair, iris and shirt, where they have
    no colour of their own.

    Raises:
        HeadError: the head has no such material.
    """
    there = {material.name: material for material in head.materials}
    for part in colours:
        if part not in there:
            raise HeadError(f"{head.id} has no {part[:40]!r} to paint, but {', '.join(there)}")
    wanted = dict(colours)
    for part, others in COMPANIONS.items():
        for other in others:
            if part in colours and other in there and other not in wanted:
                wanted[other] = _like(there[other].rgb, there[part].rgb, colours[part])
    materials = tuple(replace(m, rgb=wanted.get(m.name, m.rgb)) for m in head.materials)
    return replace(head, id=name, materials=materials)


def _like(other: Rgb, before: Rgb, after: Rgb) -> Rgb:
    """A companion's colour, as far from the new colour of its part as it was from the old."""
    red, green, blue = (
        min(1.0, new * min(4.0, (mine + 1e-3) / (old + 1e-3)))
        for mine, old, new in zip(other, before, after, strict=True)
    )
    return red, green, blue
