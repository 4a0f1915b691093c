"""Phones with times to the movement of lips, jaw and tongue.

Cohen and Massaro (1993), "Modeling coarticulation in synthetic visual speech": each phone has a
target per articulator and a dominance that rises towards it and falls after it; the movement
is the mean of the targets weighted by their dominances,

    F_p(t) = sum_s D_sp(t) T_sp / sum_s D_sp(t),   D_sp(t) = a_sp exp(-(d_s(t) / tau_sp)^1.5),

with d_s(t) the distance of t from the phone's core, zero inside it.  What a camera sees of a mouth
(jaw, aperture, width, lower and upper lip) has the numbers that `training.faces.mouths.fit` learned
from real ones; rolled and pressed lips, the tongue and how a mouth rounds are set by hand.  Fitted
consonants take their neighbours' shapes, but lips that must meet do (`lip_contact`), at any height
of the jaw: virtual targets beyond contact (Loefqvist and Gracco 1997; the jaw-lip split of JALI,
Edwards et al. 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.labels.label_styles import SpeakingStyle
from training.labels.mouth_constants import (
    FITTED,
    GLIDES,
    LENGTHS,
    PAUSE,
    POWER,
    USUAL_LENGTH,
    MouthConstants,
    fitted,
)
from training.labels.phones import PAUSE_SECONDS, SILENCE, VOWELS, Phone
from training.labels.prosody import smooth

ARTICULATORS = (
    # Radians; then mm: inner lips apart, corners beyond rest, lower lip down, upper lip up.
    *FITTED,
    "funnel",  # share of the rounding that flares the lips; channel weights from here on
    "roll_lower",
    "roll_upper",
    "press",
    "tongue",
)
JAW, APERTURE, WIDTH, LOWER, UPPER, FUNNEL, ROLL_LOWER, ROLL_UPPER, PRESS, TONGUE = range(10)
RATE_HZ = 100
EYES_MM, MOUTH_MM = 97.8, 53.2
"""Outer corners of the eyes and corners of the mouth at rest, of the built-in head."""
CHIN_MM_PER_RADIAN = 89.0
"""How far its jaw takes the chin from the nose."""
TO_HEAD = np.array([EYES_MM / CHIN_MM_PER_RADIAN, EYES_MM, MOUTH_MM, EYES_MM, EYES_MM])
"""Real curves (`training.faces.mouths.grid`) times it move the built-in head so far."""
_SMOOTHING_SECONDS = 0.009
_NEIGHBOURS = 8  # phones on each side that can still be felt

# By hand: phone -> {articulator: (target, strength)}.
_BY_HAND: dict[str, dict[str, tuple[float, float]]] = {
    "P": {"press": (0.45, 6), "roll_lower": (0.16, 6), "roll_upper": (0.16, 6)},
    "B": {"press": (0.34, 6), "roll_lower": (0.12, 6), "roll_upper": (0.12, 6)},
    "M": {"press": (0.26, 6), "roll_lower": (0.12, 6), "roll_upper": (0.12, 6)},
    "F": {"roll_lower": (0.70, 14)},
    "V": {"roll_lower": (0.62, 13)},
    "TH": {"tongue": (0.55, 14)},
    "DH": {"tongue": (0.45, 12)},
    "L": {"tongue": (0.06, 2)},
    "SH": {"funnel": (0.75, 3)},
    "ZH": {"funnel": (0.75, 3)},
    "CH": {"funnel": (0.7, 3)},
    "JH": {"funnel": (0.7, 3)},
    "R": {"funnel": (0.4, 1.6)},
    "W": {"funnel": (0.2, 3)},
    "UW": {"funnel": (0.3, 1)},
    "UH": {"funnel": (0.4, 1)},
    "AO": {"funnel": (0.55, 1)},
    "ER": {"funnel": (0.4, 1)},
    "OW1": {"funnel": (0.45, 1)},
    "OW2": {"funnel": (0.3, 1)},
    "OY1": {"funnel": (0.55, 1)},
    "AW2": {"funnel": (0.3, 1)},
}
# Seconds in which these fade: (towards the past = anticipation, towards the future).
_FADE = {
    "funnel": (0.095, 0.075),
    "roll_lower": (0.034, 0.034),
    "roll_upper": (0.036, 0.036),
    "press": (0.030, 0.028),
    "tongue": (0.038, 0.038),
}
_HAND_LAG_SECONDS = 0.025
_HAND_DEFAULT = 0.4
_HAND_CORE = 0.2
# Rest: lips together without force, jaw a little off the teeth line, nothing drawn.
_REST = np.array([0.006, -0.6, 0.0, 0.0, 0.0])
_REST_PRESS = 0.03
VOWEL_MIN_APERTURE_MM = 3.6  # what even the weakest vowel of a neutral speaker keeps at its middle


class Segment(NamedTuple):
    """A phone, or one half of a diphthong, ready to be blended; P = len(ARTICULATORS).

    Attributes:
        name: phone, vowel half or pause.
        start, end: (P,) seconds of the plateau of its dominance.
        target, strength: (P,).
        before, after: (P,) seconds of anticipation and carry-over.
    """

    name: str
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    target: NDArray[np.float64]
    strength: NDArray[np.float64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]


class _Piece(NamedTuple):
    name: str
    phone: Phone
    start: float
    end: float
    above: float  # vigour of a vowel above the usual


def segments(
    phones: Sequence[Phone],
    style: SpeakingStyle,
    vigour: NDArray[np.floating] | None = None,
    numbers: MouthConstants | None = None,
) -> list[Segment]:
    """Dominance parameters of tidy `phones`; `vigour` (one per phone, 1 = normal) scales vowels.

    numbers: other fitted constants than those that ship.
    """
    numbers = numbers or fitted()
    pieces: list[_Piece] = []
    for i, phone in enumerate(phones):
        above = 0.0
        if vigour is not None and phone.name in VOWELS:
            above = float(vigour[i]) - 1.0
        if phone.name in GLIDES:
            first, second, turn = GLIDES[phone.name]
            cut = phone.start + turn * phone.length
            pieces.append(_Piece(first, phone, phone.start, cut, above))
            pieces.append(_Piece(second, phone, cut, phone.end, above))
        else:
            name = phone.name
            if name == SILENCE and phone.length < PAUSE_SECONDS:
                name = PAUSE
            pieces.append(_Piece(name, phone, phone.start, phone.end, above))
    around = [None, *(piece.name for piece in pieces), None]
    return [
        _segment(piece, around[i], around[i + 2], style, numbers) for i, piece in enumerate(pieces)
    ]


def trajectories(
    parts: Sequence[Segment], duration: float, *, rate: float = RATE_HZ
) -> NDArray[np.float64]:
    """(T, P) articulator values at times (i + 0.5) / rate, low-passed as muscles would."""
    count = max(1, int(np.ceil(duration * rate)))
    if not parts:
        parts = segments([Phone(SILENCE, 0.0, max(duration, 0.3))], SpeakingStyle())
    values = blend(parts, (np.arange(count) + 0.5) / rate)
    return np.ascontiguousarray(smooth(values.T, _SMOOTHING_SECONDS * rate).T)


def blend(parts: Sequence[Segment], times: NDArray[np.floating]) -> NDArray[np.float64]:
    """(T, P) means of the targets at `times` (T,) seconds, each weighted by its dominance."""
    start, end, target, strength, before, after = (
        np.stack([getattr(part, key) for part in parts])
        for key in ("start", "end", "target", "strength", "before", "after")
    )
    # By the aperture's plateau: what is near for one articulator is near for all.
    nearest = np.searchsorted(0.5 * (start[:, APERTURE] + end[:, APERTURE]), times)
    weight = np.zeros((len(times), len(ARTICULATORS)))
    total = np.zeros_like(weight)
    for offset in range(-_NEIGHBOURS, _NEIGHBOURS):
        index = nearest + offset
        inside = (index >= 0) & (index < len(parts))
        index = np.clip(index, 0, len(parts) - 1)
        early = np.maximum(start[index] - times[:, None], 0.0) / before[index]
        late = np.maximum(times[:, None] - end[index], 0.0) / after[index]
        distance = np.minimum(early + late, 12.0)  # one of them is zero
        dominance = strength[index] * np.exp(-(distance**POWER)) * inside[:, None]
        weight += dominance
        total += dominance * target[index]
    return np.asarray(total / np.maximum(weight, 1e-12))


def at_times(
    values: NDArray[np.floating], times: NDArray[np.floating], *, rate: float = RATE_HZ
) -> NDArray[np.float64]:
    """(L, P) linear reading of `trajectories` at `times` in seconds."""
    position = np.clip(times * rate - 0.5, 0.0, len(values) - 1.0)
    low = np.minimum(position.astype(int), len(values) - 1)
    high = np.minimum(low + 1, len(values) - 1)
    part = (position - low)[:, None]
    return np.asarray(values[low] * (1.0 - part) + values[high] * part)


def least_aperture(style: SpeakingStyle) -> float:
    """Millimetres between the lips that a vowel keeps at its middle, however short or weak."""
    return VOWEL_MIN_APERTURE_MM * float(np.clip(style.opening, 0.8, 1.0))


def _segment(
    piece: _Piece,
    before: str | None,
    after: str | None,
    style: SpeakingStyle,
    numbers: MouthConstants,
) -> Segment:
    row = numbers.of(piece.name)
    target = np.zeros(len(ARTICULATORS))
    strength = np.full(len(ARTICULATORS), _HAND_DEFAULT)
    fade = np.array([[0.05, 0.05]] * len(FITTED) + [_FADE[n] for n in ARTICULATORS[len(FITTED) :]])
    own = slice(0, len(FITTED))
    strength[own] = numbers.strength[row]
    fade[own] = np.stack([numbers.before[row], numbers.after[row]], axis=1)
    start = np.full(len(ARTICULATORS), piece.start + _HAND_CORE * piece.phone.length)
    end = np.full(len(ARTICULATORS), piece.end - _HAND_CORE * piece.phone.length)
    whole, middle = piece.end - piece.start, 0.5 * (piece.start + piece.end)
    start[own] = piece.start + numbers.core[row, :, 0] * whole
    end[own] = piece.end - numbers.core[row, :, 1] * whole
    if piece.name == SILENCE:
        target[own] = _REST
        target[PRESS] = _REST_PRESS
        start[own] = piece.start + numbers.settle
        end[own] = piece.end - numbers.lead
    else:
        target[own] = _aimed(piece, row, before, after, style, numbers)
        for name, (value, power) in _BY_HAND.get(piece.name, {}).items():
            i = ARTICULATORS.index(name)
            target[i], strength[i] = value, power
    start, end = np.minimum(start, middle), np.maximum(end, middle)
    if piece.phone.name not in VOWELS and piece.name not in (SILENCE, PAUSE):
        strength = strength * style.effort
    # Precise speakers move faster between targets, careless ones blur them.
    fade = fade * float(np.clip(style.effort, 0.5, 1.6)) ** -0.4
    lag = np.full(len(ARTICULATORS), _HAND_LAG_SECONDS)
    lag[own] = numbers.lag
    return Segment(
        piece.name, start + lag, end + lag, target, strength, fade[:, 0].copy(), fade[:, 1].copy()
    )


def _aimed(
    piece: _Piece,
    row: int,
    before: str | None,
    after: str | None,
    style: SpeakingStyle,
    numbers: MouthConstants,
) -> NDArray[np.float64]:
    """(len(FITTED),) where a phone between two others aims, in a style, on the built-in head."""
    aimed = numbers.target[row].copy()
    if before is not None:
        aimed += numbers.carried.get((before, piece.name), 0.0)
    if after is not None:
        aimed += numbers.ahead.get((piece.name, after), 0.0)
    # Undershoot of short vowels (Lindblom 1963); long ones reach a little further.
    length = float(np.clip(piece.phone.length, *LENGTHS))
    aimed += numbers.reach[row] * np.log(length / USUAL_LENGTH) + numbers.vigour * piece.above
    opening = style.opening if piece.phone.name in VOWELS else 0.5 + 0.5 * style.opening
    aimed[[JAW, APERTURE, LOWER, UPPER]] *= opening
    aimed[JAW] *= style.jaw_share
    usual = numbers.speech[WIDTH]
    beyond = aimed[WIDTH] - usual
    aimed[WIDTH] = usual + beyond * (style.spread if beyond > 0.0 else style.rounding)
    return np.asarray(aimed * TO_HEAD)
