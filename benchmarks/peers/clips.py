"""The sound that all hear: recordings of a corpus that nobody here learned from."""

from __future__ import annotations

import wave
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from stream.frames import SAMPLE_RATE
from training.corpora.people import read_voices
from training.corpora.utterances import Utterance, held_out_voices, load_audio
from training.labels.phones import Phone
from training.reports.outside_report import pink
from training.speech import augment, lines

Samples = NDArray[np.float32]

CORPUS = "test_other"
LEVEL_DB = -24.0
BEFORE, AFTER = 0.3, 0.4
"""Seconds of silence around each clip."""
CONDITIONS = {"clean": None, "pink noise at 10 dB": 10.0}
"""What is heard, and the signal-to-noise ratio of it."""
CLOSURES = frozenset("PBM")
CLASSES = {
    "A": ("AA", "AE", "AH"),
    "I": ("IY", "IH"),
    "U": ("UW", "UH"),
    "E": ("EH", "EY"),
    "O": ("OW", "AO"),
    "N": ("N", "M", "NG"),
    "S": ("S", "SH", "Z"),
    "-": ("SIL",),
}
"""Of wlipsync, and the phones that its examples are taken from."""


@dataclass(frozen=True, eq=False)
class PeerClip:
    """One clip as everybody hears it; phones in its own time."""

    id: str
    samples: Samples
    phones: tuple[Phone, ...]


def choose(closures: int) -> list[Utterance]:
    """Utterances, evenly from the whole corpus, with at least so many P, B and M where it has them.

    Raises:
        training.corpora.utterances.CorpusError: the corpus is not here.
    """
    found = read_voices(CORPUS)
    order = np.random.default_rng(0).permutation(len(found))
    chosen, count = [], 0
    for at in order:
        if count >= closures:
            break
        chosen.append(found[at])
        count += sum(phone.name in CLOSURES for phone in found[at].phones)
    return chosen


def clip_of(utterance: Utterance, snr_db: float | None) -> PeerClip:
    """An utterance at one level, between silences, under noise or not."""
    rng = np.random.default_rng(zlib.crc32(utterance.id.encode()))
    speech = lines.at_level(load_audio(utterance), LEVEL_DB)
    samples = np.pad(speech, (int(BEFORE * SAMPLE_RATE), int(AFTER * SAMPLE_RATE)))
    if snr_db is not None:
        samples = augment.mix(samples, pink(len(samples), rng), snr_db)
    phones = (Phone(p.name, p.start + BEFORE, p.length) for p in utterance.phones)
    return PeerClip(utterance.id, np.clip(samples, -0.99, 0.99).astype(np.float32), tuple(phones))


def write(clip: PeerClip, folder: Path) -> dict[str, str]:
    """Its files: at 16 kHz and, as browsers have it, at 48 kHz."""
    files = {"id": clip.id}
    for rate in (16, 48):
        samples = clip.samples if rate == 16 else resample_poly(clip.samples, 3, 1)
        path = folder / f"{clip.id}.{rate}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(1000 * rate)
            file.writeframes((np.clip(samples, -0.999, 0.999) * 32767).astype("<i2").tobytes())
        files[f"wav{rate}"] = str(path)
    return files


def examples(folder: Path, each: int = 40) -> list[dict[str, Any]]:
    """Middles of phones of training voices, for a profile that its package has none of."""
    training, _ = held_out_voices()
    label = {phone: name for name, phones in CLASSES.items() for phone in phones}
    found: list[dict[str, Any]] = []
    for speaker_set in ("kathleen_cc0", "picovoice_s2i"):
        own = [u for u in training if u.speaker_set.startswith(speaker_set)]
        for utterance in _even(own, each):
            clip = clip_of(utterance, None)
            path = write(clip, folder)["wav48"]
            found += [
                {"wav48": path, "label": label[p.name], "time": p.middle, "set": speaker_set}
                for p in clip.phones
                if p.name in label and p.length >= 0.06
            ]
    return found


def _even(found: Sequence[Utterance], most: int) -> list[Utterance]:
    return [found[i] for i in np.linspace(0, len(found) - 1, min(most, len(found))).astype(int)]
