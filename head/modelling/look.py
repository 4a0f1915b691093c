"""Colours of the built-in head: one material per part, and soft shades per vertex."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from head.model import Material
from head.modelling.anatomy import Anatomy, blob, ramp
from head.modelling.characters import Character
from head.modelling.parts import eyes, lips, mouth
from head.modelling.surface.field import Points

MATERIALS = (
    Material("skin", (0.78, 0.505, 0.388), 0.52),
    Material("lid_edge", (0.66, 0.37, 0.30), 0.45),
    Material("lips", (0.60, 0.215, 0.18), 0.42),
    Material("mouth", (0.60, 0.19, 0.16), 0.85),
    Material("gums", (0.66, 0.25, 0.24), 0.36),
    Material("teeth", (0.96, 0.93, 0.86), 0.36),
    Material("tongue", (0.70, 0.29, 0.31), 0.42),
    Material("sclera", (0.86, 0.85, 0.83), 0.25),
    Material("iris", (0.20, 0.40, 0.40), 0.2),
    Material("limbus", (0.03, 0.07, 0.08), 0.2),
    Material("pupil", (0.004, 0.004, 0.005), 0.15),
    Material("lashes", (0.02, 0.012, 0.01), 0.8),
    Material("brow", (0.05, 0.027, 0.018), 0.8),
    Material("hair", (0.055, 0.028, 0.018), 0.5),
    Material("collar", (0.035, 0.09, 0.11), 0.85),
    Material("shirt", (0.045, 0.125, 0.155), 0.85),
)


def materials(who: Character) -> tuple[Material, ...]:
    """MATERIALS in a person's own colours."""
    rough = {"hair": who.hair_roughness}
    return tuple(
        replace(m, rgb=who.colours.get(m.name, m.rgb), roughness=rough.get(m.name, m.roughness))
        for m in MATERIALS
    )


def tint(a: Anatomy, beard: Points | None = None) -> NDArray[np.uint8]:
    """(V, 3) factors: warmth on cheeks, nose and ears, shade in the sockets, lips and nostrils.

    `beard` (V,) is where one grows, grey on pale skin.
    """
    p = a.p * [1, 1, 1]
    q = np.abs(p) * [1, 0, 0] + p * [0, 1, 1]
    colour = np.ones_like(p)

    def shade(mask: Points, rgb: tuple[float, float, float]) -> None:
        colour[:] *= 1 - mask[:, None] * (1 - np.array(rgb))

    face = a.face()
    shade(blob(q, (40, 2, 62), (26, 22, 34)) * face, (1.0, 0.86, 0.84))
    shade(blob(q, (0, 0, 100), (16, 14, 18)) * face, (1.0, 0.87, 0.85))
    shade(blob(q, (30, 36, 66), (24, 15, 26)) * face, (0.97, 0.92, 0.91))
    shade(blob(q, (6.4, -8.0, 90), (4.6, 4.6, 6.5)) * a.skin, (0.34, 0.22, 0.20))
    shade(blob(q, (0, -60, 82), (20, 14, 22)) * face, (1.0, 0.94, 0.93))
    jaw = np.interp(p[:, 2], (-10, 12, 40, 66, 82), (-42, -54, -70, -80, -84))
    shade(ramp(p[:, 1] - jaw, 3, -12) * a.skin, (0.93, 0.88, 0.87))  # what the jaw's edge shades
    seal = np.isin(a.loop, (2, 3)).astype(float)
    shade(seal * a.skin, (0.45, 0.35, 0.35))
    _mouth(a, shade)
    if beard is not None:
        shade(beard, (0.40, 0.60, 0.77))
    for side in ("left", "right"):
        shade_ear = np.zeros(len(p))
        shade_ear[a.surface.parts[f"ear_{side}"]] = 1.0
        shade(shade_ear, (1.0, 0.90, 0.88))
        eye = a.surface.parts[f"eye_{side}"]
        white = np.zeros(len(p))
        white[eye] = (
            np.clip((p[eye, 1] - 36.5) / 8, 0, 1) + np.clip((72 - p[eye, 2]) / 14, 0, 0.6) * 0.5
        )
        shade(np.clip(white, 0, 1), (0.72, 0.70, 0.72))
        ring = eye[1 + eyes.SEGMENTS : 1 + 4 * eyes.SEGMENTS]  # iris: dark above, lit from within
        iris = np.zeros(len(p))
        iris[ring] = np.clip(0.5 + (p[ring, 1] - p[eye, 1].mean()) / 13, 0, 1)
        shade(iris, (0.06, 0.09, 0.11))
        rim = np.zeros(len(p))
        rim[eye[1 + 3 * eyes.SEGMENTS : 1 + 4 * eyes.SEGMENTS]] = 1.0
        shade(rim, (0.45, 0.45, 0.48))
    return np.asarray((colour.clip(0, 1) * 255).round(), dtype=np.uint8)


def _mouth(a: Anatomy, shade: Callable[[Points, tuple[float, float, float]], None]) -> None:
    """The mouth's inside: flesh behind the lips that gets darker and redder towards the throat."""
    p, parts = a.p, a.surface.parts

    def only(index: np.ndarray, values: Points) -> Points:
        out = np.zeros(len(p))
        out[index] = values
        return out

    shade(np.isin(a.loop, (0, 1)).astype(float), (0.70, 0.52, 0.52))
    bag = np.setdiff1d(parts["bag"], np.flatnonzero(a.loop >= 0))
    shade(only(bag, np.ones(len(bag))), (0.68, 0.50, 0.50))
    shade(only(bag, ramp(p[bag, 2], 56, 22)), (0.36, 0.19, 0.18))
    for upper in (True, False):
        index = parts["teeth_upper" if upper else "teeth_lower"]
        _, gap, _ = mouth.columns(upper)
        half = np.tile(gap, len(mouth.ROWS))
        row, behind = np.arange(len(mouth.ROWS)), len(mouth.ROWS) - 2
        crown = np.repeat((row > mouth.GUM_ROWS) & (row <= behind), len(gap))
        middle = np.abs(p[index[: len(half)], 0]) < 1e-9
        between = np.concatenate([half, half[~middle]]) ** 2
        in_crown = np.concatenate([crown, crown[~middle]])
        shade(only(index, between * in_crown), (0.66, 0.54, 0.47))
        neck = np.repeat((row == mouth.GUM_ROWS) | (row == behind), len(gap))
        shade(only(index, np.concatenate([neck, neck[~middle]]) * 1.0), (0.85, 0.76, 0.70))
        shade(only(index, ramp(p[index, 2], 76, 62)), (0.68, 0.46, 0.36))
        shade(only(index, ramp(p[index, 2], 69, 55)), (0.26, 0.11, 0.095))
    tongue = parts["tongue"]
    shade(only(tongue, ramp(p[tongue, 2], 64, 36)), (0.36, 0.26, 0.26))
    shade(only(tongue, np.exp(-((p[tongue, 0] / 2.2) ** 2)) * 0.6), (0.85, 0.72, 0.72))


def beard(a: Anatomy) -> Points:
    """(V,) where a short beard grows, 0..1: jaw and chin, round the mouth, up to the ears."""
    x, y, z = np.abs(a.p[:, 0]), a.p[:, 1], a.p[:, 2]
    top = np.interp(x, (0, 20, 30, 46, 57, 61, 65), (-13, -15, -21, -27, -12, 4, 40))
    mask = ramp(y - top, 2.5, -4.5) * ramp(y, -100, -86) * ramp(z, -6, 8) * a.skin
    mask *= np.where(a.loop >= 0, np.clip((a.loop - lips.BORDER) / 3.0, 0, 1), 1.0)
    mask *= 1 - 0.75 * blob(a.p, (0, -48, 90), (15, 5.5, 16))  # bare under the lower lip
    mask[np.setdiff1d(a.surface.parts["bag"], np.flatnonzero(a.loop >= 0))] = 0.0
    return np.asarray(mask)
