"""Audio2Face's emotions as styles: an emotion means something here where a style shows it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

EMOTIONS = (
    "amazement",
    "anger",
    "cheekiness",
    "disgust",
    "fear",
    "grief",
    "joy",
    "outofbreath",
    "pain",
    "sadness",
)
"""The names that the service knows."""
SHOWN_BY = {"joy": "cheerful", "fear": "nervous"}
"""Styles of the starter that show an emotion under another name."""


@dataclass(frozen=True)
class EmotionMix:
    """How strongly emotions that a client names count beside the style of the server.

    Attributes:
        strength: of all of them; 0 leaves the style as it is.
        preferred: of those that are named with the sound; None: they are not to be used.
        most: of which the strongest are used.
    """

    strength: float = 0.6
    preferred: float | None = 0.5
    most: int = 3


def style_of(emotion: str, styles: Mapping[str, Floats]) -> str | None:
    """The style that shows an emotion: one of its own name before one that stands for it."""
    if emotion in styles:
        return emotion
    other = SHOWN_BY.get(emotion)
    return other if other in styles else None


def emotion_fault(emotions: Mapping[str, float]) -> str | None:
    """Why these strengths cannot be; None: they can."""
    if all(math.isfinite(value) and 0.0 <= value <= 1.0 for value in emotions.values()):
        return None
    return "emotions are numbers from 0 to 1"


def unshown(emotions: Mapping[str, float], styles: Mapping[str, Floats]) -> list[str]:
    """Emotions that are asked for and that no style here shows, by name."""
    return sorted(
        name for name, value in emotions.items() if value and style_of(name, styles) is None
    )


def style_vector_of(
    emotions: Mapping[str, float],
    base: Floats,
    styles: Mapping[str, Floats],
    share: float,
    most: int,
) -> Floats:
    """The style between `base` and those of the emotions: (d_style,).

    Args:
        emotions: strengths 0 to 1, by name.
        base: what is left of the share goes to this style.
        styles: vectors (d_style,) by name.
        share: that an emotion of strength 1 takes; together they take 1 at most.
        most: of which the strongest are used.
    """
    strongest = sorted(emotions.items(), key=lambda item: (-item[1], item[0]))[: max(0, most)]
    shares = {
        name: share * value
        for emotion, value in strongest
        if value > 0.0 and (name := style_of(emotion, styles)) is not None
    }
    total = sum(shares.values())
    scale = 1.0 / total if total > 1.0 else 1.0
    mixed = (1.0 - min(total, 1.0)) * base
    for name, part in shares.items():
        mixed = mixed + scale * part * styles[name]
    return np.asarray(mixed, np.float32)
