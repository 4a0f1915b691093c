"""Figures of films: the page is of the files, people are told apart, judges taught nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.tracking.judges import COUNT, JUDGES, REHEARSAL, Cast, films_of, text_of
from benchmarks.tracking.likeness import VOICES, correlations, nearest, told_as
from benchmarks.tracking.page import fill
from benchmarks.tracking.run import FILES, RESULTS, main, measured
from benchmarks.tracking.speed import KINDS, write
from posetalk.tracking import strangers
from posetalk.tracking.likeness.likeness import FIGURES
from posetalk.tracking.likeness.yardstick import FILMS, films_of_styles
from posetalk.tracking.scenes import SCENES, SPEECH_ONLY
from posetalk.tracking.sources.film import Film
from training.labels.label_styles import STYLES

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_has_the_figures_of_the_files() -> None:
    found = measured(ROOT / RESULTS)
    assert "loop" in found
    text = (ROOT / "docs" / "video.md").read_text("utf-8")
    assert fill(text, found) == text, "run `posetalk bench films page`"
    assert text.count("<!-- films: ") == len(FILES)


def test_judges_have_taught_nobody(tmp_path: Path) -> None:
    casts = (JUDGES, REHEARSAL)
    for cast in casts:
        _lies_there(cast, tmp_path, count=4)  # no flite needed
    yardstick = [scene for scenes in films_of_styles(tmp_path).values() for scene in scenes]
    taught = {scene.character for scene in (*SCENES, *SPEECH_ONLY, *yardstick)}
    taught |= set(range(strangers.FIRST_CHARACTER, strangers.FIRST_CHARACTER + strangers.COUNT))
    for cast in casts:
        films = films_of(cast, tmp_path, count=4)
        assert all(len({scene.character for scene in person}) == 1 for person in films)
        for k, person in enumerate(films):
            assert {text_of(k, j) for j in range(len(person))} == set(range(len(cast.texts)))
        people = range(cast.first_character, cast.first_character + COUNT)
        assert {person[0].character for person in films} <= set(people)
        assert taught.isdisjoint(people)
        taught |= set(people)
    said = [text for cast in casts for text in cast.texts] + list(strangers.TEXTS)
    assert len(set(said)) == len(said) and JUDGES.seed != REHEARSAL.seed and len(VOICES) > 1


def _lies_there(cast: Cast, folder: Path, count: int) -> None:
    """As if motion were there already."""
    for k in range(count):
        for text in range(len(cast.texts)):
            (folder / f"motion_of_{cast.name}s_{text}_{k}.npz").touch()
    for name in STYLES:
        for film in range(FILMS):
            (folder / f"motion_in_style_{name}_{film}.npz").touch()


def test_people_are_told_apart_by_their_standing() -> None:
    rng = np.random.default_rng(0)
    people = rng.normal(size=(8, len(FIGURES)))
    assert told_as(people, 0.3 * people + 5).tolist() == list(range(8))
    alike = correlations(people, 0.3 * people + 5)
    assert set(alike) == set(FIGURES) and min(alike.values()) == pytest.approx(1.0)


def test_likeness_is_told_from_luck() -> None:
    rng = np.random.default_rng(1)
    people = np.repeat(rng.normal(size=(9, len(FIGURES))), 3, axis=0)
    owner = np.repeat(np.arange(9), 3)
    films = people + 0.2 * rng.normal(size=people.shape)
    styled = np.tile([True, True, False], 9)
    alike = nearest(films, owner, 0.3 * people[styled] + 5, owner[styled])
    assert alike["share"] > 0.9 and alike["luck"] < 0.001 and alike["cases"] == 9 * 4
    assert alike["low"] <= alike["share"] <= alike["high"] and alike["chance"] == 1 / 9
    strange = nearest(films, owner, rng.normal(size=people.shape), owner)
    assert strange["share"] < 0.4 and strange["luck"] > 0.01


def test_films_are_written_as_cameras_write_them(tmp_path: Path) -> None:
    picture = np.full((36, 64, 3), 120, np.uint8)
    for kind in KINDS[:1] + KINDS[-1:]:
        try:
            write(tmp_path / "a.mp4", kind, [picture] * 10)
        except ValueError:
            pytest.skip("not run: this PyAV writes no HEVC")
        film = Film(tmp_path / "a.mp4")
        assert len(list(film)) == 10
        assert film.size[0] * kind.height == film.size[1] * kind.width


def test_an_unknown_part_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["lop"])
    assert caught.value.code == 2 and "loop" in capsys.readouterr().err
