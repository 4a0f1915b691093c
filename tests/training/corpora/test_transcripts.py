"""Recordings heard again: what is sure is kept, with its times; what is not is left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from voice_like import recording

from training.corpora import transcripts
from training.corpora.people import CHOOSERS, CORPORA, read_transcripts, training_people
from training.corpora.transcripts import plausible, transcript
from training.corpora.tts_voices import flite
from training.corpora.utterances import CorpusError, Utterance
from training.labels.phones import Phone

SAID = [Phone("SIL", 0.0, 0.5), Phone("M", 0.5, 0.2), Phone("AA", 0.7, 0.3)]


@pytest.fixture
def utterance(tmp_path: Path) -> Utterance:
    return Utterance("said", "a/b", recording(tmp_path, [(0.5, 1.0)]), 3.0, (), "mow", False)


def test_what_is_sure_is_kept(utterance: Utterance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcripts, "align", lambda words, samples: SAID)
    told = transcript(utterance, lambda samples: ("Ma!", -0.1))
    assert told == {
        "id": "said",
        "text": "ma",
        "phones": [["SIL", 0, 50], ["M", 50, 20], ["AA", 70, 30]],
    }


@pytest.mark.parametrize(
    ("heard", "aligned"),
    [
        (("Ma.", -0.9), SAID),  # guessed
        (("...", -0.1), SAID),  # no word
        (("Ma.", -0.1), None),  # not what is said
        (("Ma.", -0.1), [Phone("M", 0.3, 0.7)]),  # stretched over words that are missing
        (("Ma.", -0.1), [Phone("SIL", 0.0, 2.5), Phone("M", 2.5, 0.2)]),  # speech in a pause
    ],
)
def test_what_is_not_sure_is_left_out(
    heard: tuple[str, float],
    aligned: list[Phone] | None,
    utterance: Utterance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transcripts, "align", lambda words, samples: aligned)
    assert transcript(utterance, lambda samples: heard) is None


def test_a_long_pause_is_no_stretched_phone() -> None:
    assert plausible([Phone("SIL", 0.0, 3.0), Phone("M", 3.0, 0.2)])
    assert not plausible([Phone("M", 3.0, 0.7)])


def test_better_texts_take_the_place_of_doubtful_ones(tmp_path: Path) -> None:
    for name, home in CORPORA.items():
        (tmp_path / "voices" / home).mkdir(parents=True)
        entries = [
            {
                "id": f"{name}_{person}",
                "speaker": f"{person:02d}",
                "dur": 2.0,
                "text": "so",
                "phones": [["S", 0, 100], ["OW", 100, 100]],
                "sure": [[0, 100]],
                "text_is_hypothesis": True,
            }
            for person in range(2 * CHOOSERS)
        ]
        (tmp_path / "voices" / home / "alignments.json").write_text(json.dumps(entries), "utf-8")
    better = [{"id": "librispeech_1", "text": "ma", "phones": [["M", 0, 20], ["AA", 20, 180]]}]
    (tmp_path / "librispeech.json").write_text(json.dumps(better), "utf-8")
    assert read_transcripts(tmp_path / "librispeech.json")["librispeech_1"][0] == "ma"
    learners = training_people(folder=tmp_path, transcripts=tmp_path)
    texts = {own[0].id: (own[0].text, own[0].span) for own in learners["librispeech"]}
    assert texts.pop("librispeech_1") == ("ma", None)
    assert texts and set(texts.values()) == {("so", (0.0, 1.0))}
    choosers = training_people(folder=tmp_path, transcripts=tmp_path, choosers=True)
    for name, chosen in choosers.items():
        persons = [own[0].speaker_set for own in chosen]
        assert persons == [f"{name}/00", f"{name}/{CHOOSERS:02d}"]
        known = {own[0].speaker_set for own in learners[name]}
        assert len(known) == 2 * CHOOSERS - 2 and known.isdisjoint(persons)
    with pytest.raises(CorpusError, match=r"no transcripts in .*: `posetalk train transcripts`"):
        training_people(folder=tmp_path, transcripts=tmp_path / "nothing")


@pytest.mark.extra("corpora")
def test_no_model_is_looked_for_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no model\.bin in"):
        transcripts.hearing(tmp_path, 1)


@pytest.mark.extra("corpora")
def test_whisper_hears_words_and_no_numbers(tmp_path: Path) -> None:
    if shutil.which("flite") is None:
        pytest.skip("not run: no flite")
    said = flite("There were forty two people in the room.", "slt", tmp_path / "said.wav")
    samples, _ = soundfile.read(said.path, dtype="float32")
    text, sure = transcripts.hearing(None, 2)(samples)
    assert "forty" in text.lower() and "42" not in text
    assert -1.0 < sure < 0.0
    assert transcripts.hearing(None, 2)(np.zeros(16_000, np.float32))[1] < sure
