"""Clips that are watched blindly: real lips on the head, letters at random, answers counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from head.channels import ARTICULATION, JAW
from posetalk.app.film.watched import watch
from posetalk.terminal.console import UsageError
from training.faces.mouths.grid import MouthClip
from training.labels.coarticulation import EYES_MM, MOUTH_MM
from training.labels.phones import as_phones, tidy
from training.labels.prosody import extract_prosody
from training.reports import watched_clips
from training.reports.mouth_report import lips_of
from training.reports.watched_clips import (
    ANSWERS,
    REAL,
    WatchedClip,
    WatchError,
    envelope,
    key_of,
    lags,
    letters,
    real_lips,
    verdict,
    wilson,
    write_sheet,
)

N = 60


def spoken() -> MouthClip:
    """A made-up mouth that opens and narrows, some frames of which no tracker saw."""
    samples = (0.1 * np.random.default_rng(0).standard_normal(N * 640)).astype(np.float32)
    prosody = extract_prosody(samples)
    phones = tidy(
        list(as_phones([("SIL", 0.0, 0.4), ("AA", 0.4, 1.6), ("SIL", 2.0, 0.4)])), prosody
    )
    wave = np.clip(np.sin(np.arange(N) / 5.0), 0.0, 1.0)
    curves = np.zeros((N, 5), np.float32)
    curves[:, 0], curves[:, 1], curves[:, 2] = 0.05 * wave, 0.12 * wave, -0.04 * wave
    known = np.ones(N, bool)
    known[20:23] = False
    curves[20:23] = np.nan
    return MouthClip("k", "s4", samples, tuple(phones), (), curves, known, prosody)


def test_real_lips_move_the_head_as_far_as_they_moved() -> None:
    clip = spoken()
    rest = np.random.default_rng(1).uniform(0.0, 0.3, (N, 54))
    motion = real_lips(clip, rest)
    assert np.isfinite(motion).all()
    others = [i for i in range(54) if i not in ARTICULATION and i != JAW]
    np.testing.assert_array_equal(motion[:, others], rest[:, others])
    lips = lips_of(motion)
    seen = clip.known
    assert np.corrcoef(lips[seen, 0], clip.curves[seen, 1])[0, 1] > 0.95
    assert np.corrcoef(lips[seen, 1], clip.curves[seen, 2])[0, 1] > 0.7
    widest = clip.curves[seen, 1].argmax()
    assert lips[seen, 0][widest] * EYES_MM == pytest.approx(0.12 * EYES_MM, rel=0.35)
    assert MOUTH_MM > 0


def clips(count: int) -> list[WatchedClip]:
    motion = {"starter": np.zeros((4, 54)), "other": np.zeros((4, 54)), REAL: np.zeros((4, 54))}
    return [WatchedClip(f"{k:02d}", np.zeros(4 * 640), motion) for k in range(1, count + 1)]


def test_letters_are_drawn_anew_for_each_clip() -> None:
    key = letters(clips(20), seed=0)
    assert {tuple(sorted(each)) for each in key.values()} == {("A", "B", "C")}
    assert {frozenset(each.values()) for each in key.values()} == {
        frozenset({"starter", "other", REAL})
    }
    assert len({tuple(each.values()) for each in key.values()}) > 3
    assert key == letters(clips(20), seed=0) != letters(clips(20), seed=1)


def test_answers_are_counted_with_intervals(tmp_path: Path) -> None:
    folder = tmp_path / "watch"
    folder.mkdir()
    key = letters(clips(20), seed=0)
    write_sheet(folder, key)
    assert key_of(folder).parent == tmp_path, "it can be kept from those who watch"
    assert verdict(folder) is None
    with pytest.raises(UsageError, match="no answers yet"):
        watch(folder, ["starter"])
    rows = ["clip,most natural"]
    for number, (clip, own) in enumerate(key.items()):
        wanted = "starter" if number < 15 else REAL
        rows.append(
            f"{clip},{next(letter for letter, who in own.items() if who == wanted).lower()}"
        )
    (folder / ANSWERS).write_text("\n".join(rows) + "\n", "utf-8")
    told = verdict(folder)
    assert told is not None and "| starter | 15 of 20 | 75 | 53 to 89 |" in told
    assert f"| {REAL} | 5 of 20 | 25 |" in told and "| other | 0 of 20 |" in told
    assert watch(folder, ["starter"]) == 0
    (folder / ANSWERS).write_text("clip,most natural\n01,X\n", "utf-8")
    with pytest.raises(WatchError, match="do not go together"):
        verdict(folder)


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", "utf-8")
    with pytest.raises(UsageError, match="not empty"):
        watch(tmp_path, ["starter"])


def test_the_lag_is_found() -> None:
    loud = np.abs(np.random.default_rng(0).standard_normal(200))
    at, found = lags(np.roll(loud, 3), loud)
    assert at[found.argmax()] == 3
    assert envelope(np.ones(640 * 5), 5).tolist() == [1.0] * 5
    assert wilson(14, 20)[0] == pytest.approx(0.481, abs=0.001)
    assert wilson(0, 20)[0] == 0.0 and wilson(20, 20)[1] == 1.0, "a share is one at its ends, too"


def test_films_and_strips_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gl = pytest.importorskip("viewer.render.gl")
    try:
        gl.choose_platform(window=False)
    except gl.GLError as error:
        pytest.skip(f"not run: {error}")
    monkeypatch.setattr(watched_clips, "watched_clips", lambda bundles: clips(1))
    folder = tmp_path / "watch"
    assert watch(folder, ["starter"]) == 0
    made = sorted(path.name for path in folder.iterdir())
    assert made == sorted([ANSWERS, *(f"01_{x}.{e}" for x in "ABC" for e in ("mp4", "png"))])
