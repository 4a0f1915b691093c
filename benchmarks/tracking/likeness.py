"""`posetalk bench films likeness`: whether styles from films are their people's.

Drawn people (`judges`) are filmed and tracked. Of each film a style is made as `posetalk style
extract` does, and the bundle says other words in it, of other voices. Two things were asked for
before anything was measured: over all people the opening, the tempo and the head of what is spoken
go with those of the people (r of `LEAST_R` or more each); and given a second half of a film, whose
style it is, of all that were made of first halves, is told by how the bundle moves in each, in
`FACTOR` times as many cases as by chance. Beside it stands where the likeness goes: what the
tracker sees of it, and what is left where the encoder's word alone is spoken, of the film and of
the true motion.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality import own_voices
from benchmarks.tracking.judges import judges
from diffposetalk.bundle.bundle import load_bundle
from head.rig import builtin_head
from head.skinning import parameters_to_motion
from posetalk.app.style_extraction import WINDOW, encode, windows
from posetalk.tracking.closed_loop import run
from posetalk.tracking.likeness.likeness import FIGURES, Reach, figures_of, liken, reach_of
from posetalk.tracking.likeness.spoken import Speaker
from posetalk.tracking.likeness.yardstick import goal_for, yardstick
from posetalk.tracking.outputs.film_style import habits_of
from posetalk.tracking.report import habits
from posetalk.tracking.scenes import known_motion
from posetalk.tracking.style import style_windows
from posetalk.tracking.track import Tracked

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

LEAST_R: Final = 0.5
FACTOR: Final = 2.0
"""Both were asked for beforehand."""
ASKED: Final = ("opening", "tempo", "head")
SHOWN: Final = ("opening", "lip speed", "tempo", "head")
FEWEST: Final = 3
"""People below whom a correlation says nothing."""
SEED: Final = 5
"""Of the noise where styles are judged: another than where they are made."""
VOICES: Final = ("01", "07", "10")
"""Utterances of the set that comes along: none of them is the demo speech."""


@dataclass(frozen=True)
class Person:
    """Somebody in a film: as tracked, and the true figures where they are known."""

    name: str
    films: Sequence[Tracked]
    truth: Doubles | None = None
    moved: Floats | None = None
    """(L, 54) the true motion."""


def drawn(model: Path, keep: Path | None, note: Callable[[str], None]) -> list[Person]:
    """The judges, drawn, filmed and tracked; landmarks in `keep` are taken from there."""
    out = []
    with tempfile.TemporaryDirectory() as folder:
        for scene in judges(keep or Path(folder)):
            _, found = run(scene, model, builtin_head(), keep)
            exp, pose = known_motion(scene)
            moved = parameters_to_motion(exp, pose[:, :3], pose[:, 3:])
            out.append(Person(scene.name, [found], figures_of(habits(exp, pose)), moved))
            note(scene.name)
    return out


class Studio:
    """A bundle in which styles are made of films and judged."""

    def __init__(self, bundle: str) -> None:
        self.bundle = bundle
        self.styles = load_bundle(bundle).styles
        self.makes = Speaker(bundle)
        texts = {one.id: one.path for one in own_voices.utterances()}
        self.judges = Speaker(bundle, [texts[name] for name in VOICES])
        self.reach: Reach = reach_of(self.styles, self.makes)

    def encoded(self, batch: Floats) -> Floats:
        """(d_style,) the encoder's word for windows (n, 100, 54)."""
        return encode(batch, self.bundle, frames=0).vector

    def made(self, films: Sequence[Tracked]) -> Floats:
        """(d_style,) the style of films, as `posetalk style extract` makes it."""
        goal = goal_for(figures_of(habits_of(films)), list(self.styles), self.reach, yardstick())
        return liken(goal, self.reach, self.makes).vector

    def spoken(self, styles: Sequence[Floats]) -> Doubles:
        """(n, F) the figures of other words in n styles."""
        return np.stack([figures_of(found) for found in self.judges(styles, SEED)])


def measure(people: Sequence[Person], bundle: str, note: Callable[[str], None]) -> dict[str, Any]:
    """All figures of some people, for the page."""
    studio = Studio(bundle)
    note("the bundle's own styles")
    seen = np.stack([figures_of(habits_of(person.films)) for person in people])
    truth = np.stack([s if p.truth is None else p.truth for p, s in zip(people, seen, strict=True)])
    vectors: dict[str, list[Floats]] = {"made": [], "encoder": [], "encoder, true motion": []}
    for person in people:
        vectors["made"].append(studio.made(person.films))
        vectors["encoder"].append(studio.encoded(style_windows(person.films)))
        if person.moved is not None:
            firsts = windows(len(person.moved), None)
            batch = np.stack([person.moved[first : first + WINDOW] for first in firsts])
            vectors["encoder, true motion"].append(studio.encoded(batch))
        note(f"{person.name}: a style")
    spoken = {how: studio.spoken(each) for how, each in vectors.items() if each}
    share = nearest(people, studio, note)
    named = studio.spoken(list(studio.styles.values()))
    return {
        "bundle_hash": load_bundle(bundle).hash,
        "people": [person.name for person in people],
        "figures": list(FIGURES),
        "truth": truth.round(4).tolist(),
        "spoken": {how: each.round(4).tolist() for how, each in spoken.items()},
        "r": {
            how: correlations(truth, each)
            for how, each in {"tracked": seen, **spoken}.items()
            if len(people) >= FEWEST
        },
        "reach": {
            name: [float(low), float(high)]
            for name, low, high in zip(FIGURES, named.min(0), named.max(0), strict=True)
        },
        "nearest": {"share": share, "chance": 1 / len(people)},
        "asked": {"r": LEAST_R, "factor": FACTOR},
    }


def correlations(truth: Doubles, came: Doubles) -> dict[str, float]:
    """Over people (n, F) beside (n, F): r by figure."""
    return {
        name: round(float(np.corrcoef(truth[:, k], came[:, k])[0, 1]), 4)
        for k, name in enumerate(FIGURES)
    }


def nearest(people: Sequence[Person], studio: Studio, note: Callable[[str], None]) -> float:
    """Share of second halves whose person's style, made of the first half, is spoken most alike.

    Each figure counts in its own spread over the people, on either side: what all films have more
    of than all speech tells nobody apart.
    """
    styles, held = [], []
    for person in people:
        styles.append(studio.made([_half(film, first=True) for film in person.films]))
        held.append(figures_of(habits_of([_half(film, first=False) for film in person.films])))
        note(f"{person.name}: a style of half the film")
    return told_apart(np.stack(held), studio.spoken(styles))


def told_apart(held: Doubles, spoken: Doubles) -> float:
    """Share of n rows (n, F) whose nearest row in `spoken` (n, F) is their own."""
    a, b = _standing(held), _standing(spoken)
    distances = np.linalg.norm(a[:, None] - b[None], axis=2)
    return float((distances.argmin(1) == np.arange(len(held))).mean())


def _standing(rows: Doubles) -> Doubles:
    return np.asarray((rows - rows.mean(0)) / np.maximum(rows.std(0), 1e-9))


def _half(film: Tracked, *, first: bool) -> Tracked:
    middle = len(film) // 2
    part = slice(0, middle) if first else slice(middle, None)
    return replace(film, exp=film.exp[part], pose=film.pose[part], marks=film.marks[part])


def table(found: Mapping[str, Any]) -> list[str]:
    """The people, their films and what is spoken in their styles, in Markdown."""
    names = found["figures"]
    shown = [names.index(name) for name in SHOWN]
    lines = [
        "| person | lips, mm | lips, mm a second | openings a second | head, degrees |",
        "|---|---|---|---|---|",
    ]
    for person, there, came in zip(
        found["people"], found["truth"], found["spoken"]["made"], strict=True
    ):
        cells = [f"{there[k]:.1f} → {came[k]:.1f}" for k in shown]
        lines.append(f"| {person} | " + " | ".join(cells) + " |")
    for how, title in (
        ("tracked", "the tracker sees"),
        ("encoder, true motion", "spoken, encoder alone, of the true motion"),
        ("encoder", "spoken, encoder alone, of the film"),
        ("made", "**spoken, as made**"),
    ):
        if how in found["r"]:
            cells = [f"r = {found['r'][how][name]:.2f}" for name in SHOWN]
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
    cells = [f"{low:.1f} to {high:.1f}" for low, high in (found["reach"][name] for name in SHOWN)]
    lines.append("| *the bundle's named styles* | " + " | ".join(cells) + " |")
    return lines
