"""`posetalk bench films likeness`: whether styles from films are their people's.

Drawn people (`judges`) are each in several films, with other words, voices, cameras and light. Of
each film a style is made as `posetalk style extract` does, and the bundle says yet other words in
it. Two things were asked for before anything was measured: over all films the opening, the tempo
and the head of what is spoken go with those of the people (r of `LEAST_R` or more each); and given
a film, whose it is, of all the people, is told by how the bundle moves in the styles of others of
their films, in `FACTOR` times as many cases as by chance. Beside it stands where the likeness goes:
how far people are themselves in another film, what the tracker sees, and what is left where the
encoder's word alone is spoken, of the film and of the true motion.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality import own_voices
from benchmarks.tracking.judges import Cast, films_of, sounds, text_of
from diffposetalk.bundle.bundle import load_bundle
from head.rig import builtin_head
from head.skinning import parameters_to_motion
from posetalk.app.style_extraction import WINDOW, encode, windows
from posetalk.tracking.closed_loop import run
from posetalk.tracking.likeness.likeness import FIGURES, Reach, figures_of, liken_all, reach_of
from posetalk.tracking.likeness.spoken import StyledSpeech
from posetalk.tracking.outputs.film_style import goal_of
from posetalk.tracking.report import habits, habits_of
from posetalk.tracking.scenes import known_motion
from posetalk.tracking.style import style_windows
from posetalk.tracking.track import Tracked
from stream.frames import FRAME_SAMPLES

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_R: Final = 0.5
FACTOR: Final = 2.0
"""Both were asked for beforehand."""
ASKED: Final = ("opening", "tempo", "head")
SHOWN: Final = ("opening", "lip speed", "tempo", "head")
FEWEST: Final = 3
"""People below whom a correlation says nothing."""
SEED: Final = 5
"""Of the noise where styles are judged: another than where they are made."""
STYLED: Final = 2
"""Films of everybody of which styles are made; the encoder's word is taken of the first alone."""
DRAWS: Final = 10000
"""Of people, for the interval, and of shuffled ones, for luck."""
VOICES: Final = ("01", "07", "10")
"""Utterances of the set that comes along: none of them is the demo speech."""


@dataclass(frozen=True, eq=False)
class Part:
    """A film of somebody.

    Attributes:
        film: as tracked.
        sound: (n,) mono at 16 kHz; None where there is none.
        truth: (F,) the true figures, where they are known.
        moved: (L, 54) the true motion, where it is known.
    """

    film: Tracked
    sound: Floats | None = None
    truth: Doubles | None = None
    moved: Floats | None = None

    def halves(self) -> tuple[Part, Part]:
        """Both halves of a film of which no truth is known: where somebody is in one film only."""
        middle = len(self.film) // 2
        sounds: tuple[Floats | None, Floats | None] = (None, None)
        if self.sound is not None:
            at = middle * FRAME_SAMPLES
            sounds = self.sound[:at], self.sound[at:]
        first, second = self.film.part(0, middle), self.film.part(middle, len(self.film))
        return Part(first, sounds[0]), Part(second, sounds[1])


@dataclass(frozen=True)
class Person:
    """Somebody in films."""

    name: str
    parts: Sequence[Part]


def drawn(cast: Cast, model: Path, keep: Path | None, note: Callable[[str], None]) -> list[Person]:
    """The people of a cast, drawn, filmed and tracked; landmarks in `keep` are taken from there."""
    out = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep or Path(temporary)
        people, said = films_of(cast, folder), sounds(cast, folder)
        for k, scenes in enumerate(people):
            parts = []
            for j, scene in enumerate(scenes):
                _, found = run(scene, model, builtin_head(), keep)
                exp, pose = known_motion(scene)
                moved = parameters_to_motion(exp, pose[:, :3], pose[:, 3:])
                truth = figures_of(habits(exp, pose))
                parts.append(Part(found, said[text_of(k, j)], truth, moved))
                note(scene.name)
            out.append(Person(f"{cast.name} {k}", parts))
    return out


class Studio:
    """A bundle in which styles are made of films and judged."""

    def __init__(self, bundle: str) -> None:
        self.bundle = bundle
        self.styles = load_bundle(bundle).styles
        self.makes = StyledSpeech(bundle)
        texts = {one.id: one.path for one in own_voices.utterances()}
        self.judges = StyledSpeech(bundle, [texts[name] for name in VOICES])
        self.reach: Reach = reach_of(self.styles, self.makes)

    def encoded(self, batch: Floats) -> Floats:
        """(d_style,) the encoder's word for windows (n, 100, 54)."""
        return encode(batch, self.bundle, frames=0).vector

    def made(self, parts: Sequence[Part]) -> list[Floats]:
        """(d_style,) the style of each film, as `posetalk style extract` makes it."""
        known = (self.styles, self.reach, self.makes)
        goals = [goal_of([part.film], [part.sound], *known) for part in parts]
        return [each.vector for each in liken_all(goals, self.reach, self.makes)]

    def spoken(self, styles: Sequence[Floats]) -> Doubles:
        """(n, F) the figures of other words in n styles."""
        return np.stack([figures_of(found) for found in self.judges(styles, SEED)])


def measure(people: Sequence[Person], bundle: str, note: Callable[[str], None]) -> dict[str, Any]:
    """All figures of some people, for the page."""
    studio = Studio(bundle)
    note("the bundle's own styles")
    parts = [part for person in people for part in person.parts]
    owner = np.array([k for k, person in enumerate(people) for _ in person.parts])
    which = np.array([j for person in people for j in range(len(person.parts))])
    taken, first = np.flatnonzero(which < STYLED), np.flatnonzero(which == 0)
    seen = np.stack([figures_of(habits_of([part.film])) for part in parts])
    known = all(part.truth is not None for part in parts)
    films = np.stack([part.truth for part in parts if part.truth is not None]) if known else seen
    truth = np.stack([films[owner == k].mean(0) for k in range(len(people))])
    vectors = {"made": studio.made([parts[k] for k in taken])}
    note("styles of films")
    vectors["encoder"] = [studio.encoded(style_windows([parts[k].film])) for k in first]
    if known:
        vectors["encoder, true motion"] = [studio.encoded(_windows(parts[k])) for k in first]
    spoken = {how: studio.spoken(each) for how, each in vectors.items()}
    note("other words in all of them")
    named = studio.spoken(list(studio.styles.values()))
    compared = {"tracked": (films, seen), "made": (truth[owner[taken]], spoken["made"])}
    compared |= {how: (truth, each) for how, each in spoken.items() if how != "made"}
    if (others := _others(films, owner)) is not None:
        compared["in another film"] = films, others
    enough = len(people) >= FEWEST
    return {
        "bundle_hash": load_bundle(bundle).hash,
        "people": [person.name for person in people],
        "films": len(parts),
        "styles": len(taken),
        "figures": list(FIGURES),
        "truth": truth.round(4).tolist(),
        "spoken": [
            spoken["made"][owner[taken] == k].mean(0).round(4).tolist() for k in range(len(people))
        ],
        "r": {how: correlations(*pair) for how, pair in compared.items() if enough},
        "reach": {
            name: [float(low), float(high)]
            for name, low, high in zip(FIGURES, named.min(0), named.max(0), strict=True)
        },
        "nearest": nearest(seen, owner, spoken["made"], owner[taken]),
        "asked": {"r": LEAST_R, "factor": FACTOR},
    }


def _windows(part: Part) -> Floats:
    """(n, 100, 54) windows of a film's true motion."""
    assert part.moved is not None
    return np.stack([part.moved[at : at + WINDOW] for at in windows(len(part.moved), None)])


def _others(rows: Doubles, owner: Ints) -> Doubles | None:
    """(n, F) for each film the mean of its person's other ones; None where there is none."""
    if np.bincount(owner).min() < 2:
        return None
    count = len(owner)
    return np.stack(
        [rows[(owner == owner[k]) & (np.arange(count) != k)].mean(0) for k in range(count)]
    )


def correlations(truth: Doubles, came: Doubles) -> dict[str, float]:
    """Over films (n, F) beside (n, F): r by figure."""
    return {
        name: round(float(np.corrcoef(truth[:, k], came[:, k])[0, 1]), 4)
        for k, name in enumerate(FIGURES)
    }


def nearest(seen: Doubles, owner: Ints, spoken: Doubles, owner_of_style: Ints) -> dict[str, float]:
    """How often a film's person is told by the speech in styles of other films.

    Film j of everybody is held out, and the speech in the style of film i of everybody is at hand,
    for all i and j that differ. Each figure counts in its own spread over the people, on either
    side: what all films have more of than all speech tells nobody apart.

    Args:
        seen: (n, F) figures of the films.
        owner: (n,) whose film it is, in a row; of everybody as many count as the fewest have.
        spoken: (m, F) what is spoken in styles of the first films of everybody.
        owner_of_style: (m,) whose it is.

    Returns:
        The `share` that is told; `low` and `high`, its interval of 95 % over people drawn again
        and again; `chance`; how many `cases`; and `luck`, how often as many are told where the
        people of the styles are shuffled.
    """
    held, styles = _by_person(seen, owner), _by_person(spoken, owner_of_style)
    people = len(held)
    pairs = [(i, j) for i in range(styles.shape[1]) for j in range(held.shape[1]) if i != j]
    nearest_to = np.stack([told_as(held[:, j], styles[:, i]) for i, j in pairs])
    rng = np.random.default_rng(SEED)
    right = (nearest_to == np.arange(people)).mean(0)
    again = right[rng.integers(people, size=(DRAWS, people))].mean(1)
    orders = np.stack([rng.permutation(people) for _ in range(DRAWS)])
    shuffled = np.array([(order[nearest_to] == np.arange(people)).mean() for order in orders])
    low, high = np.quantile(again, (0.025, 0.975))
    share = float(right.mean())
    luck = float((shuffled >= share - 1e-9).mean())
    return {
        "share": share,
        "low": float(low),
        "high": float(high),
        "chance": 1 / people,
        "cases": len(pairs) * people,
        "luck": luck,
    }


def _by_person(rows: Doubles, owner: Ints) -> Doubles:
    """(people, k, F) rows of everybody, of as many as the fewest have."""
    fewest = int(np.bincount(owner).min())
    return np.stack([rows[owner == k][:fewest] for k in range(int(owner.max()) + 1)])


def told_as(held: Doubles, spoken: Doubles) -> Ints:
    """(n,) for each of n rows (n, F) the row of `spoken` (n, F) that is most alike."""
    a, b = _standing(held), _standing(spoken)
    return np.asarray(np.linalg.norm(a[:, None] - b[None], axis=2).argmin(1))


def _standing(rows: Doubles) -> Doubles:
    return np.asarray((rows - rows.mean(0)) / np.maximum(rows.std(0), 1e-9))


def table(found: Mapping[str, Any]) -> list[str]:
    """The people, their films and what is spoken in their styles, in Markdown."""
    names = found["figures"]
    shown = [names.index(name) for name in SHOWN]
    lines = [
        "| person | lips, mm | lips, mm a second | openings a second | head, degrees |",
        "|---|---|---|---|---|",
    ]
    for person, there, came in zip(found["people"], found["truth"], found["spoken"], strict=True):
        cells = [f"{there[k]:.1f} → {came[k]:.1f}" for k in shown]
        lines.append(f"| {person} | " + " | ".join(cells) + " |")
    for how, title in (
        ("in another film", "the people themselves, in other films"),
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
