"""Whether styles from films are their people's: told apart, and carried over to other speech.

    python -m posetalk.tracking.style_check PERSON=FILM[,FILM] PERSON=FILM ... [--speech FILE]
    python -m posetalk.tracking.style_check --drawn [--keep DIR]

Of each film the first half makes the encoder's view of its person. Windows of the second half are
then given to whose view they are nearest: chance is one in the number of people, and twice that
was asked for before anything was measured. And the bundle speaks one speech, which no style was
made with, in every person's style (`outputs.film_style`): who opens the mouth wider, more often,
and moves the head more in the film does so again. Asked for beforehand: of each habit the two
people who differ most in it differ in speech the same way, by `CARRIED` of it or more (logarithms).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffposetalk.bundle.bundle import load_bundle
from head.rig import builtin_head
from posetalk import demo_speech
from posetalk.app.animate import read_blocks
from posetalk.app.style_extraction import cosine, encode
from posetalk.tracking.channel_map import channel_map, fit_map, pair_of
from posetalk.tracking.closed_loop import run
from posetalk.tracking.landmarks.model_file import find_model
from posetalk.tracking.landmarks.tracker import LandmarkTracker
from posetalk.tracking.outputs.film_style import habits_of, speaker
from posetalk.tracking.outputs.likeness import liken, tabulate
from posetalk.tracking.problem import TrackingError
from posetalk.tracking.report import Habits
from posetalk.tracking.scenes import SCENES, SPEECH_ONLY
from posetalk.tracking.sources.film import Film
from posetalk.tracking.sources.sound import SAMPLE_RATE
from posetalk.tracking.style import meant, style_windows
from posetalk.tracking.track import Tracked, track

Floats = NDArray[np.float32]

FACTOR: Final = 2.0
"""Over chance: what was asked for beforehand."""
CARRIED: Final = 0.5
"""Of the difference between two people, what must be found again in their styles' speech."""
HABITS: Final = ("opening", "tempo", "head")
SEEDS: Final = (10, 11)
"""Of the speech that is judged: the head's sway is chance."""


@dataclass(frozen=True)
class Halves:
    """A person's films, cut in two: what makes the style, and what tests it."""

    known: Floats
    held_out: Floats
    habits: Habits


def halves(films: Sequence[Tracked], channels: Callable[[Floats], Floats]) -> Halves:
    """Windows (n, 100, 54) of the first and the second half of a person's films, put through
    `channels`, and the person's habits as tracked.

    Where a half is shorter than 4 s, all of the films makes the style, and nothing is held out.

    Raises:
        TrackingError: all of them are shorter than 4 s.
    """
    read = [meant(film, channels) for film in films]
    first = [_part(film, 0, len(film) // 2) for film in read]
    second = [_part(film, len(film) // 2, len(film)) for film in read]
    try:
        known, held_out = style_windows(first), style_windows(second)
    except TrackingError:
        known, held_out = style_windows(read), np.zeros((0, 100, 54), np.float32)
    return Halves(known, held_out, habits_of(films))


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
        out[scene.clip.removeprefix("motion_")] = halves([found], others)
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


def spoken_habits(
    people: Mapping[str, Halves], bundle: str, words: Floats, speech: Floats
) -> dict[str, Habits]:
    """How the bundle moves when it speaks `speech` in each person's style, made with `words`.

    Mean of several seeds.
    """
    speaks = speaker(bundle, words)
    judged = [speaker(bundle, speech, seed) for seed in SEEDS]
    table = tabulate(load_bundle(bundle).styles, speaks)
    out = {}
    for name, each in people.items():
        seen = encode(each.known, bundle, frames=0).vector
        style, _ = liken(each.habits, seen, table, speaks)
        out[name] = mean_habits([judge(style) for judge in judged])
    return out


def mean_habits(all_of: Sequence[Habits]) -> Habits:
    """The mean of each habit."""
    rows = [asdict(habits) for habits in all_of]
    heads = np.mean([row.pop("head_degrees") for row in rows], axis=0)
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return Habits(**means, head_degrees=(float(heads[0]), float(heads[1]), float(heads[2])))


def carried(people: Mapping[str, Habits], spoken: Mapping[str, Habits]) -> dict[str, float]:
    """By habit: of the difference between the two people who differ most in it, as a logarithm,
    the part that speech in their styles has again; negative where it is the other way round."""
    there = np.log([_figures(habits) for habits in people.values()])
    came = np.log([_figures(spoken[name]) for name in people])
    out = {}
    for k, habit in enumerate(HABITS):
        most, least = there[:, k].argmax(), there[:, k].argmin()
        apart = there[most, k] - there[least, k]
        out[habit] = float((came[most, k] - came[least, k]) / apart) if apart else float("nan")
    return out


def page(people: Mapping[str, Halves], spoken: Mapping[str, Habits]) -> str:
    """Films and speech side by side, and how well they agree, as a table in Markdown."""
    lines = ["| person | lips, mm | openings a second | head, degrees |", "|---|---|---|---|"]
    rows: list[tuple[list[float], list[float]]] = []
    for name, each in people.items():
        a, b = _figures(each.habits), _figures(spoken[name])
        rows.append((a, b))
        cells = [f"{x:.1f} → {y:.1f}" for x, y in zip(a, b, strict=True)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    there, came = (np.array([row[k] for row in rows]) for k in (0, 1))
    if len(rows) > 2:
        agree = [f"r = {np.corrcoef(there[:, k], came[:, k])[0, 1]:.2f}" for k in range(3)]
        lines.append("| *all, film → speech* | " + " | ".join(agree) + " |")
    kept = carried({name: each.habits for name, each in people.items()}, spoken)
    cells = [f"{100 * kept[habit]:.0f} %" for habit in HABITS]
    lines.append("| *carried over between the two furthest apart* | " + " | ".join(cells) + " |")
    cells = [f"{100 * CARRIED:.0f} %"] * len(HABITS)
    lines.append("| *asked* | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _figures(found: Habits) -> list[float]:
    return [found.opening_mm, found.tempo, float(np.linalg.norm(found.head_degrees))]


def main() -> None:
    """Run both checks and print them."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("people", nargs="*", metavar="PERSON=FILM[,FILM]")
    parser.add_argument("--drawn", action="store_true", help="four drawn people, not films")
    parser.add_argument("--keep", type=Path, default=None, help="folder for landmarks of --drawn")
    parser.add_argument("--bundle", default="starter")
    parser.add_argument(
        "--speech",
        type=Path,
        default=demo_speech(),
        help="one half makes the styles, the other is spoken in them",
    )
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
                films.append(track(Film(path), sees))
        people[name] = halves(films, channel_map())
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
    speech = np.concatenate(list(read_blocks(options.speech, SAMPLE_RATE)))
    words, judged = np.array_split(speech, 2)
    print(page(people, spoken_habits(people, options.bundle, words, judged)))


if __name__ == "__main__":
    main()
