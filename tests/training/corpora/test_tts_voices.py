"""Synthetic voices: words in any order, phones where the sound has them."""

from __future__ import annotations

import ctypes.util
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from training.corpora.tts_voices import closures, espeak, flite, sentences, timed
from training.corpora.utterances import CorpusError
from training.labels.phones import SILENCE, Phone

TEXTS = ["Maybe people buy a big apple pie.", "He put the map upon a table, happy."]


def test_two_fifths_of_what_is_said_are_words_of_all_texts_in_no_order() -> None:
    said = sentences(TEXTS, 10, np.random.default_rng(0))
    assert len(said) == 2 + 8, "there are but two texts"
    words = {word.strip(",.").lower() for text in TEXTS for word in text.split()}
    assert all(set(line.removesuffix(".").split()) <= words for line in said[2:])
    assert all(4 <= len(line.split()) <= 9 for line in said[2:])
    many = sentences([f"Text {i}." for i in range(100)], 50, np.random.default_rng(0))
    assert sum(line.startswith("Text ") for line in many) == 30


def test_two_sounds_share_the_time_of_one_and_ends_are_silence() -> None:
    phones = timed([("k", 0.0), ("A@", 0.1), ("_:", 0.3), ("END5", 0.4)], 0.5)
    assert [phone.name for phone in phones] == ["K", "AA", "R", SILENCE, SILENCE]
    assert phones[2].start == pytest.approx(0.2) and phones[2].end == pytest.approx(0.3)


def test_a_stop_begins_with_its_silence_but_leaves_the_sound_before_it() -> None:
    rate = 16_000
    sound = np.sin(np.arange(rate) * 0.3).astype(np.float32)
    sound[int(0.45 * rate) : int(0.5 * rate)] = 0.0
    told = [Phone("AA", 0.0, 0.5), Phone("P", 0.5, 0.04), Phone("IY", 0.54, 0.46)]
    before, stop, after = closures(told, sound, rate)
    assert stop.start == pytest.approx(0.45, abs=0.006) and before.end == stop.start
    assert stop.end == after.start == 0.54
    sound[: int(0.5 * rate)] = 0.0
    assert closures(told, sound, rate)[1].start == pytest.approx(0.43)


def spoken(engine: str, path: Path) -> tuple[list[float], list[float]]:
    """Decibels of vowels, and of P and B at their quietest, against the loudest 10 ms."""
    say = flite if engine == "flite" else espeak
    if engine == "flite" and shutil.which("flite") is None:
        pytest.skip("not run: no flite")
    if engine == "espeak" and ctypes.util.find_library("espeak-ng") is None:
        pytest.skip("not run: no espeak-ng")
    utterance = say(TEXTS[0], "slt" if engine == "flite" else "f2", path)
    samples, rate = soundfile.read(utterance.path, dtype="float32")
    assert rate == 16_000 and utterance.duration == pytest.approx(len(samples) / rate, abs=0.3)
    blocks = np.sqrt(np.mean(samples[: len(samples) // 160 * 160].reshape(-1, 160) ** 2, 1))
    decibels = 20 * np.log10(blocks / blocks.max() + 1e-6)

    def of(names: set[str], pick: float) -> list[float]:
        spans = [p for p in utterance.phones if p.name in names]
        return [
            float(np.quantile(decibels[int(p.start * 100) : int(p.end * 100) + 1], pick))
            for p in spans
        ]

    return of({"AY", "EY", "IY", "AE"}, 0.8), of({"P", "B"}, 0.0)


@pytest.mark.parametrize("engine", ["flite", "espeak"])
def test_phones_lie_where_the_sound_has_them(engine: str, tmp_path: Path) -> None:
    vowels, stops = spoken(engine, tmp_path / "said.wav")
    assert len(vowels) >= 5 and len(stops) >= 5
    assert np.median(vowels) > -12.0
    assert np.median(stops) < np.median(vowels) - 12.0


def test_a_machine_without_flite_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CorpusError, match="apt install flite"):
        flite("Hello.", "slt", tmp_path / "said.wav")
