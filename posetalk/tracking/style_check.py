"""Whether styles from films are their people's: told apart, and carried over to other speech.

    python -m posetalk.tracking.style_check PERSON=FILM[,FILM] PERSON=FILM ... [--speech FILE]
    python -m posetalk.tracking.style_check --drawn [--keep DIR]

Of each film the first half makes the style. Windows of the second half are then given to whose
style they are nearest: chance is one in the number of people, and twice that was asked for before
anything was measured. And the bundle speaks one speech in every style: who opens the mouth wider,
more often, and turns the head more in the film should do so again.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffposetalk.bundle.styles import write_style
from head.rig import builtin_head
from posetalk import demo_speech
from posetalk.app.animate import animate
from posetalk.app.style_extraction import cosine, encode
from posetalk.tracking.channel_map import channel_map, fit_map, pair_of
from posetalk.tracking.closed_loop import run
from posetalk.tracking.landmarks.model_file import find_model
from posetalk.tracking.landmarks.tracker import LandmarkTracker
from posetalk.tracking.problem import TrackingError
from posetalk.tracking.quality import believed
from posetalk.tracking.report import Habits, habits
from posetalk.tracking.scenes import SCENES, SPEECH_ONLY
from posetalk.tracking.sources.film import Film
from posetalk.tracking.style import meant, style_windows
from posetalk.tracking.track import Tracked, track

Floats = NDArray[np.float32]

FACTOR: Final = 2.0
"""Over chance: what was asked for beforehand."""


@dataclass(frozen=True)
class Halves:
    """A person's films, cut in two: what makes the style, and what tests it."""

    known: Floats
    held_out: Floats
    habits: Habits


def halves(films: Sequence[Tracked]) -> Halves:
    """Windows (n, 100, 54) of the first and the second half of a person's films.

    Where a half is shorter than 4 s, all of the films makes the style, and nothing is held out.

    Raises:
        TrackingError: all of them are shorter than 4 s.
    """
    cut = [len(film) // 2 for film in films]
    first = [_part(film, 0, at) for film, at in zip(films, cut, strict=True)]
    second = [_part(film, at, len(film)) for film, at in zip(films, cut, strict=True)]
    try:
        known, held_out = style_windows(first), style_windows(second)
    except TrackingError:
        known, held_out = style_windows(films), np.zeros((0, 100, 54), np.float32)
    good = np.concatenate([believed(film.marks) for film in films])
    exp, pose = (np.concatenate([getattr(f, n) for f in films]) for n in ("exp", "pose"))
    return Halves(known, held_out, habits(exp, pose, good))


def drawn_people(model: Path, keep: Path | None) -> dict[str, Halves]:
    """The speech-only scenes of the closed loop, one person each, by the name of their style.

    Each is read by a map of the channels that was made without any scene of that style.
    """
    head = builtin_head()
    pairs = [pair_of(scene, model, keep) for scene in (*SCENES, *SPEECH_ONLY)]
    out = {}
    for scene in SPEECH_ONLY:
        _, found = run(scene, model, head, keep)
        others = fit_map([pair for pair in pairs if pair.clip != scene.clip])
        people = halves([meant(found, others)])
        out[scene.clip.removeprefix("motion_")] = replace(
            people, habits=habits(found.exp, found.pose, believed(found.marks))
        )
    return out


def _part(film: Tracked, first: int, last: int) -> Tracked:
    part = slice(first, last)
    return replace(film, exp=film.exp[part], pose=film.pose[part], marks=film.marks[part])


def nearest_style(people: Mapping[str, Halves], bundle: str) -> tuple[float, float]:
    """Share of the held-out windows that are nearest to their own person's style, and chance."""
    styles = {name: encode(each.known, bundle, frames=0).vector for name, each in people.items()}
    right = total = 0
    for name, each in people.items():
        for window in each.held_out:
            vector = encode(window[None], bundle, frames=0).vector
            scores = {other: cosine(vector, style) for other, style in styles.items()}
            right += max(scores, key=lambda other: scores[other]) == name
            total += 1
    return right / max(total, 1), 1 / len(people)


def spoken_habits(people: Mapping[str, Halves], bundle: str, speech: Path) -> dict[str, Habits]:
    """How the bundle moves when it speaks `speech` in each person's style."""
    out = {}
    for name, each in people.items():
        style = encode(each.known, bundle, frames=0)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "style.npz"
            write_style(path, style.vector, encoder=style.encoder)
            motion = animate(speech, bundle=bundle, style=str(path))
        out[name] = habits(motion.exp, motion.pose)
    return out


def page(people: Mapping[str, Halves], spoken: Mapping[str, Habits]) -> str:
    """Films and speech side by side, and how well they agree, as a table in Markdown."""
    lines = ["| person | lips, mm | openings a second | head turns |", "|---|---|---|---|"]
    rows: list[tuple[list[float], list[float]]] = []
    for name, each in people.items():
        a, b = _figures(each.habits), _figures(spoken[name])
        rows.append((a, b))
        cells = [f"{x:.1f} → {y:.1f}" for x, y in zip(a, b, strict=True)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    there, came = (np.array([row[k] for row in rows]) for k in (0, 1))
    if len(rows) > 2:
        agree = [f"r = {np.corrcoef(there[:, k], came[:, k])[0, 1]:.2f}" for k in range(3)]
        lines.append("| *film → speech* | " + " | ".join(agree) + " |")
    return "\n".join(lines)


def _figures(found: Habits) -> list[float]:
    return [found.opening_mm, found.tempo, found.head_degrees[1]]


def main() -> None:
    """Run both checks and print them."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("people", nargs="*", metavar="PERSON=FILM[,FILM]")
    parser.add_argument("--drawn", action="store_true", help="four drawn people, not films")
    parser.add_argument("--keep", type=Path, default=None, help="folder for landmarks of --drawn")
    parser.add_argument("--bundle", default="starter")
    parser.add_argument("--speech", type=Path, default=demo_speech())
    parser.add_argument("--model", type=Path, default=None)
    options = parser.parse_args()
    model = find_model(options.model)
    people: dict[str, Halves] = {}
    if options.drawn:
        people |= drawn_people(model, options.keep)
    for text in options.people:
        name, _, paths = text.partition("=")
        films = []
        for path in paths.split(","):
            with LandmarkTracker(model) as sees:
                films.append(meant(track(Film(path), sees), channel_map()))
        people[name] = halves(films)
    if len(people) < 2:
        raise TrackingError("two people are the least: PERSON=FILM PERSON=FILM, or --drawn")
    if any(len(each.held_out) == 0 for each in people.values()):
        print("nearest style: not run, the films are too short to hold half of them out\n")
    else:
        share, chance = nearest_style(people, options.bundle)
        print(
            f"nearest style: {100 * share:.0f} % of the held-out windows, chance "
            f"{100 * chance:.0f} %: {share / chance:.1f} times (asked: {FACTOR:g})\n"
        )
    print(page(people, spoken_habits(people, options.bundle, options.speech)))


if __name__ == "__main__":
    main()
