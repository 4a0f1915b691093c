"""`posetalk bench films [PART ...]`: tracking and styles from films measured, docs/video.md filled.

    posetalk bench films loop         known motion drawn, tracked and compared; about ten minutes
    posetalk bench films speed        pictures a second of one core; a minute
    posetalk bench films likeness     styles from films and what the bundle does in them; minutes
    posetalk bench films page         the figures into docs/video.md; no measuring

All four without a PART. A new bundle needs `likeness page` alone: landmarks that lie in --keep from
an earlier run are taken from there. Needs the extra `video`, and flite for the words.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.environment import environment
from benchmarks.tracking.judges import JUDGES, REHEARSAL, Cast
from benchmarks.tracking.page import fill
from head.files.json_file import write_json
from head.new_file import new_file
from posetalk.terminal.console import say

PARTS: Final = ("loop", "speed", "likeness", "page")
RESULTS: Final = Path("docs/results")
PAGE: Final = Path("docs/video.md")
FILES: Final = {"loop": "tracking", "speed": "film_speed", "likeness": "likeness"}
"""Files of figures, by part."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is named, write the figures, fill the page; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="posetalk bench films",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--bundle", default="starter", help="that speaks in the styles")
    parser.add_argument("--model", type=Path, default=None, help="the landmark model")
    parser.add_argument("--keep", type=Path, default=None, help="folder for landmarks")
    parser.add_argument(
        "--people",
        nargs="+",
        default=[],
        metavar="NAME=FILM[,FILM]",
        help="films of people instead of drawn ones: a table is printed, nothing is written",
    )
    parser.add_argument(
        "--rehearse",
        action="store_true",
        help="drawn people by whom nothing is judged: a table is printed, nothing is written",
    )
    options = parser.parse_args(arguments)
    parts = options.parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no {', '.join(sorted(unknown))}: choose of {', '.join(PARTS)}")
    if options.people:
        print("\n".join(_of_films(options.people, options.model, options.bundle)))
        return 0
    if options.rehearse:
        found = _likeness(REHEARSAL, options.model, options.keep, options.bundle)
        print("\n".join(_table(found)))
        return 0
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "loop": lambda: _loop(options.model, options.keep),
        "speed": lambda: _speed(options.model),
        "likeness": lambda: _likeness(JUDGES, options.model, options.keep, options.bundle),
    }
    for part, measure in measures.items():
        if part in parts:
            head = environment(f"films, {part}")
            _write(RESULTS / f"{FILES[part]}.json", {**head, **measure()})
    if "page" in parts:
        text = fill(PAGE.read_text("utf-8"), measured(RESULTS))
        with new_file(PAGE) as path:
            path.write_text(text, "utf-8")
        say(f"{PAGE}: filled")
    return 0


def _loop(model: Path | None, keep: Path | None) -> dict[str, Any]:
    from head.rig import builtin_head
    from posetalk.tracking.closed_loop import run
    from posetalk.tracking.landmarks.model_file import find_model
    from posetalk.tracking.scenes import SCENES, SPEECH_ONLY

    out: dict[str, Any] = {}
    for title, scenes in (("acted", SCENES), ("speech only", SPEECH_ONLY)):
        out[title] = {}
        for scene in scenes:
            figures, _ = run(scene, find_model(model), builtin_head(), keep)
            out[title][scene.name] = {"scene": asdict(scene), "figures": figures}
            say(f"{scene.name}: done")
    return out


def _speed(model: Path | None) -> dict[str, Any]:
    from benchmarks.tracking.speed import KINDS, measure
    from posetalk.tracking.landmarks.model_file import find_model

    return {"films": measure(find_model(model), KINDS, say)}


def _likeness(cast: Cast, model: Path | None, keep: Path | None, bundle: str) -> dict[str, Any]:
    from benchmarks.tracking.likeness import drawn, measure
    from posetalk.tracking.landmarks.model_file import find_model

    return measure(drawn(cast, find_model(model), keep, say), bundle, say)


def _of_films(texts: Sequence[str], model: Path | None, bundle: str) -> list[str]:
    from benchmarks.tracking.likeness import Part, Person, measure
    from posetalk.app.settings.tracking import TrackingSettings
    from posetalk.tracking.likeness.words import sound_of_film
    from posetalk.tracking.outputs.film_style import open_films
    from posetalk.tracking.outputs.with_progress import track_source

    people, settings = [], TrackingSettings(model=model)
    for text in texts:
        name, _, paths = text.partition("=")
        films = open_films([Path(path) for path in paths.split(",")])
        sounds = [sound_of_film(film) for film in films]
        tracked = [track_source(film, settings, name) for film in films]
        parts = [Part(*each) for each in zip(tracked, sounds, strict=True)]
        people.append(Person(name, parts if len(parts) > 1 else parts[0].halves()))
    return _table(measure(people, bundle, say))


def _table(found: dict[str, Any]) -> list[str]:
    from benchmarks.tracking.likeness import table

    nearest = found["nearest"]
    return [*table(found), f"nearest: {nearest['share']:.2f}, by chance {nearest['chance']:.2f}"]


def _write(path: Path, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, found)
    say(f"{path}: written")


def measured(folder: Path) -> dict[str, dict[str, Any]]:
    """The figures in a folder by part, of those that were measured."""
    paths = {part: folder / f"{name}.json" for part, name in FILES.items()}
    return {p: json.loads(path.read_text("utf-8")) for p, path in paths.items() if path.is_file()}


if __name__ == "__main__":
    sys.exit(main())
