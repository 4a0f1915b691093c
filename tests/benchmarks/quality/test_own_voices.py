"""The synthetic speech that quality is heard on, and the figures of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality import making_voices, own_voices
from head.channels import JAW
from head.rig import builtin_head
from training.corpora.strange_voices import spelled
from training.corpora.tts_voices import ESPEAK_VOICES, FLITE_VOICES
from training.corpora.utterances import load_audio
from training.evaluation.spoken_figures import FIGURES, rounded, spoken_figures
from training.labels.phones import SILENCE, Phone


def test_the_set_is_small_of_three_engines_and_of_voices_that_training_never_heard() -> None:
    voices = own_voices.voices()
    engines = {voice.split("_")[0] for voice in voices}
    heard = {f"espeak_{v}" for v in ESPEAK_VOICES} | {f"flite_{v}" for v in FLITE_VOICES}
    assert engines == {"festival", "espeak", "open"} and not set(voices) & heard
    assert sum(path.stat().st_size for path in own_voices.FOLDER.iterdir()) < 500_000
    assert set(making_voices.ESPEAK) <= {v.removeprefix("espeak_") for v in voices}


def test_the_sound_is_where_the_phones_say() -> None:
    for one in own_voices.utterances():
        samples = load_audio(one)
        assert abs(len(samples) / 16000 - one.duration) < 0.05
        level = [
            (
                p.name,
                float(np.sqrt(np.mean(samples[int(p.start * 16000) : int(p.end * 16000)] ** 2))),
            )
            for p in one.phones
            if p.length > 0.03
        ]
        silent = [value for name, value in level if name == SILENCE]
        vowels = [value for name, value in level if name[0] in "AEIOU"]
        assert max(silent, default=0.0) < 0.3 * np.median(vowels), one.id


def test_a_label_is_perfect_and_a_still_face_closes_nothing() -> None:
    head, clips = builtin_head(), own_voices.clips(3)
    label = np.stack([clip.label[None] for clip in clips])
    right = {name: value for name, (value, _) in spoken_figures(head, label, clips, 1).items()}
    assert right["closures"] == right["vowels_open"] == right["rounded"] == 100.0
    assert right["lve"] == 0.0 and right["jaw_r"] == right["head_range"] == 1.0
    still = np.zeros_like(label)
    still[..., JAW] = 0.2
    wrong = {name: value for name, (value, _) in spoken_figures(head, still, clips, 1).items()}
    assert wrong["closures"] == wrong["rounded"] == wrong["blinks"] == wrong["jaw_r"] == 0.0
    assert wrong["lve"] > 1.0 and list(wrong) == list(FIGURES)


def test_without_a_rounded_sound_there_is_no_share_of_them() -> None:
    (clip,) = own_voices.clips(1)
    other = replace(clip, phones=tuple(p._replace(name="AA") for p in clip.phones))
    assert np.isnan(rounded(builtin_head(), clip.label[None], [other]))


def test_open_jtalks_labels_are_phones_with_times() -> None:
    labels = [
        ("0", "2000000", "xx^xx-sil+my=a/A:xx"),
        ("2000000", "3000000", "xx^sil-my+A=s/A:0"),
        ("3000000", "3500000", "sil^my-A+s=xx/A:0"),
    ]
    phones = spelled(labels)
    assert [p.name for p in phones] == [SILENCE, "M", "Y", "AA"]
    assert phones[1] == Phone("M", pytest.approx(0.2), pytest.approx(0.05))
    assert phones[-1].end == pytest.approx(0.35)
