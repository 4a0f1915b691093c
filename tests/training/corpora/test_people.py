"""Corpora of many people: whole ones are held out, and nobody fills one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.corpora.people import (
    CORPORA,
    JUDGES,
    MOST_OF_A_PERSON,
    JudgeError,
    joined,
    part,
    read_voices,
    refuse_judges,
    sure_spans,
    training_people,
)
from training.corpora.utterances import CorpusError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, home in CORPORA.items():
        (tmp_path / "voices" / home).mkdir(parents=True)
        entries = [
            {
                "id": f"{name}_{person}_{i}",
                "speaker": person,
                "dur": 1.0,
                "text": "so",
                "phones": [["SIL", 0, 40], ["S", 40, 20], ["OW", 60, 20]],
            }
            for person, clips in (("abel", 1), ("anna", 2), ("bert", MOST_OF_A_PERSON + 5))
            for i in range(clips)
        ]
        if name == "librispeech":
            entries[1] |= {"sure": [[0, 60], [60, 30], [95, 10]], "text_is_hypothesis": True}
        (tmp_path / "voices" / home / "alignments.json").write_text(json.dumps(entries), "utf-8")
    return tmp_path


def test_judges_are_in_no_training_and_a_reverse_run_leaves_a_corpus_out_whole(
    folder: Path,
) -> None:
    everybody = training_people(folder=folder)
    assert everybody.keys() == CORPORA.keys() - JUDGES
    assert training_people(["vctk"], folder).keys() == everybody.keys() - {"vctk"}
    for people in everybody.values():
        assert sorted(len(own) for own in people) == [2, MOST_OF_A_PERSON]
        for own in people:
            assert len({u.speaker_set for u in own}) == 1
            refuse_judges(own)
    with pytest.raises(JudgeError, match="judges"):
        refuse_judges(read_voices("test_other", folder))
    with pytest.raises(CorpusError, match="no corpora"):
        training_people(["vtck"], folder)


def test_doubtful_texts_tell_where_they_are_sure(folder: Path) -> None:
    read = read_voices("librispeech", folder)
    assert not read[1].trusted and read[0].trusted
    assert read[1].phones[1].name == "S" and read[1].phones[1].start == pytest.approx(0.4)
    assert sure_spans("librispeech", folder) == {read[1].id: [(0.0, 0.9)]}
    assert joined([(0.0, 0.2), (0.5, 0.6)]) == []
    piece = part(read[1], 0.5, 0.75)
    assert piece.span == (0.5, 0.75) and piece.duration == pytest.approx(0.25)
    assert [(p.name, round(p.start, 3), round(p.length, 3)) for p in piece.phones] == [
        ("S", 0.0, 0.1),
        ("OW", 0.1, 0.15),
    ]
    spans = [u.span for own in training_people(folder=folder)["librispeech"] for u in own]
    assert (0.0, 0.9) in spans


def test_what_is_not_there_is_said_in_a_line(folder: Path) -> None:
    with pytest.raises(CorpusError, match="no corpus 'them'"):
        read_voices("them", folder)
    (folder / "voices" / CORPORA["vctk"] / "alignments.json").write_text("{", "utf-8")
    with pytest.raises(CorpusError, match="cannot read"):
        read_voices("vctk", folder)
