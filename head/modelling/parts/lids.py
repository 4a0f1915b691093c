"""The left eye's lids as closed loops, from the inner edge of the margin out to the orbit."""

from __future__ import annotations

import numpy as np

from head.modelling.surface.field import EYE, EYE_RADIUS, LID_RADIUS, Points, front, skin

AROUND = 28
INNER, OUTER = 0, AROUND // 2
"""Positions in a loop of the two corners; between them the upper lid, after them the lower one."""
HALF_WIDTH = 15.9
RISE, FALL, CANT = 6.9, 5.3, 1.5
# Distance from the margin of each loop of skin, in millimetres, above, below and at the corners.
ABOVE = (0.6, 1.7, 3.0, 4.4, 6.2, 9.0, 12.5)
BELOW = (0.5, 1.4, 2.8, 4.8, 7.6, 11.0, 15.0)
INWARD = (0.5, 1.1, 1.8, 2.6, 3.5, 4.5, 5.6)
OUTWARD = (0.6, 1.6, 2.9, 4.5, 6.6, 9.5, 13.0)
CREASE = 3
MARGIN = 2
"""The loop that carries the lash line: the outer edge of the margin."""


def along() -> tuple[Points, Points]:
    """Position of each point between the corners (-1 inner, 1 outer), and whether it is above."""
    k = np.arange(AROUND)
    angle = np.pi - 2 * np.pi * k / AROUND
    return np.cos(angle), np.where((k > INNER) & (k < OUTER), 1.0, -1.0)


def aperture(upper: float = 0.0, lower: float = 0.0) -> Points:
    """(AROUND, 2) offsets of the margin from the eye's centre, seen from the front.

    `upper` 1 brings the upper lid all the way down to where the lids meet, `lower` 1 the lower lid
    up to it (a little below the middle); negative values open further.
    """
    s, up = along()
    line = CANT * s + 0.2
    top = RISE * (1 - np.abs(s) ** 2.3) ** 0.8 * (1 - 0.10 * s)
    bottom = -FALL * (1 - np.abs(s) ** 2.6) ** 0.85 * (1 + 0.14 * s)
    meet = bottom * 0.72
    y = np.where(up > 0, top + upper * (meet - top), bottom + lower * (meet - bottom))
    return np.stack([HALF_WIDTH * s, line + y], -1)


def on_ball(xy: Points, radius: float) -> Points:
    """Offsets (N, 2) lifted onto the front of a ball around the eye; steep parts turn inward."""
    flat = np.linalg.norm(xy, axis=-1)
    limit = 0.93 * radius
    over = np.maximum(flat - limit, 0)
    z = np.sqrt(radius**2 - np.minimum(flat, limit) ** 2) - 0.9 * over
    return np.concatenate([xy, z[..., None]], -1) + EYE


def loops(upper: float = 0.0, lower: float = 0.0) -> Points:
    """(loops, AROUND, 3): behind the margin, margin inside, margin outside, then the skin.

    Closing, the upper lid unfolds from under its crease and wraps the ball.
    """
    rest, base = aperture(), aperture(upper, lower)
    s, up = along()
    vertical = (1 - s**2) ** 0.5
    closing = np.where(up > 0, upper, lower)
    swell = 1.15 * np.clip(closing, 0, 1) * vertical
    rings = [on_ball(base * 1.02, EYE_RADIUS - 0.9), on_ball(base, EYE_RADIUS + 0.25)]
    for i, (a, b, inner, outer) in enumerate(zip(ABOVE, BELOW, INWARD, OUTWARD, strict=True)):
        dy = np.where(up > 0, a, -b) * vertical
        dx = np.where(s < 0, -inner, outer) * np.abs(s) ** 2.5
        still = rest + np.stack([dx, dy], -1)
        first = np.where(up > 0, ABOVE[0], BELOW[0])
        last = np.where(up > 0, ABOVE[CREASE], BELOW[CREASE + 1])
        here = np.where(up > 0, a, b)
        follow = np.clip((last - here) / (last - first), 0, 1)  # 1 at the margin, 0 at the crease
        drag = np.where(here >= last, np.clip(1 - (here - last) / 6.0, 0, 1), 1.0)
        fold = np.where(up > 0, -1.4, 0.3) * np.clip(closing, -1, 1) * vertical * drag
        move = follow * (base - rest)[:, 1] + (1 - follow) * fold
        xy = still + np.stack([np.zeros_like(move), move], -1)
        skin_points = front(skin, still[:, 0] + EYE[0], still[:, 1] + EYE[1])
        skin_points[:, 1] += move
        keep = np.clip(1 - (i - 1) / 3, 0, 1)
        points = (
            keep * on_ball(xy, LID_RADIUS - (0.35 if i == 0 else 0.0)) + (1 - keep) * skin_points
        )
        if i == CREASE:
            points[:, 2] -= np.where(up > 0, 1.3 - 0.9 * np.clip(closing, 0, 1), 0.35) * vertical
        away = points - EYE
        away /= np.linalg.norm(away, axis=1, keepdims=True)
        rings.append(points + (swell * follow)[:, None] * away)
    return _even(np.stack(rings))


def _even(rings: Points) -> Points:
    """Smooth the outer loops a little, where lid and orbit meet; the outermost one stays."""
    free = slice(MARGIN + CREASE + 2, -1)
    for _ in range(3):
        across = (rings[:-2] + rings[2:]) / 2
        around = (np.roll(rings, 1, axis=1) + np.roll(rings, -1, axis=1)) / 2
        new = rings.copy()
        new[1:-1] = 0.5 * rings[1:-1] + 0.25 * across + 0.25 * around[1:-1]
        rings[free] = new[free]
    return rings
