"""Lips that must meet: when, how firmly, and when before a word the mouth may begin to open."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from head.errors import WrongValue
from training.labels.label_styles import SpeakingStyle
from training.labels.phones import BILABIALS, LABIODENTALS, PAUSE_SECONDS, SILENCE, Phone

SEALED_MM = -4.6
"""Aperture that P, B and M aim at: most of it 0.04 rad of jaw beyond contact."""
TEETH_MM = 1.0
"""Aperture of F and V, whose lower lip meets the upper teeth."""
OPENING_SECONDS = 0.4
"""Within so much before a word mouths open (a median of 0.27 s before it is loud)."""
LIVE_LOOKAHEAD_SECONDS = 0.08
"""What a live face hears ahead of its frame: two frames."""
_SEAL = (40.0, 0.013)
_TEETH = (6.0, 0.018)
_POWER = 1.5


def closure_span(phone: Phone) -> tuple[float, float]:
    """Seconds in which the lips of a bilabial `phone` are shut.

    A stop is shut until its burst: the later part of a P is already breath. A closure takes
    time whatever the aligner says, and a frame lasts 40 ms, so it never gets shorter than 55 ms.
    """
    released = {"P": 0.72, "B": 0.88}.get(phone.name, 0.92)
    start, end = phone.start, phone.start + released * phone.length
    short = 0.055 - (end - start)
    if short > 0.0:
        start, end = start - 0.55 * short, end + 0.45 * short
    # A long one (over a pause) is not held shut from its first instant to its last.
    if end - start > 0.20:
        start = end - 0.20
    return start, end


def met(
    aperture: NDArray[np.floating],
    times: NDArray[np.floating],
    phones: Sequence[Phone],
    style: SpeakingStyle,
) -> NDArray[np.float64]:
    """`aperture` (n,) mm at `times` (n,) s with every contact of `phones` made, never late."""
    out = np.asarray(aperture, float).copy()
    for phone in phones:
        if phone.name in BILABIALS:
            start, end = closure_span(phone)
            goal, (strength, fade) = SEALED_MM * (0.6 + 0.4 * style.effort), _SEAL
        elif phone.name in LABIODENTALS:
            start, end = phone.start + 0.15 * phone.length, phone.end - 0.15 * phone.length
            goal, (strength, fade) = TEETH_MM, _TEETH
        else:
            continue
        away = np.maximum(np.maximum(start - times, times - end), 0.0) / fade
        dominance = strength * np.exp(-(np.minimum(away, 12.0) ** _POWER))
        share = dominance / (1.0 + dominance)
        out = np.minimum(out, (1.0 - share) * out + share * goal)
    return out


def opened_in_time(
    times: NDArray[np.floating], phones: Sequence[Phone], lookahead: float | None
) -> NDArray[np.float64]:
    """When to read the movement for it to foresee a word by no more than `lookahead` seconds.

    What a mouth does in the OPENING_SECONDS before a word that ends a pause is done in the last
    `lookahead` of them.  None foresees as people do.

    Raises:
        ValueError: a negative lookahead.
    """
    read = np.asarray(times, float).copy()
    if lookahead is None:
        return read
    if not lookahead >= 0.0:
        raise WrongValue(f"a lookahead of {lookahead} s: give 0 or more, or None for all of it")
    for pause, word in pairwise(phones):
        if pause.name != SILENCE or word.name == SILENCE or pause.length < PAUSE_SECONDS:
            continue
        full = min(OPENING_SECONDS, 0.5 * pause.length)
        if lookahead >= full:
            continue
        ahead = word.start - times
        near = (ahead > 0.0) & (times >= pause.end - pause.length)
        if lookahead > 0.0:
            squeezed = np.where(
                ahead < lookahead,
                ahead * full / lookahead,
                full + (ahead - lookahead) * _rest(pause, full, lookahead),
            )
        else:
            squeezed = full + ahead * _rest(pause, full, 0.0)
        read[near] = word.start - squeezed[near]
    return read


def _rest(pause: Phone, full: float, lookahead: float) -> float:
    """How fast the rest of a pause is read, so that it begins where it begins."""
    return (pause.length - full) / (pause.length - lookahead)
