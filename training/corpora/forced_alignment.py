"""Phone times of known words by PocketSphinx, as the data folder's own times were found."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from head.errors import NotInstalled
from stream.frames import SAMPLE_RATE
from training.corpora.utterances import CorpusError
from training.labels.phones import INVENTORY, SILENCE, Phone, as_phones, canonical

FRAMES_A_SECOND = 100
"""Frames of PocketSphinx, in which it tells times."""
QUIET_SECONDS, QUIET = (0.0, 0.3, 0.15, 0.5), 3e-4
"""What is tried before and after a recording that begins or ends within a word: a quiet room."""


def align(words: Sequence[str], samples: NDArray[np.float32]) -> list[Phone] | None:
    """When each phone of the words is said in (n,) samples at 16 kHz; None where they are not.

    Raises:
        CorpusError: a word is in no dictionary, and flite is not there to spell it.
        NotInstalled: PocketSphinx is not there.
    """
    rng = np.random.default_rng(0)
    for seconds in QUIET_SECONDS:
        edges = QUIET * rng.standard_normal((2, round(seconds * SAMPLE_RATE))).astype(np.float32)
        phones = _timed(words, np.concatenate([edges[0], samples, edges[1]]))
        if phones is not None:
            length = len(samples) / SAMPLE_RATE
            inside = ((max(p.start - seconds, 0.0), min(p.end - seconds, length)) for p in phones)
            return as_phones(
                (p.name, start, end - start) for p, (start, end) in zip(phones, inside, strict=True)
            )
    return None


def _timed(words: Sequence[str], samples: NDArray[np.float32]) -> list[Phone] | None:
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise NotInstalled("PocketSphinx is not here: pip install -e '.[corpora]'") from error
    # One for each recording: what a decoder keeps of the one before makes it lose the next.
    decoder = Decoder(lm=None, loglevel="FATAL")
    for word in words:
        if decoder.lookup_word(word) is None:
            decoder.add_word(word, " ".join(spelled(word)), True)
    pcm = (np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()
    try:
        decoder.set_align_text(" ".join(words))
        _hear(decoder, pcm)
        decoder.set_alignment()  # of the words that were found, their phones
        _hear(decoder, pcm)
    except RuntimeError:  # what is said is something else
        return None
    return as_phones(
        (phone.name, phone.start / FRAMES_A_SECOND, phone.duration / FRAMES_A_SECOND)
        for word in decoder.get_alignment()
        for phone in word
    )


def _hear(decoder: Any, pcm: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()


def words_of(text: str) -> list[str]:
    """The words of a text in small letters, without what is not said."""
    plain = text.lower().replace("’", "'")
    return [word.strip("'") for word in re.findall(r"[a-z']+", plain) if word.strip("'")]


@lru_cache(maxsize=4096)
def spelled(word: str) -> tuple[str, ...]:
    """The phones of a word that no dictionary has, as flite would say it.

    Raises:
        CorpusError: flite is not there.
    """
    command = ["flite", "-voice", "kal16", "-ps", "-t", word, "-o", "none"]
    try:
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise CorpusError(f"cannot run flite ({error}): `sudo apt install flite`") from error
    phones = [canonical(name) for name in printed.split()]
    return tuple(name for name in phones if name in INVENTORY and name != SILENCE)
