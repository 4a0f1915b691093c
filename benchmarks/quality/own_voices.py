"""The speech that everybody has for quality beside speed: voices of three engines, synthetic.

Training heard none of the voices, and the engines told when each phone begins. `posetalk bench
voices` makes the set again; `benchmarks/quality/voices/LICENSE.txt` says whose voices they are.
"""

from __future__ import annotations

import json
from pathlib import Path

from training.corpora.utterances import CorpusError, Utterance
from training.evaluation.clips import EvaluationClip, read_clip
from training.labels.phones import as_phones

FOLDER = Path(__file__).with_name("voices")
LIST = "voices.json"
FRAMES = 120
"""Frames of every clip: one length lets all of them share model calls."""
STYLE = "neutral"


def utterances(folder: Path = FOLDER) -> list[Utterance]:
    """What is in the set, in the order of its list.

    Raises:
        CorpusError: the list is not there, or is none.
    """
    try:
        entries = json.loads((folder / LIST).read_text("utf-8"))["utterances"]
        return [
            Utterance(
                entry["id"],
                entry["voice"],
                folder / f"{entry['id']}.opus",
                float(entry["seconds"]),
                tuple(as_phones(entry["phones"])),
                entry["text"],
            )
            for entry in entries
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"{folder / LIST} is no list of utterances: {error}") from error


def clips(most: int | None = None) -> list[EvaluationClip]:
    """Clips of FRAMES frames with their labels: all, or so many, every voice in turn."""
    found = utterances()
    return [read_clip(one, "synthetic", STYLE, FRAMES) for one in found[:most]]


def voices() -> list[str]:
    """Who speaks in it, each once."""
    return list(dict.fromkeys(one.speaker_set for one in utterances()))
