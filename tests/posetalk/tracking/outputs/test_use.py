"""What is made of tracked films: files, pages, windows for a style, recordings to train on."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from tracking_support import write_film

from head.channels import INDEX
from posetalk.__main__ import main
from posetalk.app.settings.tracking import TrackingSettings
from posetalk.formats.motion_file import Motion
from posetalk.tracking import quality, report
from posetalk.tracking.outputs import film_recordings, film_style
from posetalk.tracking.outputs.film_recordings import films_without_motion, record_films
from posetalk.tracking.problem import TrackingError
from posetalk.tracking.report import habits, lines, runs
from posetalk.tracking.scenes import CLIPS
from posetalk.tracking.style import style_windows
from posetalk.tracking.track import Tracked
from posetalk.tracking.track_file import write_motion


def _tracked(clip: str = "motion_lively", count: int = 500) -> Tracked:
    motion = Motion.load(CLIPS / f"{clip}.npz")
    return Tracked(
        motion.exp[:count],
        motion.pose[:count],
        np.zeros(count, np.uint16),
        np.zeros(3, np.float32),
        motion.head,
        count,
        25.0,
        0,
    )


def test_the_file_is_a_motion_file(tmp_path: Path) -> None:
    tracked = replace(_tracked(), marks=np.arange(500, dtype=np.uint16) % 3)
    write_motion(tmp_path / "a.npz", tracked)
    motion = Motion.load(tmp_path / "a.npz")
    assert np.array_equal(motion.exp, tracked.exp) and motion.head == tracked.head
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["marks"], tracked.marks)


def test_the_page_tells_people_apart() -> None:
    lively, calm = _tracked("motion_lively"), _tracked("motion_calm")
    one, other = habits(lively.exp, lively.pose), habits(calm.exp, calm.pose)
    assert one.opening_mm > other.opening_mm and one.tempo > other.tempo
    assert one.head_degrees[1] > other.head_degrees[1]
    page = lines(replace(lively, marks=np.array([quality.CUT] + [0] * 499, np.uint16)), "a.mp4")
    assert len(page) == 7 and "a cut" in page[1]
    assert "0 %" in lines(replace(lively, marks=np.ones(500, np.uint16)), "a.mp4")[1]


def test_blinks_and_smiles_are_counted() -> None:
    exp, pose = np.zeros((250, 50), np.float32), np.zeros((250, 6), np.float32)
    exp[:, [INDEX["mouthSmileLeft"], INDEX["mouthSmileRight"]]] = 0.5
    for start in (20, 100, 200):
        exp[start : start + 4, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]] = 1
    found = habits(exp, pose)
    assert found.blinks == pytest.approx(18) and found.smile == pytest.approx(0.5)


def test_hours_are_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = _tracked()
    whole = habits(clip.exp, clip.pose)
    monkeypatch.setattr(report, "CHUNK", 70)
    found = habits(clip.exp, clip.pose)
    one, other = (np.hstack(list(asdict(each).values())) for each in (whole, found))
    assert other == pytest.approx(one, rel=1e-6)  # products of matrices round by how many rows


def test_windows_are_taken_where_nothing_is_marked() -> None:
    tracked = _tracked()
    marks = np.zeros(500, np.uint16)
    marks[150:300] = quality.COVERED
    windows = style_windows([replace(tracked, marks=marks)])
    assert windows.shape == (8, 100, 54)
    assert np.array_equal(windows[0][:, :50], tracked.exp[:100])


def test_short_pieces_are_joined_and_too_little_is_refused() -> None:
    tracked = _tracked()
    marks = np.zeros(500, np.uint16)
    marks[::60] = quality.CUT
    windows = style_windows([replace(tracked, marks=marks)])
    assert windows.shape[1:] == (100, 54) and np.isfinite(windows).all()
    marks[100:] = quality.NO_FACE
    with pytest.raises(TrackingError, match="4 s"):
        style_windows([replace(tracked, marks=marks)])


def test_runs() -> None:
    good = np.array([1, 1, 0, 1, 1, 1, 0, 0, 1], bool)
    assert [(r.start, r.stop) for r in runs(good, 2)] == [(0, 2), (3, 6)]
    assert not runs(np.zeros(4, bool), 1)


def test_films_become_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.faces.build import build

    grey = [np.full((32, 32, 3), 90, np.uint8)] * 500
    voice = (0.2 * np.sin(np.arange(20 * 16000) * 0.1)).astype(np.float32)
    source, kept = tmp_path / "films", tmp_path / "kept"
    for person in ("ada", "grace", "mute"):
        (source / person).mkdir(parents=True)
        write_film(source / person / "talk.mp4", grey, sound=None if person == "mute" else voice)
    marks = np.zeros(500, np.uint16)
    marks[240:260] = quality.COVERED
    clips = iter(["motion_lively", "motion_calm"])
    monkeypatch.setattr(
        film_recordings,
        "track_source",
        lambda film, settings, label, folder: replace(_tracked(next(clips)), marks=marks),
    )
    assert len(films_without_motion(source)) == 3
    left_out = record_films(source, kept, TrackingSettings(), lambda line: None)
    assert len(left_out) == 1 and "no sound" in left_out[0]
    names = sorted(str(path.relative_to(kept)) for path in kept.glob("*/*.npz"))
    assert names == [f"{who}/talk_00{k}.npz" for who in ("ada", "grace") for k in (0, 1)]
    again = record_films(source, kept, TrackingSettings(), lambda line: None)
    assert len(again) == 1  # what is there is not tracked again
    pytest.importorskip("lmdb", reason="not run: lmdb is not installed")
    built = build(kept, tmp_path / "set", val=0, test=0)
    assert len(built.videos["train"]) == 4 and not built.left_out


@pytest.fixture
def short_speech(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Styles are tried on 4 s of the demo speech: the same way in less time."""
    import soundfile

    from posetalk import demo_speech
    from posetalk.tracking.likeness.spoken import StyledSpeech

    pytest.importorskip("torch", reason="not run: torch is not installed")
    samples, rate = soundfile.read(demo_speech(), dtype="float32", frames=4 * 16000)
    soundfile.write(tmp_path / "short.wav", samples, rate)
    monkeypatch.setattr(
        film_style, "StyledSpeech", lambda bundle: StyledSpeech(bundle, [tmp_path / "short.wav"])
    )


@pytest.mark.usefixtures("short_speech")
def test_a_style_comes_from_several_films(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = iter(["motion_lively", "motion_lively", "motion_calm"])
    monkeypatch.setattr(
        film_style, "track_source", lambda source, settings, label: _tracked(next(clips))
    )
    made, page = film_style.extract_from([object(), object()], "starter", TrackingSettings())  # type: ignore[list-item]
    assert made.frames == 1000 and len(page) == 15 and page[-1].startswith("spoken so")
    calm, other = film_style.extract_from([object()], "starter", TrackingSettings())  # type: ignore[list-item]
    lips = [float(re.findall(r"lips up to ([0-9.]+) mm", each[-1])[0]) for each in (page, other)]
    assert lips[0] > 1.1 * lips[1], "who opens the mouth wide does so again"
    assert not np.array_equal(made.vector, calm.vector)


@pytest.mark.usefixtures("short_speech")
def test_tracked_motion_goes_the_way_of_its_film(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ada.npz"
    marks = np.zeros(300, np.uint16)
    marks[:50] = quality.CUT
    write_motion(path, replace(_tracked(count=300), marks=marks))
    out = ["-o", str(tmp_path / "style.npz"), "--force"]
    assert main(["style", "extract", str(path), "--consent", "Ada, 3 May", *out]) == 0
    page = capsys.readouterr().out
    assert "a cut" in page and "spoken so" in page
    with np.load(tmp_path / "style.npz", allow_pickle=False) as arrays:
        assert str(arrays["consent"]) == "Ada, 3 May"
    assert main(["style", "extract", "motion_lively", *out]) == 0
    assert "spoken so" not in capsys.readouterr().out, "other motion has the encoder's word"
    assert main(["style", "extract", str(path), "--start", "3", *out]) == 2
    assert "--start" in capsys.readouterr().err


def test_a_tracked_head_is_smoothed_once(tmp_path: Path) -> None:
    from training.faces.recordings import read_motion, smoothed

    tracked = _tracked(count=100)
    write_motion(tmp_path / "a.npz", tracked)
    Motion(tracked.exp, tracked.pose, np.zeros(100, np.float32), 25, tracked.head).save(
        tmp_path / "b.npz"
    )
    ours, others = (smoothed(read_motion(tmp_path / name)) for name in ("a.npz", "b.npz"))
    assert np.array_equal(ours.pose[:, :3], tracked.pose[:, :3])
    assert not np.array_equal(others.pose[:, :3], tracked.pose[:, :3])
    assert np.array_equal(ours.exp, others.exp)
