"""Films as people have them: turned, large, uneven, with sound that begins later, or no films."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tracking_support import write_film

from posetalk.tracking.problem import TrackingError
from posetalk.tracking.sources.film import LONGEST_SIDE, Film, _tone
from posetalk.tracking.sources.sound import sound_of, write_wave
from stream.frames import SAMPLE_RATE


def _halves(count: int = 6, size: tuple[int, int] = (96, 160)) -> list[np.ndarray]:
    """Pictures whose upper half is white."""
    picture = np.zeros((*size, 3), np.uint8)
    picture[: size[0] // 2] = 235
    return [picture] * count


def test_times_are_those_of_the_middles(tmp_path: Path) -> None:
    film = Film(write_film(tmp_path / "a.mp4", _halves(10)))
    shots = list(film)
    assert len(shots) == 10 and film.frames == 10 and film.size == (160, 96)
    assert [s.middle for s in shots] == pytest.approx((np.arange(10) + 0.5) / 25, abs=1e-3)


def test_uneven_pictures_keep_their_own_times(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.14, 0.2, 0.5]
    shots = list(Film(write_film(tmp_path / "a.mkv", _halves(5), times=times)))
    assert [s.begin for s in shots] == pytest.approx(times, abs=2e-3)
    assert [s.end for s in shots[:-1]] == pytest.approx(times[1:], abs=2e-3)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_film_stands_upright(tmp_path: Path, degrees: int) -> None:
    lying = [np.ascontiguousarray(np.rot90(p, -degrees // 90)) for p in _halves()]
    path = tmp_path / "a.mp4"
    try:
        write_film(path, lying, rotation=degrees)
    except AttributeError:
        pytest.skip("not run: this PyAV writes no rotation tags")
    for shot in Film(path):
        assert shot.picture.shape[:2] == (96, 160)
        assert shot.picture[:40].mean() > 200 and shot.picture[-40:].mean() < 40


def test_a_large_film_is_made_small(tmp_path: Path) -> None:
    film = Film(write_film(tmp_path / "a.mp4", _halves(2, (2160, 3840))))
    shot = next(iter(film))
    assert max(shot.picture.shape) == LONGEST_SIDE and shot.picture.shape == (720, 1280, 3)


def test_high_dynamic_range_becomes_an_ordinary_picture() -> None:
    for transfer, white in ((16, round(255 * 0.58)), (18, round(255 * 0.75))):
        curve = _tone(transfer).astype(int)
        assert (np.diff(curve) >= 0).all() and curve[0] == 0
        assert 170 <= curve[white] <= 245  # diffuse white is light, and not burnt out
        assert curve[white // 2] > 25


def test_a_part_of_a_film(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", _halves(50))
    shots = list(Film(path, start=0.8, seconds=0.4))
    assert len(shots) == 10 and shots[0].begin == pytest.approx(0, abs=2e-3)


def _program(path: Path, seconds: int = 3) -> Path:
    """What old cameras write: an MPEG program, which has no index. Noise, with a click at 2.2 s."""
    import av

    rng = np.random.default_rng(0)
    sound = rng.normal(0, 1000, seconds * 44100)
    sound[97020:97500] = 30000
    blocks = sound.clip(-32000, 32000).astype(np.int16).reshape(-1, 1, 1764)
    with av.open(str(path), "w", format="mpeg") as container:
        stream = container.add_stream("mpeg1video", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 160, 96, "yuv420p", 12
        audio = container.add_stream("mp2", rate=44100, layout="mono")
        for k, block in enumerate(blocks):
            picture = rng.integers(0, 255, (96, 160, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))
            heard = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = 44100, 1764 * k, Fraction(1, 44100)
            container.mux(audio.encode(heard))
        container.mux(stream.encode(None))
        container.mux(audio.encode(None))
    return path


@pytest.mark.parametrize("start", [0.0, 0.4, 1.0, 2.0])
def test_a_part_of_a_film_without_an_index(tmp_path: Path, start: float) -> None:
    film = Film(_program(tmp_path / "a.mpg"), start=start)
    shots = list(film)
    assert len(shots) == 75 - round(25 * start) and shots[0].begin == pytest.approx(0, abs=2e-3)
    heard = np.concatenate(list(sound_of(film)))
    click = int(np.flatnonzero(np.abs(heard) > 0.5)[0])
    assert click == pytest.approx((2.2 - start) * SAMPLE_RATE, abs=0.010 * SAMPLE_RATE)


def test_sound_stays_in_step_behind_damage(tmp_path: Path) -> None:
    path = _program(tmp_path / "a.mpg")
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 3
    whole[middle : middle + 40000] = bytes(40000)
    path.write_bytes(whole)
    heard = np.concatenate(list(sound_of(Film(path))))
    click = int(np.flatnonzero(np.abs(heard) > 0.5)[0])
    assert click == pytest.approx(2.2 * SAMPLE_RATE, abs=0.025 * SAMPLE_RATE)


def test_a_part_behind_the_end_is_said(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", _halves(20))
    with pytest.raises(TrackingError, match="after 9 s"):
        list(Film(path, start=9))


@pytest.mark.parametrize("at", [0.0, 0.2])
def test_sound_is_in_step_with_the_pictures(tmp_path: Path, at: float) -> None:
    sound = np.zeros(SAMPLE_RATE, np.float32)
    sound[8000:8400] = np.sin(np.arange(400)) * 0.8
    path = write_film(tmp_path / "a.mkv", _halves(30), sound=sound, sound_at=at)
    film = Film(path)
    assert film.has_sound
    heard = np.concatenate(list(sound_of(film)))
    first = int(np.flatnonzero(np.abs(heard) > 0.3)[0])
    assert first == pytest.approx(8000 + at * SAMPLE_RATE, abs=0.010 * SAMPLE_RATE)
    later = np.concatenate(list(sound_of(Film(path, start=0.4, seconds=0.5))))
    assert len(later) == 8000
    there = int(np.flatnonzero(np.abs(later) > 0.3)[0])
    assert there == pytest.approx(first - 0.4 * SAMPLE_RATE, abs=0.010 * SAMPLE_RATE)
    assert write_wave(tmp_path / "a.wav", sound_of(film)) == len(heard)


def test_what_is_no_film_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no film at all, only words " * 50)
    (tmp_path / "empty.mp4").touch()
    whole = write_film(tmp_path / "whole.mp4", _halves(20)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    write_wave(tmp_path / "sound.wav", [np.zeros(16000, np.float32)])
    for name, words in (
        ("missing.mp4", "no such file"),
        (".", "folder"),
        ("empty.mp4", "empty"),
        ("text.mp4", "film"),
        ("cut.mp4", "film"),
        ("sound.wav", "only sound"),
    ):
        with pytest.raises(TrackingError, match=words) as caught:
            list(Film(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_a_film_without_sound_gives_none(tmp_path: Path) -> None:
    film = Film(write_film(tmp_path / "a.mp4", _halves(3)))
    assert not film.has_sound and list(sound_of(film)) == []
