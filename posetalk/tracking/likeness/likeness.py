"""A style whose outcome is like its person: steps between named styles until the bundle does so.

A style encoder says what is characteristic; how wide, how fast and how far a bundle then moves, it
was never asked. Here that is measured. The bundle says one speech in every style that it has by
name, which tells what a step towards each of them does. From the one that is most like the person,
regularised least squares picks steps towards and away from the others, by which the habits of the
speech come to be those of the film; what the bundle then really does corrects the slopes (Broyden
1965), and the nearest of all that were tried is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from posetalk.tracking.report import Habits

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Speaks = Callable[[Sequence[Floats]], list[Habits]]
"""The habits of a speech in each of n styles (d_style,)."""

FIGURES: Final = {
    "opening": 1.0,
    "tempo": 0.25,
    "lip speed": 1.0,
    "smile": 0.5,
    "brows": 0.5,
    "head": 1.0,
    "head speed": 0.5,
}
"""What is brought about, and how much it counts beside the others, each in its own unit: the spread
of the bundle's named styles. Mouth and head are what people see first; a tracker's smile is
uncertain by where a person rests, and a short film does not tell how often a mouth opens."""
ROUNDS: Final = 4
"""Times that the bundle speaks on the way, beside once in each named style."""
DOUBT: Final = 0.15
"""What a step from the middle of all styles to a named one costs, squared, in squared units."""
FARTHEST: Final = 1.5
"""The longest step along any named style: what lies beyond is no motion of anybody's."""


@dataclass(frozen=True, eq=False)
class Reach:
    """What a bundle's named styles do: (n, d_style) vectors, and (n, F) figures of one speech."""

    vectors: Floats
    figures: Doubles

    @property
    def steps(self) -> Doubles:
        """(n, d_style) from the middle of all named styles to each."""
        vectors = self.vectors.astype(np.float64)
        return np.asarray(vectors - vectors.mean(0))

    @property
    def units(self) -> Doubles:
        """(F,) the spread of each figure over the named styles."""
        return np.asarray(np.maximum(self.figures.std(0), 1e-6))


@dataclass(frozen=True, eq=False)
class Likened:
    """A style (d_style,), what the bundle does in it (F,), and how far that is from the goal in
    units of the named styles' spread; `before` is the nearest named style's distance."""

    vector: Floats
    figures: Doubles
    before: float
    after: float


def figures_of(found: Habits) -> Doubles:
    """(F,) habits as numbers, in the order of `FIGURES`."""
    mouth = (found.opening_mm, found.tempo, found.lip_speed)
    face = (found.smile, found.brows)
    return np.array([*mouth, *face, found.head, found.head_speed], np.float64)


def reach_of(styles: Mapping[str, Floats], speaks: Speaks) -> Reach:
    """What each of `styles` does."""
    vectors = [*styles.values()]
    figures = [figures_of(found) for found in speaks(vectors)]
    return Reach(np.stack(vectors).astype(np.float32), np.stack(figures))


def liken(goal: Doubles, reach: Reach, speaks: Speaks) -> Likened:
    """The style around the named ones in which a bundle's figures are nearest to `goal` (F,)."""
    return liken_all([goal], reach, speaks)[0]


def liken_all(goals: Sequence[Doubles], reach: Reach, speaks: Speaks) -> list[Likened]:
    """As `liken`, for the goals of several people, who speak in step."""
    searches = [_Search(goal, reach) for goal in goals]
    for _ in range(ROUNDS):
        came = speaks([search.ask() for search in searches])
        for search, found in zip(searches, came, strict=True):
            search.told(figures_of(found))
    return [search.best() for search in searches]


class _Search:
    """From the named style that is nearest to a goal, step by step nearer."""

    def __init__(self, goal: Doubles, reach: Reach) -> None:
        self._goal = goal
        self._weights = np.array(list(FIGURES.values())) / reach.units
        self._slopes = reach.figures - reach.figures.mean(0)
        self._steps, self._middle = reach.steps, reach.vectors.astype(np.float64).mean(0)
        named = np.linalg.norm((reach.figures - goal) * self._weights, axis=1)
        best = int(named.argmin())
        self._at, self._now = np.eye(len(self._steps))[best], reach.figures[best]
        self._before = self._off = float(named[best])
        self._stride, self._there = 1.0, self._at

    def ask(self) -> Floats:
        """(d_style,) the style to try next."""
        off, slopes = (self._goal - self._now) * self._weights, self._slopes * self._weights
        self._there = self._at + self._stride * (step_to(self._at, off, slopes) - self._at)
        return self._style(self._there)

    def told(self, found: Doubles) -> None:
        """Learn of the figures (F,) in the style that was asked for."""
        moved, came = self._there - self._at, found - self._now
        self._slopes = _corrected(self._slopes, moved, came)
        off = float(np.linalg.norm((found - self._goal) * self._weights))
        if off < self._off:
            self._at, self._now, self._off, self._stride = self._there, found, off, 1.0
        else:
            self._stride /= 2  # too far for slopes that bend

    def best(self) -> Likened:
        """The nearest of all that were tried."""
        return Likened(self._style(self._at), self._now, self._before, self._off)

    def _style(self, shares: Doubles) -> Floats:
        return np.asarray(self._middle + shares @ self._steps, np.float32)


def step_to(at: Doubles, off: Doubles, slopes: Doubles) -> Doubles:
    """(n,) shares that take away what is `off` (F,), from shares `at` (n,), where each of n steps
    does `slopes` (n, F): least squares with a price on the whole way, none beyond `FARTHEST`."""
    goal = off + at @ slopes
    doubt = DOUBT
    while True:
        normal = slopes @ slopes.T + doubt * np.eye(len(slopes))
        found = np.asarray(np.linalg.solve(normal, slopes @ goal))
        if np.abs(found).max() <= FARTHEST:
            return found
        doubt *= 2


def _corrected(slopes: Doubles, moved: Doubles, came: Doubles) -> Doubles:
    """The nearest slopes (n, F) by which a step `moved` (n,) does what `came` (F,)."""
    length = float(moved @ moved)
    if length < 1e-12:
        return slopes
    return np.asarray(slopes + np.outer(moved, came - moved @ slopes) / length)
