"""The landmark model is found where the docs say, and never fetched unasked."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from posetalk.tracking.landmarks import model_file
from posetalk.tracking.landmarks.model_file import NAME, find_model
from posetalk.tracking.problem import TrackingError


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without the model: an empty cache, no package that carries it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(model_file, "PACKAGES", ())
    return tmp_path


def test_without_it_one_line_says_where_to_get_it(nowhere: Path) -> None:
    with pytest.raises(TrackingError, match="--fetch-model") as caught:
        find_model(ask=lambda question: False)
    line = str(caught.value)
    assert "\n" not in line and model_file.ADDRESS in line and "--model" in line


def test_nothing_is_fetched_unless_asked(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(model_file, "fetch_model", lambda: asked.append("fetched"))
    with pytest.raises(TrackingError):
        find_model()
    assert not asked
    find_model(ask=lambda question: bool(asked.append(question)) or True)
    assert "3.8 MB" in asked[0] and asked[1:] == ["fetched"]
    find_model(fetch=True)
    assert asked[2:] == ["fetched"]


def test_the_cache_and_packages_are_looked_through(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = nowhere / "somepackage" / "models"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(nowhere))
    monkeypatch.setattr(model_file, "PACKAGES", (("somepackage", "models"),))
    (package / NAME).write_bytes(b"the model")
    with pytest.raises(TrackingError):
        find_model()  # another file of that name is none
    monkeypatch.setattr(model_file, "SHA256", model_file.checksum(package / NAME))
    assert find_model() == package / NAME
    cached = model_file.cached_model()
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"the model")
    assert find_model() == cached


def test_another_file_from_the_network_is_not_kept(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = nowhere / "served"
    served.write_bytes(b"an advertisement")
    with pytest.raises(TrackingError, match="not the model"):
        model_file.fetch_model(served.as_uri())
    assert not model_file.cached_model().exists()
    with pytest.raises(TrackingError, match="cannot fetch"):
        model_file.fetch_model((nowhere / "gone").as_uri())
    monkeypatch.setattr(model_file, "SHA256", model_file.checksum(served))
    assert model_file.fetch_model(served.as_uri()).read_bytes() == b"an advertisement"


def test_a_given_file_must_be_a_landmark_model(nowhere: Path) -> None:
    for name, data in (("missing", None), ("text", b"words")):
        if data is not None:
            (nowhere / name).write_bytes(data)
        with pytest.raises(TrackingError, match=name):
            find_model(nowhere / name)
    given = nowhere / "given.task"
    with zipfile.ZipFile(given, "w") as archive:
        archive.writestr("face_landmarks_detector.tflite", b"")
    assert find_model(given) == given
