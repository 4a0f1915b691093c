"""Texts and phone times of recordings whose own texts are doubtful: `posetalk train transcripts`.

Whisper hears what is said, PocketSphinx when.  A wrong word teaches wrong lips, and a text of which
only stretches can be believed cuts sentences to pieces.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray

from head.new_file import new_file
from training.corpora import teacher
from training.corpora.alignment import well_aligned
from training.corpora.forced_alignment import align, words_of
from training.corpora.people import TRANSCRIPTS, read_voices, refuse_judges
from training.corpora.utterances import Utterance, load_audio
from training.labels.phones import SILENCE, Phone

log = logging.getLogger(__name__)

LEAST_LOG_PROBABILITY = -0.45
"""Of a token, in the mean: below, Whisper guesses."""
LONGEST_PHONE_SECONDS = 0.6
"""A phone that is longer stands where words are missing."""


@dataclass(frozen=True)
class TranscriptSettings:
    """Which recordings are heard again, and by what."""

    corpus: str = "librispeech"
    """The corpus of the data folder's `voices` whose texts are doubtful."""
    whisper: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: the extra's own)")
    ] = None
    """Folder of a Whisper model for CTranslate2."""
    out: Path = TRANSCRIPTS
    """Folder to write CORPUS.json into; `train tracks --transcripts` takes it."""
    threads: int = 2
    """Threads of Whisper."""


Transcribe = Callable[[NDArray[np.float32]], tuple[str, float]]
"""Samples at 16 kHz to what is said, and the mean log probability of its tokens."""


def main(settings: TranscriptSettings) -> None:
    """Hear every recording of the corpus, and write what was said when."""
    from tqdm import tqdm

    utterances = read_voices(settings.corpus)
    refuse_judges(utterances)
    hear = hearing(settings.whisper, settings.threads)
    told = [transcript(u, hear) for u in tqdm(utterances, unit="recording")]
    kept = [entry for entry in told if entry is not None]
    settings.out.mkdir(parents=True, exist_ok=True)
    with new_file(settings.out / f"{settings.corpus}.json") as part:
        part.write_text(json.dumps(kept), encoding="utf-8")
    log.info("%d of %d recordings have texts now", len(kept), len(utterances))


def transcript(utterance: Utterance, hear: Transcribe) -> dict[str, Any] | None:
    """What is said in a recording and when; None where that is not sure enough."""
    samples = load_audio(utterance)
    text, sure = hear(samples)
    words = words_of(text)
    if not words or sure < LEAST_LOG_PROBABILITY:
        return None
    phones = align(words, samples)
    if phones is None or not plausible(phones):
        return None
    if not well_aligned(replace(utterance, phones=tuple(phones))):
        return None
    return {
        "id": utterance.id,
        "text": " ".join(words),
        "phones": [[p.name, round(p.start * 100), round(p.length * 100)] for p in phones],
    }


def plausible(phones: list[Phone]) -> bool:
    """Whether no phone is stretched over words that the text misses."""
    return all(p.name == SILENCE or p.length < LONGEST_PHONE_SECONDS for p in phones)


def hearing(folder: Path | None, threads: int) -> Transcribe:
    """Whisper, with numbers in words, as they are said.

    Raises:
        NotInstalled: the extra is not there.
    """
    model = teacher.whisper(folder, threads)
    digits = set("0123456789%$€£&")
    numbers = [
        token
        for piece, token in model.hf_tokenizer.get_vocab().items()
        if digits & set(piece) and not piece.startswith("<|")
    ]

    def hear(samples: NDArray[np.float32]) -> tuple[str, float]:
        parts, _ = model.transcribe(
            samples,
            language="en",
            without_timestamps=True,
            condition_on_previous_text=False,
            suppress_tokens=[-1, *numbers],
        )
        heard = list(parts)
        sure = float(np.mean([part.avg_logprob for part in heard])) if heard else -np.inf
        return " ".join(part.text.strip() for part in heard), sure

    return hear
