"""Real mouths: the tracked lips of GRID as five curves a clip, beside its sound, phones and words.

The curves are distances between tracked points over the distance of the outer corners of the eyes,
so that neither pose nor size of a head matters.  Each has its person's neutral taken off.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.frames import FPS
from training.corpora.utterances import CorpusError, data_folder, load_audio
from training.labels.phones import SILENCE, Phone, as_phones, tidy
from training.labels.prosody import Prosody, extract_prosody

ARTICULATORS = ("jaw", "aperture", "width", "lower", "upper")
"""Chin below the nose, inner lips apart, corners apart (over the neutral width, without it), lower
lip below where the chin takes it, upper lip above its neutral."""
FITTING = "s1"
JUDGES = ("s4", "s26")
"""Whose points, sound and films enter no fit, normalisation or choice."""
SKIPPED_FRAMES = 2
"""The tracker settles in a clip's first frames."""
BEFORE_SPEECH, AFTER_SPEECH = 0.3, 0.25
"""Seconds around speech in which a mouth is no longer, or not yet, at rest."""
CREDIT = (
    "Mouth constants fitted to the GRID audio-visual speech corpus (M. Cooke, J. Barker, "
    "S. Cunningham, X. Shao, JASA 120(5), 2006; CC BY 4.0, https://zenodo.org/records/3625687), "
    "face points measured by MediaPipe FaceLandmarker."
)

Array = NDArray[np.float32]


class Word(NamedTuple):
    """A word and the seconds of its start and end."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class MouthClip:
    """One sentence of one person.

    Attributes:
        key, person: names of the corpus.
        samples: (m,) float32 at 16 kHz.
        phones: tidied, covering the clip.
        words: with times; empty where the alignment does not tell them apart.
        curves: (n, 5) in the order of ARTICULATORS, relative to the person's neutral; NaN where
            the tracker failed.
        known: (n,) frames that were tracked and are not the clip's first.
        prosody: of the samples.
    """

    key: str
    person: str
    samples: Array
    phones: tuple[Phone, ...]
    words: tuple[Word, ...]
    curves: Array
    known: NDArray[np.bool_]
    prosody: Prosody

    @property
    def middles(self) -> NDArray[np.float64]:
        """(n,) seconds at which the frames are read."""
        return np.asarray((np.arange(len(self.known)) + 0.5) / FPS)

    @property
    def spoken(self) -> NDArray[np.bool_]:
        """(n,) known frames from the first phone to the end of the last."""
        start, end = _speech(self.phones)
        return self.known & (self.middles >= start) & (self.middles <= end)

    @property
    def quiet(self) -> NDArray[np.bool_]:
        """(n,) known frames at rest: the opening that comes before a word is left out."""
        start, end = _speech(self.phones)
        moving = (self.middles > start - BEFORE_SPEECH) & (self.middles < end + AFTER_SPEECH)
        return self.known & ~moving

    def within(self, words: frozenset[str], margin: float = 0.0) -> NDArray[np.bool_]:
        """(n,) frames inside some of these words, or closer to one than `margin` seconds."""
        found = np.zeros(len(self.known), bool)
        for word in self.words:
            if word.text in words:
                found |= (self.middles >= word.start - margin) & (self.middles < word.end + margin)
        return found


def read_mouths(person: str, folder: Path | None = None) -> list[MouthClip]:
    """Every clip of `person` (s1, s4 or s26), in file order.

    Raises:
        CorpusError: a file is missing or not what it should be.
    """
    home = (folder or data_folder()) / "grid"
    try:
        listed = json.loads((home / "alignments.json").read_text("utf-8"))
        timed = json.loads((home / "words.json").read_text("utf-8"))
        aligned = {entry["id"]: entry for entry in listed}
        with np.load(home / f"{person}.npz", allow_pickle=False) as tracked:
            curves = _curves(tracked["points"].astype(np.float64), tracked["points_idx"].tolist())
            known = tracked["ok"].astype(bool) & np.isfinite(curves).all(1)
            keys = [f"{person}/{key}" for key in tracked["keys"]]
            offsets = tracked["offsets"].tolist()
        lexicon = _lexicon(aligned, timed)
        clips = []
        for key, first, last in zip(keys, offsets[:-1], offsets[1:], strict=True):
            entry = aligned[key]
            phones = list(as_phones((p, s / 100, d / 100) for p, s, d in entry["phones"]))
            words = _timed_words(timed[key]) if key in timed else ()
            words = words or _split(entry["text"].split(), phones, lexicon)
            samples = load_audio(home / f"{key}.opus")
            prosody = extract_prosody(samples)
            sure = known[first:last].copy()
            sure[:SKIPPED_FRAMES] = False
            said = tuple(tidy(_begun(phones, words), prosody))
            clips.append(
                MouthClip(key, person, samples, said, words, curves[first:last], sure, prosody)
            )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CorpusError(f"cannot read the tracked mouths in {home}: {error}") from error
    return _relative(clips)


def _curves(points: NDArray[np.float64], index: Sequence[int]) -> Array:
    """(T, 5) distances of tracked points (T, 60, 3) over the distance of the eyes' corners."""

    def apart(one: int, other: int) -> NDArray[np.float64]:
        return np.linalg.norm(points[:, index.index(one)] - points[:, index.index(other)], axis=-1)

    with np.errstate(invalid="ignore", divide="ignore"):
        eyes = apart(33, 263)
        chin, nose_lip = apart(1, 152), apart(4, 0)
        out = (
            np.stack([chin, apart(13, 14), apart(61, 291), apart(4, 17) - chin, -nose_lip], axis=1)
            / eyes[:, None]
        )
    return out.astype(np.float32)


def _relative(clips: list[MouthClip]) -> list[MouthClip]:
    """The clips without their person's neutral: the median at rest; lips' contact for apertures."""
    quiet = np.concatenate([clip.curves[clip.quiet] for clip in clips])
    spoken = np.concatenate([clip.curves[clip.spoken] for clip in clips])
    neutral = np.median(quiet if len(quiet) else spoken, axis=0)
    # Somebody may rest with parted lips, but everybody's lips meet while speaking.
    neutral[1] = np.percentile(spoken[:, 1], 3.0)
    for clip in clips:
        clip.curves[:] -= neutral
        clip.curves[:, 2] /= neutral[2]
    return clips


def _speech(phones: Sequence[Phone]) -> tuple[float, float]:
    said = [p for p in phones if p.name != SILENCE]
    return (said[0].start, said[-1].end) if said else (np.inf, -np.inf)


def _timed_words(entries: Sequence[Sequence[Any]]) -> tuple[Word, ...]:
    return tuple(
        Word(str(text), float(start), float(end))
        for start, end, text in entries
        if text not in ("sil", "sp")
    )


def _begun(phones: list[Phone], words: tuple[Word, ...]) -> list[Phone]:
    """Phones whose first one begins with the first word: the alignment is loose there."""
    said = [p for p in phones if p.name != SILENCE]
    if said and words and said[0].start < words[0].start < said[0].end:
        said[0] = Phone(said[0].name, words[0].start, said[0].end - words[0].start)
    return said


_Lexicon = dict[str, list[tuple[str, ...]]]


def _lexicon(aligned: dict[str, Any], timed: dict[str, Any]) -> _Lexicon:
    """How each word is usually spelled in phones, where both words and phones have times."""
    seen: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for key, entries in timed.items():
        words = _timed_words(entries)
        spelled: dict[int, list[str]] = defaultdict(list)
        for name, start, length in aligned[key]["phones"]:
            if name != SILENCE:
                middle = (start + 0.5 * length) / 100
                away = [max(w.start - middle, middle - w.end, 0.0) for w in words]
                spelled[away.index(min(away))].append(name)
        for i, names in spelled.items():
            seen[words[i].text][tuple(names)] += 1
    return {
        word: [names for names, n in count.most_common(4) if n >= 0.1 * count.total()]
        for word, count in seen.items()
    }


def _split(words: list[str], phones: list[Phone], lexicon: _Lexicon) -> tuple[Word, ...]:
    """Words with times where their spellings fill the phones exactly; else none."""
    said = [p for p in phones if p.name != SILENCE]
    ways: dict[int, list[Word]] = {0: []}
    for word in words:
        further: dict[int, list[Word]] = {}
        for at, found in ways.items():
            for names in lexicon.get(word, []):
                part = said[at : at + len(names)]
                if tuple(p.name for p in part) == names:
                    told = Word(word, part[0].start, part[-1].end)
                    further.setdefault(at + len(names), [*found, told])
        ways = further
    return tuple(ways.get(len(said), ()))
