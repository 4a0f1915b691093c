"""What films of the named styles look like, beside what a bundle does under the same names.

    python -m posetalk.tracking.likeness.yardstick      # writes yardstick.json; needs `flite`

A bundle may move less, or more, than the people that it learnt a style from. Drawn people who move
in each named style are the yardstick: who opens the mouth as wide as the lively one shall do so as
the bundle's lively voice does. Their tempo is that of the demo speech, which the bundle says, too.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.files.json_file import write_json
from posetalk.tracking.likeness.likeness import FIGURES, Reach, figures_of

Doubles = NDArray[np.float64]

FILE: Final = Path(__file__).with_name("yardstick.json")
FEWEST: Final = 4
"""Names in common below which habits are taken as they are."""
BEYOND: Final = 0.25
"""Of a bundle's own range, how far beyond it a goal may lie."""


@functools.cache
def yardstick() -> Mapping[str, Doubles]:
    """(F,) figures of drawn people, by the name of the style that they move in."""
    rows = json.loads(FILE.read_text("utf-8"))
    return {name: np.array([row[figure] for figure in FIGURES]) for name, row in rows.items()}


def goal_for(
    found: Doubles, names: list[str], reach: Reach, rows: Mapping[str, Doubles]
) -> Doubles:
    """(F,) what a bundle shall do for habits `found` (F,): as far from the middle of its styles,
    in their spread, as the habits are from the middle of the people in `rows`.

    Args:
        found: figures of a film; NaN is in the middle of the bundle's styles.
        names: of the styles in `reach`, in their order.
        reach: what the bundle does in each.
        rows: the yardstick.
    """
    low, high = reach.figures.min(0), reach.figures.max(0)
    room, middle = BEYOND * (high - low), reach.figures.mean(0)
    common = [name for name in names if name in rows]
    if len(common) < FEWEST:
        goal = np.where(np.isnan(found), middle, found)
        return np.asarray(np.clip(goal, low - room, high + room))
    people = np.stack([rows[name] for name in common])
    bundle = reach.figures[[names.index(name) for name in common]]
    wide = np.maximum(people.std(0), 1e-6)
    goal = bundle.mean(0) + (found - people.mean(0)) / wide * bundle.std(0)
    goal = np.where(np.isnan(goal), middle, goal)
    return np.asarray(np.clip(goal, low - room, high + room))


def main() -> None:
    """Move every named style and write its figures."""
    from posetalk.demo.making import motion, speech
    from posetalk.tracking.likeness.words import WORDED
    from posetalk.tracking.report import habits
    from training.labels.label_styles import STYLES

    rows: dict[str, dict[str, float]] = {}
    for moved, kept in ((motion.moved(STYLES), FIGURES), (speech.moved(STYLES), WORDED)):
        for name, m in moved:
            found = dict(zip(FIGURES, figures_of(habits(m.exp, m.pose)).round(4), strict=True))
            rows.setdefault(name, {}).update({figure: float(found[figure]) for figure in kept})
    write_json(FILE, rows)
    print(f"{FILE}: {len(rows)} styles")


if __name__ == "__main__":
    main()
