"""Films as they are asked for: size, frame rate, camera, background, each judged beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import posetalk
from posetalk.app.film.settings import FilmSettings, parse_size
from posetalk.app.outputs import open_outputs
from posetalk.terminal.console import UsageError
from stream.frames import Frame
from viewer.play.film import Film
from viewer.render.gl import GLError, choose_platform

try:
    choose_platform(window=False)
    NO_GL = ""
except GLError as error:
    NO_GL = str(error)
draws = pytest.mark.skipif(bool(NO_GL), reason=f"not run: {NO_GL}")

HEAD = "posetalk-head-1"
SOUND = np.random.default_rng(0).normal(0, 0.1, 16000 // 5 + 77).astype("f4")


def film(path: Path, **options: object) -> tuple[list[np.ndarray], np.ndarray, float]:
    """Pictures, sound and pictures a second of a film that was animated."""
    posetalk.animate(SOUND, path, backend="fake", **options)  # type: ignore[arg-type]
    pictures, sound = [], []
    with av.open(str(path)) as container:
        assert "synthetic" in container.metadata["title"]
        rate = float(container.streams.video[0].average_rate or 0)
        for frame in container.decode():
            if isinstance(frame, av.VideoFrame):
                pictures.append(frame.to_ndarray(format="rgba").astype(int))
            else:
                sound.append(frame.to_ndarray()[:1])
    return pictures, np.concatenate(sound, axis=1), rate


@draws
@pytest.mark.parametrize("fps", [24, 60])
def test_a_film_has_its_size_rate_and_length(fps: int, tmp_path: Path) -> None:
    pictures, sound, rate = film(tmp_path / "a.mp4", size="96x64", fps=fps, background="green")
    frames = len(SOUND) // 640
    assert rate == fps and len(pictures) == -(-frames * fps // 25)
    assert pictures[0].shape[:2] == (64, 96)
    assert abs(sound.shape[1] / 16000 - len(SOUND) / 16000) < 0.07  # an encoder's frame
    assert np.abs(pictures[0][2, 2, :3] - [0, 0xB1, 0x40]).max() < 12


@draws
def test_a_transparent_film_is_transparent(tmp_path: Path) -> None:
    pictures, _, _ = film(tmp_path / "a.mov", size=64, background="transparent", camera="bust")
    assert pictures[0][1, 1, 3] == 0 and pictures[0][40, 32, 3] > 250
    posetalk.animate(SOUND, tmp_path / "p.png", backend="fake", size=64, background="transparent")
    names = sorted(tmp_path.glob("p-*.png"))
    assert [name.name for name in names][:2] == ["p-00000.png", "p-00001.png"]
    before = [name.read_bytes() for name in names]
    with pytest.raises(FileExistsError, match="is there already"):
        posetalk.animate(SOUND, tmp_path / "p.png", backend="fake", size=64)
    assert [name.read_bytes() for name in names] == before
    with av.open(str(names[0])) as file:
        picture = next(file.decode(video=0)).to_ndarray(format="rgba")
    assert picture[1, 1].tolist()[3] == 0 and picture[40, 32, 3] == 255


def test_a_neutral_frame_goes_first(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    [output] = open_outputs([path], head_id=HEAD, film=Film(neutral=True))
    for k in range(3):
        output.write_audio(np.zeros(640, "f4"))
        output.show([Frame(k, 640 * k, np.full(54, 0.25, "f4"))])
    output.close()
    motion = posetalk.Motion.load(path)
    assert len(motion) == 4 and not motion.exp[0].any() and motion.exp[1].any()


@pytest.mark.parametrize("ending", ["glb", "usda", "bvh"])
def test_files_have_the_rate_that_is_asked_for(ending: str, tmp_path: Path) -> None:
    sizes = []
    for fps in (25, 50):
        path = tmp_path / f"{fps}.{ending}"
        posetalk.animate(SOUND, path, backend="fake", fps=fps)
        sizes.append(path.stat().st_size)
        if ending == "bvh":
            assert f"Frame Time: {1 / fps:.8f}" in path.read_text()
        if ending == "usda":
            assert f"framesPerSecond = {fps}\n" in path.read_text()
    assert sizes[1] > sizes[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(size="511x512"), "even numbers"),
        (dict(size="x"), "WIDTHxHEIGHT"),
        (dict(size="99999"), "16 to 8192"),
        (dict(size="8192"), "more than 35,651,584 pixels, which 8192x4352 has"),
        (dict(size="64", fps=29), "24, 25, 30, 50 or 60"),
        (dict(size="64", background="no.png"), "no such picture"),
        (dict(size="64", background="transparent"), "no transparency"),
    ],
)
def test_what_cannot_be_is_one_line(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        FilmSettings(**options).film([Path("a.mp4")])  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


def test_a_picture_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("not a picture")
    with pytest.raises(UsageError, match="not a picture"):
        FilmSettings("64", background=str(tmp_path / "notes.png")).film()


def test_sizes_are_one_side_or_two() -> None:
    assert parse_size("1280x720") == (1280, 720) and parse_size(512) == (512, 512)
    for size in ("8192x4352", "7680x4320"):
        assert FilmSettings(size=size).film([Path("a.webm")]).width == int(size[:4])
    assert FilmSettings(size="8192").film([Path("a.png")]).height == 8192


@pytest.mark.parametrize(
    ("settings", "shown", "words"),
    [
        (dict(fps=60), dict(window=True), "--fps goes with --record"),
        (dict(neutral=True), dict(page=True), "--neutral goes with --record"),
        (dict(background="transparent"), dict(window=True), "goes with --record NAME.webm"),
        (dict(size="640x360"), dict(page=True), "--size goes with a window or --record"),
        (dict(camera="bust"), dict(), "--camera goes with a window or --record, or --view web"),
    ],
)
def test_a_setting_without_effect_is_refused(
    settings: dict[str, Any], shown: dict[str, bool], words: str
) -> None:
    where = dict(window=False, page=False, record=False) | shown
    with pytest.raises(UsageError, match=words):
        FilmSettings(**settings).check_shown(**where)
    FilmSettings(**settings).check_shown(**where | dict(record=True))


def test_settings_go_on_as_options_and_in_an_address() -> None:
    settings = FilmSettings("96x64", 60, "bust", "green", neutral=True)
    assert settings.arguments() == (
        ["--size", "96x64", "--fps", "60", "--camera", "bust", "--background", "green", "--neutral"]
    )
    assert settings.query() == ["camera=bust", "background=%2300b140"]
    assert FilmSettings().arguments() == FilmSettings().query() == []
