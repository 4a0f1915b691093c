"""Phone times of known words: as flite says that it spoke them, and none for other words."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from training.corpora.forced_alignment import align, spelled, words_of
from training.corpora.tts_voices import flite
from training.corpora.utterances import load_audio
from training.labels.phones import BILABIALS, SILENCE


def test_words_of_a_text_are_what_is_said() -> None:
    assert words_of("“Well,” said I; it’s the dogs' — 'tis so.") == (
        ["well", "said", "i", "it's", "the", "dogs", "tis", "so"]
    )
    assert words_of("... 12 !") == []


def test_a_word_that_no_dictionary_has_is_spelled_as_it_sounds() -> None:
    if shutil.which("flite") is None:
        pytest.skip("not run: no flite")
    assert spelled("bopham")[0] == "B" and "M" in spelled("bopham")
    assert SILENCE not in spelled("bopham")


@pytest.mark.extra("corpora")
def test_times_are_those_that_were_spoken(tmp_path: Path) -> None:
    if shutil.which("flite") is None:
        pytest.skip("not run: no flite")
    text = "Maybe people buy a big bopham map."
    spoken = flite(text, "slt", tmp_path / "said.wav")
    samples = load_audio(spoken)
    found = align(words_of(text), samples)
    assert found is not None
    lips = [phone.middle for phone in spoken.phones if phone.name in BILABIALS]
    heard = [phone.middle for phone in found if phone.name in BILABIALS]
    assert len(heard) == len(lips) >= 9
    assert heard == pytest.approx(lips, abs=0.05)
    cut = samples[: round((lips[-1] + 0.02) * 16_000)]  # ends within its last word
    found = align(words_of(text), cut)
    assert found is None or found[-1].end <= len(cut) / 16_000 + 1e-6
