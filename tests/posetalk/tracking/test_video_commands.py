"""`track`, and `style` and `dataset` with films: usage, refusals, and the whole way."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from tracking_support import write_film

from posetalk.__main__ import main


def _film(path: Path, sound: bool = True) -> Path:
    grey = [np.full((64, 64, 3), 90, np.uint8)] * 30
    voice = np.zeros(20000, np.float32) if sound else None
    return write_film(path, grey, sound=voice)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["track", "FILM", "-o", "m.txt"], 1, ".npz"),
        (["track", "FILM", "-o", "gone/m.npz"], 1, "no such folder"),
        (["track", "missing.mp4", "-o", "m.npz"], 1, "no such file"),
        (["track", "FILM", "-o", "m.npz", "--seconds", "0"], 2, "--seconds"),
        (["track", "FILM", "-o", "m.npz", "--start", "-1"], 2, "--start"),
        (["track", "FILM", "-o", "m.npz", "--face", "-1"], 2, "--face"),
        (["track", "FILM", "-o", "m.npz", "--compare", "both.txt"], 2, "--compare both.txt"),
        (["track", "FILM", "-o", "m.npz", "--model", "gone.task"], 1, "gone.task"),
        (["style", "extract", "-o", "ada"], 2, "camera"),
        (["style", "extract", "FILM", "--source", "camera", "-o", "ada"], 2, "no file"),
        (["style", "extract", "--source", "camera", "--seconds", "2", "-o", "ada"], 2, "above 4"),
        (["style", "extract", "FILM", "m.npz", "-o", "ada"], 2, "all be films"),
        (["style", "extract", "FILM", "--start", "3", "-o", "ada"], 2, "--start"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    arguments: list[str],
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    film = str(_film(tmp_path / "film.mp4"))
    assert main([film if word == "FILM" else word for word in arguments]) == code
    error = capsys.readouterr().err.strip()
    assert words in error and "\n" not in error
    assert not list(tmp_path.glob("m.*"))


@pytest.mark.extra("video")
def test_a_film_without_a_face(
    landmark_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = _film(tmp_path / "film.mp4")
    assert main(["track", str(film), "-o", str(tmp_path / "m.npz")]) == 1
    error = capsys.readouterr().err.strip()
    assert "no face" in error and str(film) in error and "\n" not in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4"]


def test_where_mediapipe_is_missing_the_extra_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if importlib.util.find_spec("mediapipe") is not None:
        pytest.skip("not run: MediaPipe is installed, so that nothing is missing")
    model = tmp_path / "given.task"
    import zipfile

    with zipfile.ZipFile(model, "w") as archive:
        archive.writestr("face_landmarks_detector.tflite", b"")
    film = _film(tmp_path / "film.mp4")
    arguments = ["track", str(film), "-o", str(tmp_path / "m.npz"), "--model", str(model)]
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert "MediaPipe" in said and ("posetalk[video]" in said or "setup video" in said)
