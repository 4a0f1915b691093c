"""Phones with times: names, classes, and the repair of utterance edges.

The phone set is ARPABET without stress digits plus `SIL`; the names that flite, festival and
other aligners use for the same sounds are folded into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from head.errors import WrongValue
from training.labels.prosody import Prosody

SILENCE = "SIL"
MONOPHTHONGS = frozenset({"AA", "AE", "AH", "AO", "EH", "ER", "IH", "IY", "UH", "UW"})
DIPHTHONGS = frozenset({"AW", "AY", "EY", "OW", "OY"})
VOWELS = MONOPHTHONGS | DIPHTHONGS
BILABIALS = frozenset({"P", "B", "M"})  # the lips must seal
LABIODENTALS = frozenset({"F", "V"})  # the lower lip must reach the upper teeth
STOPS = frozenset({"P", "B", "T", "D", "K", "G", "CH", "JH"})
CONSONANTS = frozenset(
    {"P", "B", "M", "F", "V", "TH", "DH", "T", "D", "N", "S", "Z"}
    | {"SH", "ZH", "CH", "JH", "L", "R", "W", "Y", "K", "G", "NG", "HH"}
)
INVENTORY = VOWELS | CONSONANTS | {SILENCE}

_SYNONYMS = {
    "AX": "AH",
    "AXR": "ER",
    "IX": "IH",
    "UX": "UW",
    "EL": "L",
    "EM": "M",
    "EN": "N",
    "DX": "D",
    "NX": "N",
    "HV": "HH",
    "WH": "W",
    "Q": SILENCE,
    "PAU": SILENCE,
    "SP": SILENCE,
    "SPN": SILENCE,
    "H#": SILENCE,
    "#": SILENCE,
    "": SILENCE,
    "BRTH": SILENCE,
}

PAUSE_SECONDS = 0.25  # a silence longer than this lets the lips come to rest


class Phone(NamedTuple):
    """One phone: canonical ARPABET name, start and length in seconds."""

    name: str
    start: float
    length: float

    @property
    def end(self) -> float:
        return self.start + self.length

    @property
    def middle(self) -> float:
        return self.start + 0.5 * self.length


def canonical(name: str) -> str:
    """The inventory's name for an aligner's name (`ah0`, `pau`, `dx`, ...).

    Raises ValueError for a name that no inventory knows.
    """
    plain = name.strip().upper().rstrip("012")
    plain = _SYNONYMS.get(plain, plain)
    if plain not in INVENTORY:
        raise WrongValue(f"unknown phone {name!r}: expected ARPABET, for example 'AH' or 'SIL'")
    return plain


def as_phones(phones: Iterable[Sequence[object]]) -> list[Phone]:
    """`[(name, start s, length s), ...]` as sorted canonical phones; empty ones are dropped."""
    read = [Phone(canonical(str(n)), float(s), float(d)) for n, s, d in phones]  # type: ignore[arg-type]
    return sorted((p for p in read if p.length > 0.0), key=lambda p: p.start)


def fill_gaps(phones: Sequence[Phone], duration: float) -> list[Phone]:
    """Cover `[0, duration]` without holes: gaps become silence, neighbouring silences join."""
    filled: list[Phone] = []
    at = 0.0
    for phone in (*phones, Phone(SILENCE, max(duration, at), 0.0)):
        if phone.start > at + 1e-6:
            _append(filled, Phone(SILENCE, at, phone.start - at))
        if phone.length > 0.0:
            _append(filled, phone)
            at = max(at, phone.end)
    return filled


def _append(phones: list[Phone], phone: Phone) -> None:
    if phones and phone.name == SILENCE == phones[-1].name:
        phone = Phone(SILENCE, phones[-1].start, phone.end - phones[-1].start)
        phones.pop()
    phones.append(phone)


def tidy(phones: Iterable[Sequence[object]], prosody: Prosody) -> list[Phone]:
    """Canonical phones that cover the clip, with silent edges cut off long phones.

    A forced aligner without an edge silence stretches the first and last phone over the room
    tone around the utterance, and one that misses a pause stretches a vowel over it; there the
    sound's level tells where the phone really lies. The silent part becomes `SIL`. Consonants
    inside an utterance are left alone: closures and weak fricatives are silent by nature.
    """
    found = fill_gaps(as_phones(phones), prosody.duration)
    loud = prosody.activity > 0.5
    cut: list[Phone] = []
    for i, phone in enumerate(found):
        edge_before = i == 0 or found[i - 1].name == SILENCE
        edge_after = i + 1 == len(found) or found[i + 1].name == SILENCE
        span = _loud_span(loud, phone, prosody.rate)
        if phone.name == SILENCE or phone.length < 0.12 or span is None:
            cut.append(phone)
            continue
        start, end = phone.start, phone.end
        # A stop's closure is silent, so its lips are already at work before the first sound.
        ahead = 0.08 if phone.name in STOPS else 0.03
        sounding = phone.name in VOWELS
        if edge_before or (sounding and span[0] - start > 0.12):
            start = min(max(start, span[0] - ahead), end - 0.06)
        if edge_after or (sounding and end - span[1] > 0.12):
            end = max(min(end, span[1] + 0.04), start + 0.06)
        cut.append(Phone(phone.name, start, end - start))
    return fill_gaps(cut, prosody.duration)


def _loud_span(loud: np.ndarray, phone: Phone, rate: float) -> tuple[float, float] | None:
    """First and last loud second inside a phone, or None when it is silent throughout."""
    first = int(phone.start * rate)
    hits = np.flatnonzero(loud[first : max(int(np.ceil(phone.end * rate)), first + 1)])
    if hits.size == 0:
        return None
    return (first + int(hits[0])) / rate, (first + int(hits[-1]) + 1) / rate


class Phrase(NamedTuple):
    """A stretch of speech between pauses, seconds."""

    start: float
    end: float


def phrases(phones: Sequence[Phone], pause: float = PAUSE_SECONDS) -> list[Phrase]:
    """Stretches of speech separated by silences of at least `pause` seconds."""
    found: list[Phrase] = []
    for phone in phones:
        if phone.name == SILENCE:
            continue
        if found and phone.start - found[-1].end < pause:
            found[-1] = Phrase(found[-1].start, phone.end)
        else:
            found.append(Phrase(phone.start, phone.end))
    return found
