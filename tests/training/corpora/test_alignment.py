"""Which recordings are fit to learn from, and to judge by."""

from __future__ import annotations

from pathlib import Path

from voice_like import recording

from training.corpora.alignment import well_aligned
from training.corpora.utterances import Utterance
from training.labels.phones import Phone


def test_words_that_the_alignment_missed_disqualify_a_recording(tmp_path: Path) -> None:
    phones = (Phone("AA", 0.5, 0.5),)  # all the rest is a pause
    for spoken, fit in (
        ([(0.5, 1.0)], True),
        ([(0.5, 1.0), (2.0, 2.1)], True),  # a click
        ([(0.5, 1.0), (1.6, 2.2)], False),
    ):
        utterance = Utterance("said", "a set", recording(tmp_path, spoken), 3.0, phones)
        assert well_aligned(utterance) is fit, spoken
