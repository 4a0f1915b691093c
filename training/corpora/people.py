"""Readers of corpora of many people, and their hold-out: whole corpora, then whole people.

A corpus that judges enters nothing that a network learns from: no training, no statistics, no
choice of a checkpoint.  A reverse run leaves another one out whole.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from training.corpora.utterances import CorpusError, Utterance, data_folder
from training.labels.phones import Phone, as_phones

CORPORA = {
    "librispeech": "librispeech_train_clean_cc_by",
    "vctk": "vctk_cc_by",
    "commands": "speech_commands_cc_by",
    "test_other": "librispeech_test_other_cc_by",
}
"""Short names of the sets and their folders in `voices`."""
JUDGES = frozenset({"test_other"})
MOST_OF_A_PERSON = 30
"""Clips of one person that are used: some have many."""
LEAST_SURE_SECONDS = 0.7
"""Stretches of doubtful text with fewer sure seconds on end are not labelled."""
SURE_GAP_SECONDS = 0.03
TRANSCRIPTS = Path(".training/transcripts")
"""Where `posetalk train transcripts` writes."""
CHOOSERS = 8
"""Every so many people of a corpus learn nothing: by them it is chosen what ships."""


class JudgeError(CorpusError):
    """A corpus that judges was asked for as training data."""


def read_voices(name: str, folder: Path | None = None) -> list[Utterance]:
    """The utterances of one corpus, in file order; `speaker_set` is `NAME/PERSON`.

    Raises:
        CorpusError: an unknown name, or a list that cannot be read.
    """
    if name not in CORPORA:
        raise CorpusError(f"no corpus {name!r}; there are {', '.join(CORPORA)}")
    return read_folder(name, (folder or data_folder()) / "voices" / CORPORA[name])


def read_folder(name: str, home: Path) -> list[Utterance]:
    """The utterances of a folder with `alignments.json`, in the data folder's format.

    Raises:
        CorpusError: the list cannot be read.
    """
    try:
        entries = json.loads((home / "alignments.json").read_text("utf-8"))
        return [
            Utterance(
                id=entry["id"],
                speaker_set=f"{name}/{entry['speaker']}",
                path=home / entry.get("file", f"{entry['id']}.opus"),
                duration=float(entry["dur"]),
                phones=tuple(as_phones((p, s / 100, d / 100) for p, s, d in entry["phones"])),
                text=entry.get("text", ""),
                trusted=not entry.get("text_is_hypothesis", False),
            )
            for entry in entries
        ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CorpusError(f"cannot read {home / 'alignments.json'}: {error}") from error


def by_person(utterances: Sequence[Utterance]) -> list[list[Utterance]]:
    """Each person's utterances, people in the order of their names."""
    people: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        people[utterance.speaker_set].append(utterance)
    return [own for _, own in sorted(people.items())]


def sure_spans(name: str, folder: Path | None = None) -> dict[str, list[tuple[float, float]]]:
    """(start, end) seconds of each clip whose words two hearings agree on, joined where they touch.

    Clips of true texts have none: all of them is sure.

    Raises:
        CorpusError: as `read_voices`.
    """
    home = (folder or data_folder()) / "voices" / CORPORA[name]
    try:
        entries = json.loads((home / "alignments.json").read_text("utf-8"))
        found = {}
        for entry in entries:
            if "sure" in entry:
                spans = [(s / 100, (s + d) / 100) for s, d in entry["sure"]]
                found[entry["id"]] = joined(spans)
        return found
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CorpusError(f"cannot read {home / 'alignments.json'}: {error}") from error


def joined(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans that follow each other at once as one; those that stay too short are left out."""
    out: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if out and start - out[-1][1] <= SURE_GAP_SECONDS:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return [(a, b) for a, b in out if b - a >= LEAST_SURE_SECONDS]


def training_people(
    without: Collection[str] = (),
    folder: Path | None = None,
    *,
    transcripts: Path | None = None,
    choosers: bool = False,
) -> dict[str, list[list[Utterance]]]:
    """By corpus, each person's utterances that mouths may be labelled on.

    without: corpora that this run leaves out whole.
    transcripts: folder of `posetalk train transcripts`, for texts that are doubtful.
    choosers: the people by whom one chooses, in place of those who are learned from.
    Of texts that stay doubtful only the stretches that two hearings agree on are used, each by
    itself.

    Raises:
        CorpusError: an unknown corpus in `without`, or one that cannot be read.
    """
    unknown = set(without) - CORPORA.keys()
    if unknown:
        raise CorpusError(f"no corpora {sorted(unknown)}; there are {', '.join(CORPORA)}")
    found = {}
    for name in sorted(CORPORA.keys() - JUDGES - set(without)):
        usable: list[Utterance] = []
        sure, told = sure_spans(name, folder), _told(name, transcripts)
        for utterance in read_voices(name, folder):
            spans = sure.get(utterance.id)
            if utterance.id in told:
                text, phones = told[utterance.id]
                usable.append(replace(utterance, text=text, phones=phones, trusted=True))
            elif spans is None:
                usable.append(utterance)
            else:
                usable += [part(utterance, *span) for span in spans]
        found[name] = [
            own[:MOST_OF_A_PERSON]
            for number, own in enumerate(by_person(usable))
            if (number % CHOOSERS == 0) is choosers
        ]
    return found


def _told(name: str, transcripts: Path | None) -> Transcripts:
    if transcripts is None:
        return {}
    if not any(transcripts.glob("*.json")):
        raise CorpusError(f"no transcripts in {transcripts}: `posetalk train transcripts` first")
    path = transcripts / f"{name}.json"
    return read_transcripts(path) if path.exists() else {}


Transcripts = dict[str, tuple[str, tuple[Phone, ...]]]
"""Text and phones by the recording's id."""


def read_transcripts(path: Path) -> Transcripts:
    """What `posetalk train transcripts` wrote of one corpus.

    Raises:
        CorpusError: the file cannot be read.
    """
    try:
        return {
            entry["id"]: (
                str(entry["text"]),
                tuple(as_phones((p, s / 100, d / 100) for p, s, d in entry["phones"])),
            )
            for entry in json.loads(path.read_text("utf-8"))
        }
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CorpusError(f"cannot read {path}: {error}") from error


def part(utterance: Utterance, start: float, end: float) -> Utterance:
    """What is said between two seconds of an utterance."""
    phones = tuple(
        Phone(p.name, max(p.start, start) - start, min(p.end, end) - max(p.start, start))
        for p in utterance.phones
        if min(p.end, end) - max(p.start, start) > 0.005
    )
    return replace(
        utterance,
        id=f"{utterance.id}@{start:.2f}",
        duration=end - start,
        phones=phones,
        span=(start, end),
    )


def refuse_judges(utterances: Sequence[Utterance]) -> None:
    """Stop before anything is learned from a corpus that judges.

    Raises:
        JudgeError: one of the utterances is of such a corpus.
    """
    for utterance in utterances:
        if utterance.speaker_set.partition("/")[0] in JUDGES:
            raise JudgeError(f"{utterance.id} is of a corpus that judges: leave it out of training")
