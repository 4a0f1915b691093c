"""Films as they come from phones, cameras and archives: handled, or refused in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tracking_support import HeadPoints, write_film

from benchmarks.tracking.speed import Kind, write
from head.rig import builtin_head
from posetalk.__main__ import main
from posetalk.tracking import quality
from posetalk.tracking.closed_loop import lag
from posetalk.tracking.scenes import SCENES, SPEECH_ONLY, draw, known_motion
from posetalk.tracking.sources.film import Film
from posetalk.tracking.track import FPS, track

SECONDS = 4.0


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """A drawn person who speaks, 4 s, 256 pixels square."""
    pytest.importorskip("pyrender", reason="not run: pyrender is not installed")
    scene = replace(SPEECH_ONLY[0], width=256, height=256, seconds=SECONDS)
    return list(draw(scene, builtin_head(), *known_motion(scene)))


def _tracked(path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, np.ndarray]:
    """What `posetalk track` makes of a film; it must say nothing but its page."""
    out = path.with_suffix(".npz")
    assert main(["track", str(path), "-o", str(out), *more]) == 0, capsys.readouterr().err
    capsys.readouterr()
    with np.load(out, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _moves(found: dict[str, np.ndarray]) -> bool:
    return bool(np.isfinite(found["exp"]).all() and found["pose"][:, 3].std() > 0.01)


@pytest.mark.extra("video")
def test_without_a_camera_one_line_says_so(
    landmark_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ada.npz"
    wrong = ["style", "extract", "--source", "camera", "--camera", "97", "-o", str(out)]
    assert main(wrong) == 1
    error = capfd.readouterr().err.strip()
    assert "no camera 97" in error and "\n" not in error and not out.exists()


@pytest.mark.extra("video")
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_phone_held_otherwise(
    landmark_model: Path,
    pictures: list[np.ndarray],
    degrees: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lying = [np.rot90(picture, -degrees // 90) for picture in pictures]
    found = _tracked(write_film(tmp_path / "a.mp4", lying, rotation=degrees), capsys)
    assert (found["marks"] == 0).mean() > 0.9 and _moves(found)


@pytest.mark.extra("video")
def test_pictures_at_uneven_times(
    landmark_model: Path,
    pictures: list[np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = np.sort(np.random.default_rng(0).choice(len(pictures), 88, replace=False))
    times = [float(k) / FPS for k in kept - kept[0]]
    some = [pictures[k] for k in kept]
    found = _tracked(write_film(tmp_path / "a.mkv", some, times=times), capsys)
    even = _tracked(write_film(tmp_path / "b.mkv", pictures[kept[0] :]), capsys)
    assert abs(len(found["exp"]) - (kept[-1] - kept[0] + 1)) <= 1
    count = min(len(found["exp"]), len(even["exp"]))
    jaws = found["pose"][:count, 3], even["pose"][:count, 3]
    assert np.corrcoef(*jaws)[0, 1] > 0.8
    assert abs(lag(*(jaw.astype(np.float64) for jaw in jaws))) < 0.5 / FPS


@pytest.mark.extra("video")
@pytest.mark.parametrize("hdr", [False, True], ids=["8 bits", "HDR"])
def test_four_thousand_pixels(
    landmark_model: Path,
    pictures: list[np.ndarray],
    hdr: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kind = Kind("4k", 3840, 2160)
    if hdr:
        kind = replace(kind, codec="libx265", pixels="yuv420p10le", hdr=True)
    wide = [np.pad(each, ((0, 0), (99, 100), (0, 0)), "edge") for each in pictures[:15]]
    write(tmp_path / "a.mp4", kind, wide)
    shot = next(iter(Film(tmp_path / "a.mp4")))
    assert shot.picture.dtype == np.uint8 and shot.picture.shape == (720, 1280, 3)
    found = _tracked(tmp_path / "a.mp4", capsys)
    assert len(found["exp"]) == 15 and (found["marks"] == 0).mean() > 0.9


def test_hdr_is_neither_dark_nor_pale(tmp_path: Path) -> None:
    grey = np.full((180, 320, 3), round(255 * 0.58), np.uint8)  # PQ's code for diffuse white
    kind = Kind("small", 320, 180, "libx265", "yuv420p10le", True)
    try:
        write(tmp_path / "a.mp4", kind, [grey] * 10)
    except ValueError:
        pytest.skip("not run: this PyAV writes no HEVC")
    assert 170 < next(iter(Film(tmp_path / "a.mp4"))).picture.mean() < 250


@pytest.mark.extra("video")
def test_two_faces(
    landmark_model: Path,
    pictures: list[np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    both = [np.concatenate([each, pictures[0]], axis=1) for each in pictures]
    path = write_film(tmp_path / "a.mp4", both)
    found = _tracked(path, capsys)
    assert ((found["marks"] & quality.SEVERAL) > 0).mean() > 0.8
    left, right = (_tracked(path, capsys, "--face", k) for k in ("1", "2"))
    assert (left["marks"] == 0).mean() > 0.9, "who names a face has said who is meant"
    assert left["pose"][:, 3].std() > 3 * right["pose"][:, 3].std()
    assert main(["track", str(path), "-o", str(tmp_path / "b.npz"), "--face", "3"]) == 1
    assert "--face 1 to 2" in capsys.readouterr().err


@pytest.mark.extra("video")
def test_cuts(
    landmark_model: Path,
    pictures: list[np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    away = [np.roll(np.clip(each.astype(int) - 70, 0, 255), 60, axis=1) for each in pictures]
    cut = [*pictures[:50], *(each.astype(np.uint8) for each in away[50:])]
    found = _tracked(write_film(tmp_path / "a.mp4", cut), capsys)
    marked = np.flatnonzero(found["marks"] & quality.CUT)
    assert len(marked) and set(marked) <= set(range(48, 53))


@pytest.mark.extra("video")
def test_a_film_without_sound_gives_motion_alone(
    landmark_model: Path,
    pictures: list[np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_film(tmp_path / "a.mp4", pictures)
    assert main(["track", str(path), "-o", str(tmp_path / "m.npz")]) == 0
    assert "no sound" in capsys.readouterr().err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.mp4", "m.npz"]


def test_ten_hours_are_read_in_their_own_time(tmp_path: Path) -> None:
    """A film that says it is ten hours long, with few pictures: it ends, and is marked."""
    hours = 10 * 3600.0
    grey = [np.full((64, 64, 3), 90, np.uint8)] * 60
    times = [*(np.arange(59) / FPS), hours]
    film = Film(write_film(tmp_path / "a.mkv", grey, times=times))
    assert film.seconds == pytest.approx(hours, abs=1)
    exp, pose = known_motion(replace(SCENES[0], seconds=3.0))
    sees = HeadPoints(exp, pose)
    found = track(film, lambda picture, seconds: sees(picture, min(seconds, 2.0)))
    assert len(found) == pytest.approx(hours * FPS, abs=2)
    assert np.isfinite(found.pose).all()
    nobody = (found.marks & quality.NO_FACE) > 0
    assert not nobody[:58].any(), "the pictures that there are"
    assert nobody[90:-30].all(), "hours without a picture are believed of nobody"


def test_a_style_looks_at_half_an_hour(tmp_path: Path) -> None:
    from posetalk.tracking.outputs.film_style import MOST_SECONDS, open_films

    grey = [np.full((64, 64, 3), 90, np.uint8)] * 40
    times = [*(np.arange(39) / FPS), 10 * 3600.0]
    [film] = open_films([write_film(tmp_path / "a.mkv", grey, times=times)])
    assert film.seconds == MOST_SECONDS
    assert sum(1 for _ in film) == 39
