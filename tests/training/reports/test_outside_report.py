"""Outside figures come with intervals, levels are set, and a latched mouth is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from head.channels import INDEX
from stream.backends.registry import load_backend
from training.corpora.utterances import Utterance
from training.evaluation.heldout import HeldoutClip
from training.labels.phones import Phone
from training.reports import outside_report
from training.reports.outside_report import (
    CONDITIONS,
    OutsideReportSettings,
    interval,
    judged,
    latched,
    report,
)


@pytest.fixture
def utterances(tmp_path: Path) -> list[Utterance]:
    out = []
    for number in range(3):
        phones, at = [], 0.6
        for name in ("B", "AH", "M", "IY", "P", "AA", "T", "EY"):
            phones.append(Phone(name, at, 0.12))
            at += 0.12
        t = np.arange(round((at + 1.0) * 16_000)) / 16_000
        sound = 1e-4 * np.random.default_rng(number).standard_normal(len(t))
        for phone in phones:
            inside = (t >= phone.start) & (t < phone.end)
            sound[inside] += 0.1 * np.sign(np.sin(2 * np.pi * (120 + 20 * number) * t[inside]))
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, sound.astype(np.float32), 16_000)
        out.append(Utterance(str(number), "x/y", path, len(t) / 16_000, tuple(phones)))
    return out


def test_the_table_has_a_row_for_each_condition_and_level(
    utterances: list[Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside_report, "read_voices", lambda name: utterances)
    model = load_backend("fake")
    rows = report(model, OutsideReportSettings(clips=2)).splitlines()[2:]
    others = 3 * len(outside_report.BY_LOOKAHEAD)
    assert len(rows) == len(CONDITIONS) + len(outside_report.LEVELS_DB) + others
    told = [line.split("|")[2].strip() for line in rows[1:4]]
    assert told == ["clean, lookahead 5", "clean, lookahead 1", "clean, lookahead 0"]
    assert all("(" in line and " to " in line for line in rows)
    assert "speech at -49 dBFS" in rows[-1] and "test_other" in rows[0]


def test_a_clip_is_the_same_each_time_and_its_label_hears_no_disturbance(
    utterances: list[Utterance],
) -> None:
    clean, noisy, again = (
        judged(utterances[0], CONDITIONS[name])
        for name in ("clean", "pink noise at 10 dB", "pink noise at 10 dB")
    )
    assert np.array_equal(clean.label, noisy.label)
    assert np.array_equal(noisy.samples, again.samples)
    assert not np.array_equal(clean.samples, noisy.samples)


def test_intervals_hold_their_figure(utterances: list[Utterance]) -> None:
    parts, _ = outside_report.measured(
        load_backend("fake"), [judged(u, CONDITIONS["clean"]) for u in utterances]
    )
    middle, low, high = interval(parts, "vowels_closed")
    assert low <= middle <= high


def test_a_mouth_that_stays_shut_over_vowels_is_latched() -> None:
    phones = [Phone("AH", 0.2 + 0.3 * i, 0.1) for i in range(6)]
    clip = HeldoutClip(np.zeros(640 * 60, np.float32), np.zeros((60, 54), np.float32), phones)
    gap = np.full(60, 6.0)
    assert not latched(gap, clip)
    gap[[int(p.middle * 25) for p in phones]] = 0.0
    assert not latched(gap, clip), "closures between which it opens are none"
    gap[:45] = 0.2
    assert latched(gap, clip)


@pytest.mark.parametrize("pressed", [0.0, 0.8])
def test_lips_that_rest_on_each_other_for_a_whole_clip_are_counted(
    pressed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    phones = [Phone("AH", 0.2 + 0.3 * i, 0.1) for i in range(6)]
    still = np.zeros((60, 54), np.float32)
    still[:, [INDEX["mouthPressLeft"], INDEX["mouthPressRight"]]] = pressed
    clip = HeldoutClip(np.zeros(640 * 60, np.float32), still, phones)
    monkeypatch.setattr(outside_report, "stream_all", lambda *_: iter([still]))
    _, latches = outside_report.measured(load_backend("fake"), [clip])
    assert latches == 1
