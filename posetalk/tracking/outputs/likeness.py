"""A style in which a bundle moves as somebody in a film does: a mix of the styles that it knows.

A style encoder is trained on motion without a tracker's mark, and what a tracker leaves out (a
smile that never ends, how the head is held at rest) is half of what it looks for: read alone, a
tracked person lands beside all styles that the bundle can speak in. So the bundle speaks in each
of them first, and is measured as the film is (`report.habits`). The mix taken has the person's
habits; where habits leave a choice, the encoder's likeness decides. Then the bundle speaks in the
mix, and what is still missing is asked for once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.arkit.box import box_least_squares
from posetalk.app.style_extraction import cosine
from posetalk.tracking.report import Habits

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Speaks = Callable[[Floats], Habits]
"""How the bundle moves when it speaks in a style."""

WEIGHTS: Final = (3.0, 3.0, 1.5, 0.5, 0.3)
"""Of opening, tempo, head, brows and blinks, each as a logarithm: as they spread among people."""
LIKENESS: Final = 0.05
"""Of the encoder's cosine."""
SPREAD: Final = 0.02
"""Ridge: of two mixes that do as well, the one of more styles."""
_WHOLE: Final = 100.0
"""Penalty by which the shares sum to one."""
ROUNDS: Final = 2
MOST: Final = 0.5
"""By how much a habit is asked for beyond what the film has, as a logarithm."""


@dataclass(frozen=True, eq=False)
class Table:
    """What a bundle does in each of its styles: vectors (n, d), traits (n, 5)."""

    names: tuple[str, ...]
    vectors: Doubles
    traits: Doubles


def traits(habits: Habits) -> Doubles:
    """(5,) logarithms of a person's habits, weighted."""
    head = float(np.linalg.norm(habits.head_degrees))
    values = (
        habits.opening_mm + 0.5,
        habits.tempo + 0.2,
        head + 0.3,
        habits.brows + 0.02,
        habits.blinks + 5,
    )
    return np.log(values) * np.array(WEIGHTS)


def tabulate(styles: Mapping[str, Floats], speaks: Speaks) -> Table:
    """Speak in every style and measure it."""
    rows = [traits(speaks(vector)) for vector in styles.values()]
    vectors = np.array(list(styles.values()), np.float64)
    return Table(tuple(styles), vectors, np.array(rows))


def shares(table: Table, wanted: Doubles, seen: Floats) -> Doubles:
    """(n,) shares of the styles, 0..1 and one in all, whose traits come nearest to `wanted` (5,).

    Args:
        table: of the bundle.
        wanted: traits.
        seen: (d,) the encoder's view of the person.
    """
    count = len(table.names)
    near = np.array([cosine(seen, vector.astype(np.float32)) for vector in table.vectors])
    rows = np.concatenate([table.traits.T, np.full((1, count), _WHOLE)])
    goal = np.concatenate([wanted, [_WHOLE]])
    normal = rows.T @ rows + SPREAD * np.eye(count)
    found = box_least_squares(normal, rows.T @ goal + LIKENESS * near, np.full(count, 1 / count))
    return np.asarray(found / found.sum())


def liken(person: Habits, seen: Floats, table: Table, speaks: Speaks) -> tuple[Floats, Doubles]:
    """The style (d,) in which the bundle moves most like `person`, and its shares (n,).

    Args:
        person: measured in the film.
        seen: (d,) the encoder's view of the person.
        table: of the bundle.
        speaks: of the bundle.
    """
    goal = traits(person)
    asked = goal.copy()
    best: tuple[float, Floats, Doubles] | None = None
    for _ in range(ROUNDS + 1):
        mix = shares(table, asked, seen)
        vector = (mix @ table.vectors).astype(np.float32)
        missing = goal - traits(speaks(vector))
        off = float(np.linalg.norm(missing[:3]))
        if best is None or off < best[0]:
            best = off, vector, mix
        limit = MOST * np.array(WEIGHTS)
        asked = goal + np.clip(asked - goal + missing, -limit, limit)
    assert best is not None
    return best[1], best[2]
