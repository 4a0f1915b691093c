"""Readers of the speech data folder, and a hold-out of whole voices.

The many-speaker sets carry no speaker labels. Clips are grouped by how they sound (mean and
spread of cepstra over speech frames, median pitch) and whole groups are held out, both sets
clustered together, so that a held-out voice (and mostly its room) is never trained on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from head.errors import PosetalkError
from head.new_file import new_file
from stream.frames import SAMPLE_RATE
from training.labels.phones import Phone, as_phones, tidy
from training.labels.prosody import PROSODY_HOP_SAMPLES, Prosody, extract_prosody

log = logging.getLogger(__name__)

SPEAKER_SETS = ("kathleen_cc0", "picovoice_s2i", "picovoice_wake")
MANY_VOICES = ("picovoice_s2i", "picovoice_wake")
SAME_VOICE_HELD_OUT = 60  # last utterances of the single-speaker set
HELD_OUT_SHARE = 0.15
CACHE = Path(__file__).resolve().parents[2] / ".training"
_CLUSTERS = 72
_CACHE_VERSION = 2  # counts changes of `tidy`, `voice_features` and prosody


class CorpusError(PosetalkError, OSError):
    """The data folder or something in it cannot be read."""


@dataclass(frozen=True)
class Utterance:
    """One clip with its phones.

    Attributes:
        id: unique within its set.
        speaker_set: name of the set.
        path: audio file.
        duration: seconds.
        phones: ((ARPABET or SIL, start s, length s), ...), covering the clip.
        text: words as prompted or decoded.
        trusted: False where the decoded words of a clip are doubtful.
        span: start and end in the file, seconds, where it is a part of one; its phones' times
            are its own.
    """

    id: str
    speaker_set: str
    path: Path
    duration: float
    phones: tuple[Phone, ...]
    text: str = ""
    trusted: bool = True
    span: tuple[float, float] | None = None


def data_folder() -> Path:
    """The data folder that `POSETALK_DATA` names.

    Raises CorpusError when it names none.
    """
    named = os.environ.get("POSETALK_DATA")
    if not named:
        raise CorpusError("set POSETALK_DATA to the data folder")
    if not (Path(named) / "speech").is_dir():
        raise CorpusError(f"no speech data in {named}: set POSETALK_DATA to the data folder")
    return Path(named)


def read_corpus(name: str, folder: Path | None = None, *, repair: bool = True) -> list[Utterance]:
    """The utterances of one set, in file order.

    repair: cut the silence off phones at the edges of clips (see `training.labels.phones.tidy`);
        reads all audio once and keeps the result in `.training/`.
    Raises CorpusError for a missing set or an unreadable list.
    """
    found = _read_list(name, folder or data_folder())
    if not repair:
        return found
    known = _analysis(found)
    return [replace(u, phones=tuple(as_phones(known[u.id]["phones"]))) for u in found]


def load_audio(source: Utterance | Path | str) -> np.ndarray:
    """Mono float32 samples at 16 kHz. Raises CorpusError for files that are not that."""
    import soundfile

    path = source.path if isinstance(source, Utterance) else Path(source)
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise CorpusError(f"cannot read {path}: {error}") from error
    if rate != SAMPLE_RATE:
        raise CorpusError(f"{path} has {rate} Hz: corpora are read at {SAMPLE_RATE} Hz")
    span = source.span if isinstance(source, Utterance) else None
    if span is not None:
        samples = samples[round(span[0] * rate) : round(span[1] * rate)]
    return np.ascontiguousarray(samples.mean(axis=1))


def held_out_voices(folder: Path | None = None) -> tuple[list[Utterance], list[Utterance]]:
    """(training, held out) utterances of all three sets.

    Held out: whole voice groups, about 15 % of the clips of each many-speaker set, and the last
    60 utterances of the single-speaker set (a known voice saying something new). Clips whose
    words are doubtful are in neither. The same data always gives the same split.
    """
    everything = {name: read_corpus(name, folder) for name in SPEAKER_SETS}
    single = everything["kathleen_cc0"]
    train, held = single[:-SAME_VOICE_HELD_OUT], single[-SAME_VOICE_HELD_OUT:]
    many = [u for name in MANY_VOICES for u in everything[name]]
    chosen = set(_split(many))
    for utterance in many:
        if utterance.trusted:
            (held if utterance.id in chosen else train).append(utterance)
    return train, held


def _read_list(name: str, folder: Path) -> list[Utterance]:
    if name not in SPEAKER_SETS:
        raise CorpusError(f"no speech set {name!r}; there are {', '.join(SPEAKER_SETS)}")
    home = folder / "speech" / name
    try:
        entries = json.loads((home / "alignments.json").read_text(encoding="utf-8"))
        return [
            Utterance(
                id=entry["id"],
                speaker_set=name,
                path=home / "audio" / f"{entry['id']}.opus",
                duration=float(entry["dur"]),
                phones=tuple(as_phones((p, s / 100, d / 100) for p, s, d in entry["phones"])),
                text=entry.get("text") or entry.get("hyp") or "",
                trusted=bool(entry.get("all_slots", True)),
            )
            for entry in entries
        ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CorpusError(f"cannot read {home / 'alignments.json'}: {error}") from error


def _analysis(utterances: Sequence[Utterance]) -> dict[str, dict[str, list[Any]]]:
    """Repaired phones and voice features by id, computed once per list of clips."""
    told = [{key: v for key, v in asdict(u).items() if key != "span"} for u in utterances]
    listing = json.dumps(told, default=str, sort_keys=True)
    digest = hashlib.sha256(f"{_CACHE_VERSION}{listing}".encode()).hexdigest()[:16]
    name = utterances[0].speaker_set if utterances else "empty"
    cache = CACHE / f"{name}-{digest}.json"
    if cache.is_file():
        known: dict[str, dict[str, list[Any]]] = json.loads(cache.read_text(encoding="utf-8"))
        return known
    log.info("analysing %d clips of %s", len(utterances), name)
    known = {}
    for utterance in utterances:
        samples = load_audio(utterance)
        prosody = extract_prosody(samples)
        known[utterance.id] = {
            "phones": [list(p) for p in tidy(utterance.phones, prosody)],
            "voice": [round(float(v), 4) for v in voice_features(samples, prosody)],
        }
    _write(cache, known)
    return known


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path) as part:
        part.write_text(json.dumps(value), encoding="utf-8")


def voice_features(samples: np.ndarray, prosody: Prosody) -> np.ndarray:
    """(26,) mean and spread of 12 cepstra over speech frames, median and spread of log pitch."""
    frames = _windows(samples)[: len(prosody.activity)]
    loud = prosody.activity[: len(frames)] > 0.5
    if not loud.any():
        loud = np.ones(len(frames), bool)
    cepstra = _cepstra(frames[loud])
    voiced = prosody.f0[prosody.f0 > 0.0]
    tone = np.log2(voiced) if voiced.size else np.array([7.3])
    pitch = [np.median(tone), np.percentile(tone, 80) - np.percentile(tone, 20)]
    return np.concatenate([cepstra.mean(axis=0), cepstra.std(axis=0), pitch])


def _windows(samples: np.ndarray, size: int = 400) -> np.ndarray:
    padded = np.pad(samples, (0, max(0, size - samples.size)))
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::PROSODY_HOP_SAMPLES]


def _cepstra(frames: np.ndarray, bands: int = 24, count: int = 12) -> np.ndarray:
    """(T, count) mel cepstra 1..count of (T, size) frames."""
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(frames.shape[1]), 512)) ** 2
    mel = np.linspace(0.0, 2595.0 * np.log10(1.0 + 7000.0 / 700.0), bands + 2)
    edges = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    at = np.fft.rfftfreq(512, 1.0 / SAMPLE_RATE)
    rising = (at - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - at) / (edges[2:] - edges[1:-1])[:, None]
    filters = np.maximum(np.minimum(rising, falling), 0.0)
    energy = np.log(spectrum @ filters.T + 1e-8)
    turn = np.cos(np.pi / bands * np.arange(1, count + 1)[:, None] * (np.arange(bands) + 0.5))
    return np.asarray(energy @ turn.T * np.sqrt(2.0 / bands))


def _split(many: Sequence[Utterance]) -> list[str]:
    """Ids of the held-out clips of the many-speaker sets, kept in `.training/split.json`."""
    features = {}
    for name in MANY_VOICES:
        own = [u for u in many if u.speaker_set == name]
        features.update(_analysis(_read_list(name, own[0].path.parents[3])) if own else {})
    matrix = np.array([features[u.id]["voice"] for u in many], float)
    sets = np.array([u.speaker_set for u in many])
    groups = cluster_voices(matrix)
    held = choose_groups(groups, sets, HELD_OUT_SHARE)
    ids = [u.id for u, group in zip(many, groups, strict=True) if group in held]
    _write(CACHE / "split.json", {"clusters": len(set(groups)), "held_out": ids})
    return ids


def cluster_voices(features: np.ndarray, clusters: int = _CLUSTERS, seed: int = 7) -> np.ndarray:
    """(N,) group of each row: k-means (k-means++ start, 40 rounds) on standardised features.

    Pitch counts threefold: it tells voices apart where words and rooms move the cepstra.
    """
    scaled = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9)
    scaled[:, -2] *= 3.0
    rng = np.random.default_rng(seed)
    clusters = min(clusters, len(scaled))
    centres = scaled[[int(rng.integers(len(scaled)))]]
    while len(centres) < clusters:
        far = _distances(scaled, centres).min(axis=1)
        pick = int(rng.choice(len(scaled), p=far / far.sum())) if far.sum() > 0 else len(centres)
        centres = np.concatenate([centres, scaled[[pick]]])
    for _ in range(40):
        group = _distances(scaled, centres).argmin(axis=1)
        for k in range(clusters):
            if (group == k).any():
                centres[k] = scaled[group == k].mean(axis=0)
    return np.asarray(_distances(scaled, centres).argmin(axis=1))


def _distances(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    squared = (rows**2).sum(axis=1)[:, None] - 2.0 * rows @ centres.T + (centres**2).sum(axis=1)
    return np.asarray(np.maximum(squared, 0.0))


def choose_groups(groups: np.ndarray, sets: np.ndarray, share: float) -> set[int]:
    """Whole groups, in a fixed shuffled order, that hold about `share` of the rows of every set.

    A group is taken while it moves the shares closer to the goal than leaving it.
    """
    names = sorted(set(sets.tolist()))
    total = np.array([(sets == name).sum() for name in names], float)
    taken = np.zeros(len(names))
    chosen: set[int] = set()
    order = np.random.default_rng(11).permutation(np.unique(groups))
    for group in order:
        inside = np.array([((sets == name) & (groups == group)).sum() for name in names], float)
        now = np.abs(taken / total - share).sum()
        then = np.abs((taken + inside) / total - share).sum()
        if then < now:
            chosen.add(int(group))
            taken += inside
    return chosen
