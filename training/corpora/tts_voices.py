"""Voices of flite and espeak-ng, which tell when each phone begins: any amount of any text.

The recordings hold few words in many voices, or many words in one.  These say many words in many
voices, so that sounds are learned rather than phrases.
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from stream.frames import SAMPLE_RATE
from training.corpora.utterances import CorpusError, Utterance
from training.labels.phones import SILENCE, STOPS, Phone, as_phones

FLITE_VOICES = ("awb", "rms", "slt", "kal16")
ESPEAK_VOICES = (
    "f1",
    "f2",
    "f3",
    "f4",
    "f5",
    "m1",
    "m2",
    "m3",
    "m4",
    "m5",
    "m6",
    "m7",
    "m8",
    "klatt2",
    "klatt4",
    "Alicia",
    "Andrea",
    "Andy",
    "Annie",
    "Hugo",
    "Jacky",
    "Marco",
    "Michael",
    "adam",
    "belinda",
    "edward",
    "grandma",
    "grandpa",
    "linda",
    "norbert",
    "paul",
    "rob",
    "shelby",
    "steph",
    "victor",
    "whisper",
)
CLOSURE_SECONDS = 0.07
"""The longest silence before a burst that is the stop's own."""

_ARPABET = {
    "a": "AE",
    "aa": "AE",
    "a#": "AH",
    "A:": "AA",
    "0": "AA",
    "O2": "AO",
    "O:": "AO",
    "V": "AH",
    "@": "AH",
    "@2": "AH",
    "@-": "AH",
    "E": "EH",
    "3": "ER",
    "3:": "ER",
    "I": "IH",
    "I2": "IH",
    "I#": "IH",
    "i": "IY",
    "i:": "IY",
    "U": "UH",
    "u:": "UW",
    "aI": "AY",
    "aU": "AW",
    "eI": "EY",
    "oU": "OW",
    "OI": "OY",
    "A@": "AA R",
    "O@": "AO R",
    "o@": "AO R",
    "e@": "EH R",
    "i@": "IH R",
    "i@3": "IH R",
    "U@": "UH R",
    "aI@": "AY AH",
    "aI3": "AY ER",
    "@L": "AH L",
    "n-": "N",
    "r-": "R",
    "r": "R",
    "j": "Y",
    "N": "NG",
    "S": "SH",
    "Z": "ZH",
    "tS": "CH",
    "dZ": "JH",
    "T": "TH",
    "D": "DH",
    "t#": "D",
    "t2": "T",
    "h": "HH",
    "?": SILENCE,
    ";": "",
    **{
        letter: letter.upper()
        for letter in ("b", "d", "f", "g", "k", "l", "m", "n", "p", "s", "t", "v", "w", "z")
    },
}
"""espeak-ng's names of American English; two sounds share the time of one, nothing none."""


def sentences(texts: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    """Some texts as they are and, for two in five, words of all of them in no order.

    Every word comes as often as any other there, and beside any other.
    """
    words = sorted({word.strip('.,;:!?"').lower() for text in texts for word in text.split()})
    told = [texts[i] for i in rng.permutation(len(texts))[: max(1, count * 3 // 5)]]
    mixed = (rng.choice(words, int(rng.integers(4, 10))) for _ in range(count - len(told)))
    return [*told, *(" ".join(chosen) + "." for chosen in mixed)]


def flite(text: str, voice: str, path: Path) -> Utterance:
    """The text spoken by a flite voice into a file at 16 kHz, with the phone times it used.

    Raises:
        CorpusError: flite is not there or could not.
    """
    command = ["flite", "-voice", voice, "-t", text, "-psdur", "-o", str(path)]
    try:
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise CorpusError(f"cannot run flite ({error}): `sudo apt install flite`") from error
    phones, start = [], 0.0
    for item in printed.split():
        name, _, end = item.rpartition(":")
        phones.append((name, start, float(end) - start))
        start = float(end)
    return Utterance(path.stem, f"flite_{voice}", path, start, tuple(as_phones(phones)), text)


def espeak(
    text: str, voice: str, path: Path, *, words_per_minute: int = 170, pitch: int = 50
) -> Utterance:
    """The same by American English espeak-ng, in a variant of its voice; pitch is 0 to 100.

    Raises:
        CorpusError: espeak-ng or its American English is not there.
    """
    library, rate = _espeak()
    blocks: list[NDArray[np.int16]] = []
    events: list[tuple[str, float]] = []

    @_CALLBACK
    def take(block: ctypes._Pointer[ctypes.c_short], n: int, event: ctypes._Pointer[_Event]) -> int:
        if n > 0:
            blocks.append(np.ctypeslib.as_array(block, (n,)).copy())
        at = 0
        while event[at].type != _LAST:
            if event[at].type == _PHONEME:
                events.append((event[at].id.decode(), event[at].sample / rate))
            at += 1
        return 0

    library.espeak_SetSynthCallback(take)
    if library.espeak_SetVoiceByName(f"en-us+{voice}".encode()) != 0:
        raise CorpusError("espeak-ng has no American English: `sudo apt install espeak-ng-data`")
    library.espeak_SetParameter(_WORDS_PER_MINUTE, words_per_minute, 0)
    library.espeak_SetParameter(_PITCH, pitch, 0)
    said = text.encode()
    library.espeak_Synth(said, len(said) + 1, 0, 0, 0, _UTF8, None, None)
    samples = np.concatenate(blocks).astype(np.float32) / 32768.0
    duration = len(samples) / rate
    phones = closures(timed(events, duration), samples, rate)
    soundfile.write(path, soxr.resample(samples, rate, SAMPLE_RATE), SAMPLE_RATE)
    return Utterance(path.stem, f"espeak_{voice}", path, duration, tuple(phones), text)


def timed(events: Sequence[tuple[str, float]], duration: float) -> list[Phone]:
    """Phones in ARPABET of espeak-ng's names and the seconds at which they begin."""
    phones: list[tuple[str, float, float]] = []
    ends = [start for _, start in events[1:]] + [duration]
    for (name, start), end in zip(events, ends, strict=True):
        parts = _ARPABET.get(name, SILENCE).split()  # pauses, and the names of ends
        each = (end - start) / max(len(parts), 1)
        phones += [(part, start + i * each, each) for i, part in enumerate(parts)]
    return as_phones(phones)


def closures(phones: Sequence[Phone], samples: NDArray[np.float32], rate: int) -> list[Phone]:
    """Stops that begin with their silence: espeak-ng tells the bursts' times."""
    step = rate // 200
    level = np.abs(samples[: len(samples) // step * step].reshape(-1, step)).max(axis=1)
    silent = level < 0.02 * np.quantile(level, 0.9)
    out = list(phones)
    for i, (phone, before) in enumerate(zip(out[1:], out[:-1], strict=True), 1):
        if phone.name not in STOPS:
            continue
        earliest = max(before.start + 0.3 * before.length, phone.start - CLOSURE_SECONDS)
        block = round(phone.start * rate / step)
        while block * step > earliest * rate and silent[block - 1]:
            block -= 1
        start = min(max(block * step / rate, earliest), phone.start)
        out[i - 1] = Phone(before.name, before.start, start - before.start)
        out[i] = Phone(phone.name, start, phone.end - start)
    return out


_LAST, _PHONEME = 0, 7
_WORDS_PER_MINUTE, _PITCH = 1, 3
_SYNCHRONOUS, _PHONEME_EVENTS, _UTF8 = 2, 1, 1


class _Event(ctypes.Structure):
    """`espeak_EVENT` of espeak-ng's speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@cache
def _espeak() -> tuple[ctypes.CDLL, int]:
    """The library, which a process initialises once, and its sample rate."""
    try:
        library = ctypes.CDLL("libespeak-ng.so.1")
    except OSError as error:
        raise CorpusError("no espeak-ng library: `sudo apt install espeak-ng`") from error
    rate = int(library.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS))
    if rate <= 0:
        raise CorpusError("espeak-ng does not start: `sudo apt install --reinstall espeak-ng-data`")
    return library, rate
