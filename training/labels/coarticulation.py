"""Phones with times to the movement of lips, jaw and tongue.

Cohen and Massaro (1993), "Modeling coarticulation in synthetic visual speech": each phone has a
target per articulator and a dominance that rises towards it and falls after it; the movement
is the mean of the targets weighted by their dominances,

    F_p(t) = sum_s D_sp(t) T_sp / sum_s D_sp(t),   D_sp(t) = a_sp exp(-(d_s(t) / tau_sp)^1.5),

with d_s(t) the distance of t from the phone's core, zero inside it. The plateau and the virtual
targets beyond contact for closures (Loefqvist and Gracco 1997: lips aim past each other) are
what keeps P, B and M shut in fast speech, which the original function loses. Articulators are
tract variables: the lip aperture is an own target in millimetres, so a closure holds at any
height of the jaw (the jaw-lip split of JALI, Edwards et al. 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from training.labels.label_styles import SpeakingStyle
from training.labels.phones import (
    BILABIALS,
    DIPHTHONGS,
    LABIODENTALS,
    PAUSE_SECONDS,
    SILENCE,
    STOPS,
    VOWELS,
    Phone,
)
from training.labels.prosody import smooth

ARTICULATORS = (
    "jaw",  # radians
    "aperture",  # mm between the inner lips; negative aims beyond contact
    "pucker",  # channel weights from here on
    "funnel",
    "spread",
    "roll_lower",
    "roll_upper",
    "raise",
    "depress",
    "press",
    "tongue",
)
JAW, APERTURE, PUCKER, FUNNEL, SPREAD, ROLL_LOWER, ROLL_UPPER, RAISE = range(8)
DEPRESS, PRESS, TONGUE = range(8, 11)
RATE_HZ = 100
VOWEL_MIN_APERTURE_MM = 4.5  # what even the weakest vowel of a neutral speaker keeps at its middle
SEALED_MM = -4.6  # aperture target of P, B, M: most of it 0.04 rad of jaw beyond contact
_SMOOTHING_SECONDS = 0.009
_NEIGHBOURS = 6  # phones on each side that can still be felt

# Targets: phone -> {articulator: (target, strength)}; what is not named keeps the class default.
_VOWEL_SHAPES: dict[str, tuple[float, float, float, float, float]] = {
    # jaw rad, aperture mm, pucker, funnel, spread
    "AA": (0.200, 15.2, 0.00, 0.08, 0.05),
    "AE": (0.190, 14.2, 0.00, 0.00, 0.38),
    "AH": (0.145, 10.6, 0.00, 0.04, 0.08),
    "AO": (0.185, 12.8, 0.32, 0.38, 0.00),
    "EH": (0.150, 11.0, 0.00, 0.00, 0.32),
    "ER": (0.085, 6.2, 0.34, 0.26, 0.00),
    "IH": (0.108, 8.2, 0.00, 0.00, 0.32),
    "IY": (0.064, 5.4, 0.00, 0.00, 0.68),
    "UH": (0.090, 6.2, 0.36, 0.22, 0.00),
    "UW": (0.056, 3.8, 0.78, 0.34, 0.00),
    "OH": (0.135, 9.0, 0.46, 0.36, 0.00),  # where OW begins
}
# A diphthong is two vowels: (first, second, share of the phone at which the second takes over).
_GLIDES: dict[str, tuple[str, str, float]] = {
    "AY": ("AA", "IY", 0.60),
    "AW": ("AA", "UW", 0.58),
    "EY": ("EH", "IY", 0.48),
    "OW": ("OH", "UW", 0.52),
    "OY": ("AO", "IY", 0.58),
}
_CONSONANTS: dict[str, dict[str, tuple[float, float]]] = {
    "P": {
        "aperture": (SEALED_MM, 40),
        "jaw": (0.028, 2.0),
        "press": (0.45, 6),
        "roll_lower": (0.16, 6),
        "roll_upper": (0.16, 6),
    },
    "B": {
        "aperture": (SEALED_MM, 40),
        "jaw": (0.03, 1.8),
        "press": (0.34, 6),
        "roll_lower": (0.12, 6),
        "roll_upper": (0.12, 6),
    },
    "M": {
        "aperture": (SEALED_MM, 40),
        "jaw": (0.032, 1.8),
        "press": (0.26, 6),
        "roll_lower": (0.12, 6),
        "roll_upper": (0.12, 6),
    },
    "F": {
        "aperture": (0.9, 12),
        "jaw": (0.028, 2.2),
        "roll_lower": (0.70, 14),
        "raise": (0.26, 8),
        "spread": (0.12, 0.6),
    },
    "V": {
        "aperture": (1.0, 11),
        "jaw": (0.03, 2.0),
        "roll_lower": (0.62, 13),
        "raise": (0.22, 7),
        "spread": (0.12, 0.5),
    },
    "TH": {"aperture": (4.6, 3), "jaw": (0.05, 1.8), "tongue": (0.55, 14), "raise": (0.14, 2)},
    "DH": {"aperture": (4.2, 2), "jaw": (0.048, 1.5), "tongue": (0.45, 12), "raise": (0.10, 1.5)},
    "T": {"aperture": (3.4, 1.4), "jaw": (0.03, 2.0)},
    "D": {"aperture": (3.5, 1.3), "jaw": (0.032, 1.8)},
    "N": {"aperture": (3.6, 1.1), "jaw": (0.036, 1.4)},
    "S": {"aperture": (3.0, 1.8), "jaw": (0.018, 4.5), "spread": (0.34, 0.9), "depress": (0.12, 2)},
    "Z": {"aperture": (3.0, 1.6), "jaw": (0.02, 4), "spread": (0.30, 0.8), "depress": (0.10, 2)},
    "SH": {
        "aperture": (4.4, 2),
        "jaw": (0.02, 4),
        "funnel": (0.58, 3),
        "pucker": (0.36, 2.5),
        "spread": (0.0, 1.5),
        "raise": (0.08, 1.5),
    },
    "ZH": {
        "aperture": (4.2, 2),
        "jaw": (0.022, 3.5),
        "funnel": (0.52, 2.6),
        "pucker": (0.34, 2.2),
        "spread": (0.0, 1.5),
        "raise": (0.06, 1.5),
    },
    "CH": {
        "aperture": (4.0, 2),
        "jaw": (0.022, 3.5),
        "funnel": (0.52, 2.6),
        "pucker": (0.34, 2.2),
        "spread": (0.0, 1.2),
        "raise": (0.06, 1.5),
    },
    "JH": {
        "aperture": (3.9, 1.8),
        "jaw": (0.024, 3),
        "funnel": (0.48, 2.3),
        "pucker": (0.32, 2.0),
        "spread": (0.0, 1.2),
        "raise": (0.05, 1.2),
    },
    "L": {"aperture": (4.6, 1.0), "jaw": (0.06, 1.0), "tongue": (0.06, 2)},
    "R": {
        "aperture": (4.2, 1.3),
        "jaw": (0.04, 1.4),
        "pucker": (0.42, 1.6),
        "funnel": (0.28, 1.6),
        "spread": (0.0, 0.8),
    },
    "W": {
        "aperture": (2.4, 3),
        "jaw": (0.034, 1.8),
        "pucker": (0.88, 4),
        "funnel": (0.24, 2.5),
        "spread": (0.0, 2),
    },
    "Y": {"aperture": (4.2, 0.7), "jaw": (0.036, 1.2), "spread": (0.50, 1.1), "pucker": (0.0, 0.5)},
    "K": {"aperture": (5.2, 0.6), "jaw": (0.05, 0.9)},
    "G": {"aperture": (5.2, 0.6), "jaw": (0.048, 0.9)},
    "NG": {"aperture": (5.2, 0.6), "jaw": (0.048, 0.8)},
    "HH": {"aperture": (6.0, 0.12), "jaw": (0.090, 0.12)},
}
# Rest: lips together without force, jaw a little off the teeth line.
_REST = {"aperture": (-0.6, 2.0), "jaw": (0.006, 2.0), "press": (0.03, 1.0)}

# Seconds in which a dominance fades: (towards the past = anticipation, towards the future).
_FADE: dict[str, tuple[float, float]] = {
    "jaw": (0.040, 0.050),
    "aperture": (0.038, 0.045),
    "pucker": (0.110, 0.080),
    "funnel": (0.095, 0.075),
    "spread": (0.075, 0.075),
    "roll_lower": (0.036, 0.036),
    "roll_upper": (0.036, 0.036),
    "raise": (0.042, 0.042),
    "depress": (0.045, 0.045),
    "press": (0.030, 0.028),
    "tongue": (0.038, 0.038),
}
_CLOSURE_FADE = (0.019, 0.019)
_REST_FADE = (0.055, 0.060)
# The jaw's mass keeps it behind the sound, the lips a little less: fitted to recorded faces, whose
# jaws were best met 25 ms later than a lag of 15 ms has them.
JAW_LAG_SECONDS = 0.039
LIP_LAG_SECONDS = 0.025
_CONSONANT_DEFAULT = 0.08
_VOWEL_DEFAULT = 0.6
_REST_DEFAULT = 0.8


class Segment(NamedTuple):
    """A phone, or one half of a diphthong, ready to be blended; P = len(ARTICULATORS).

    Attributes:
        name: phone or vowel half.
        core: (start, end) seconds of the plateau of its dominance.
        target, strength: (P,).
        before, after: (P,) seconds of anticipation and carry-over.
    """

    name: str
    core: tuple[float, float]
    target: np.ndarray
    strength: np.ndarray
    before: np.ndarray
    after: np.ndarray


def segments(
    phones: Sequence[Phone], style: SpeakingStyle, vigour: np.ndarray | None = None
) -> list[Segment]:
    """Dominance parameters of tidy `phones`; `vigour` (one per phone, 1 = normal) scales vowels."""
    built: list[Segment] = []
    for i, phone in enumerate(phones):
        force = 1.0 if vigour is None else float(vigour[i])
        if phone.name == SILENCE:
            built.append(_rest(phone, style))
        elif phone.name in DIPHTHONGS:
            first, second, turn = _GLIDES[phone.name]
            cut = phone.length * turn
            start = Phone(first, phone.start, cut)
            built.append(_vowel(start, style, force, phone.length, (0.30, 0.72)))
            end = Phone(second, phone.start + cut, phone.length - cut)
            built.append(_vowel(end, style, force, phone.length, (0.45, 0.85)))
        elif phone.name in VOWELS:
            built.append(_vowel(phone, style, force, phone.length, (0.32, 0.68)))
        else:
            built.append(_consonant(phone, style))
    return built


def trajectories(parts: Sequence[Segment], duration: float, *, rate: float = RATE_HZ) -> np.ndarray:
    """(T, P) articulator values at times (i + 0.5) / rate, low-passed as muscles would."""
    count = max(1, int(np.ceil(duration * rate)))
    if not parts:
        parts = [_rest(Phone(SILENCE, 0.0, max(duration, 0.01)), SpeakingStyle())]
    times = (np.arange(count) + 0.5) / rate
    core = np.array([p.core for p in parts])
    target = np.stack([p.target for p in parts])
    strength = np.stack([p.strength for p in parts])
    before = np.stack([p.before for p in parts])
    after = np.stack([p.after for p in parts])
    nearest = np.searchsorted(core.mean(axis=1), times)
    weight = np.zeros((count, len(ARTICULATORS)))
    total = np.zeros_like(weight)
    for offset in range(-_NEIGHBOURS, _NEIGHBOURS):
        index = nearest + offset
        inside = (index >= 0) & (index < len(parts))
        index = np.clip(index, 0, len(parts) - 1)
        early = np.maximum(core[index, 0] - times, 0.0)[:, None] / before[index]
        late = np.maximum(times - core[index, 1], 0.0)[:, None] / after[index]
        distance = early + late  # one of them is zero
        dominance = strength[index] * np.exp(-np.minimum(distance * np.sqrt(distance), 60.0))
        dominance *= inside[:, None]
        weight += dominance
        total += dominance * target[index]
    values = total / np.maximum(weight, 1e-12)
    return np.ascontiguousarray(smooth(values.T, _SMOOTHING_SECONDS * rate).T)


def at_times(values: np.ndarray, times: np.ndarray, *, rate: float = RATE_HZ) -> np.ndarray:
    """(L, P) linear reading of `trajectories` at `times` in seconds."""
    position = np.clip(times * rate - 0.5, 0.0, len(values) - 1.0)
    low = np.minimum(position.astype(int), len(values) - 1)
    high = np.minimum(low + 1, len(values) - 1)
    part = (position - low)[:, None]
    return np.asarray(values[low] * (1.0 - part) + values[high] * part)


def _fades(style: SpeakingStyle) -> tuple[np.ndarray, np.ndarray]:
    # Precise speakers move faster between targets, careless ones blur them.
    blur = float(np.clip(style.effort, 0.5, 1.6)) ** -0.4
    fade = np.array([_FADE[name] for name in ARTICULATORS]) * blur
    return fade[:, 0].copy(), fade[:, 1].copy()


def _vowel(
    phone: Phone, style: SpeakingStyle, vigour: float, length: float, core: tuple[float, float]
) -> Segment:
    jaw, aperture, pucker, funnel, spread = _VOWEL_SHAPES[phone.name]
    # Undershoot of short vowels (Lindblom 1963); long ones reach a little further.
    reach = float(np.clip((length / 0.10) ** 0.30, 0.70, 1.15)) * vigour * style.opening
    target = np.zeros(len(ARTICULATORS))
    target[JAW] = jaw * reach * style.jaw_share
    target[APERTURE] = max(aperture * reach, least_aperture(phone.name, style))
    shape = float(np.clip(0.4 + 0.6 * reach / style.opening, 0.7, 1.15))
    target[PUCKER] = pucker * style.rounding * shape
    target[FUNNEL] = funnel * style.rounding * shape
    target[SPREAD] = spread * style.spread * shape
    strength = np.full(len(ARTICULATORS), _VOWEL_DEFAULT)
    strength[[JAW, APERTURE]] = 1.3
    strength[[PUCKER, FUNNEL]] = 1.0 if pucker + funnel > 0.3 else 0.45
    strength[SPREAD] = 1.0 if spread > 0.25 else 0.5
    before, after = _fades(style)
    span = (phone.start + core[0] * phone.length, phone.start + core[1] * phone.length)
    return Segment(phone.name, span, target, strength, before, after)


def least_aperture(vowel: str, style: SpeakingStyle) -> float:
    """Millimetres between the lips that a vowel keeps at its middle, however short or weak."""
    floor = VOWEL_MIN_APERTURE_MM * float(np.clip(style.opening, 0.8, 1.0))
    # One that is narrow by nature stays so.
    return min(floor, _VOWEL_SHAPES[vowel][1]) if vowel in _VOWEL_SHAPES else floor


def _consonant(phone: Phone, style: SpeakingStyle) -> Segment:
    name = phone.name
    target = np.zeros(len(ARTICULATORS))
    strength = np.full(len(ARTICULATORS), _CONSONANT_DEFAULT)
    before, after = _fades(style)
    for articulator, (value, power) in _CONSONANTS[name].items():
        i = ARTICULATORS.index(articulator)
        target[i] = value
        strength[i] = power * style.effort
    target[[PUCKER, FUNNEL]] *= style.rounding
    target[SPREAD] *= style.spread
    if target[APERTURE] > 0.0 and name not in LABIODENTALS:
        target[APERTURE] *= 0.5 + 0.5 * style.opening
        target[JAW] *= 0.5 + 0.5 * style.opening * style.jaw_share
    core = (0.25, 0.75)
    span = (phone.start + core[0] * phone.length, phone.start + core[1] * phone.length)
    if name in BILABIALS:
        strength[APERTURE] = 40.0  # everyone seals, whatever the effort
        target[APERTURE] = SEALED_MM * (0.6 + 0.4 * style.effort)
        before[APERTURE], after[APERTURE] = _CLOSURE_FADE
        before[[ROLL_LOWER, ROLL_UPPER, PRESS]] = _CLOSURE_FADE[0]
        after[[ROLL_LOWER, ROLL_UPPER, PRESS]] = _CLOSURE_FADE[1]
        span = closure_span(phone)
    elif name in LABIODENTALS:
        before[[APERTURE, ROLL_LOWER]] = 0.030
        after[[APERTURE, ROLL_LOWER]] = 0.030
        span = (phone.start + 0.15 * phone.length, phone.start + 0.85 * phone.length)
    elif name in STOPS:
        span = (phone.start + 0.15 * phone.length, phone.start + 0.60 * phone.length)
    return Segment(name, span, target, strength, before, after)


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


def _rest(phone: Phone, style: SpeakingStyle) -> Segment:
    target = np.zeros(len(ARTICULATORS))
    strength = np.full(len(ARTICULATORS), _REST_DEFAULT)
    before, after = _fades(style)
    for articulator, (value, power) in _REST.items():
        i = ARTICULATORS.index(articulator)
        target[i], strength[i] = value, power
    short = phone.length < PAUSE_SECONDS
    if short:
        # Between words the mouth waits half open instead of shutting.
        weight = phone.length / PAUSE_SECONDS
        strength *= 0.5 * weight
        target[APERTURE] = 2.0 * (1.0 - weight)
    before[[JAW, APERTURE]], after[[JAW, APERTURE]] = _REST_FADE
    # The lips come together a moment after the last sound and leave shortly before the next.
    begin = phone.start + (0.4 * phone.length if short else min(0.11, 0.35 * phone.length))
    end = max(phone.end - min(0.06, 0.3 * phone.length), begin)
    return Segment(SILENCE, (begin, end), target, strength, before, after)
