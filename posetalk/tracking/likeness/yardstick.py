"""What films of the named styles look like, beside what a bundle does under the same names.

    python -m posetalk.tracking.likeness.yardstick [--keep DIR]     # writes yardstick.json

A bundle may move less, or more, than the people that it learnt a style from, and a tracker sees
less of either. Drawn people who move in each named style, filmed and tracked, are the yardstick:
who opens the mouth as wide as the lively one is seen to do shall do so as the bundle's lively voice
does. They say the demo speech, which the bundle says, too. Needs the extra `video`, and flite.
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
from posetalk.tracking.scenes import Scene

Doubles = NDArray[np.float64]

FILE: Final = Path(__file__).with_name("yardstick.json")
_TEMPO, _LIPS, _SMILE = (list(FIGURES).index(name) for name in ("tempo", "lip speed", "smile"))
FILMS: Final = 2
"""Of everybody: a tracker sees more of one face than of another."""
FIRST_CHARACTER: Final = 300
FEWEST: Final = 4
"""Names in common below which habits are taken as they are."""
BEYOND: Final = 0.25
"""Of a bundle's own range, how far beyond it a goal may lie."""


@functools.cache
def yardstick() -> Mapping[str, Doubles]:
    """(F,) figures of drawn people as the tracker sees them, by the name of the style that they
    move in."""
    rows = json.loads(FILE.read_text("utf-8"))
    return {name: np.array([row[figure] for figure in FIGURES]) for name, row in rows.items()}


def goal_for(
    found: Doubles, names: list[str], reach: Reach, rows: Mapping[str, Doubles]
) -> Doubles:
    """(F,) what a bundle shall do for habits `found` (F,): by least squares, each figure by itself,
    over the styles that it has in common with the people in `rows`.

    What is seen of people and tells nothing of what the bundle does under the same name leaves it
    in the middle of its styles.

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
    stand, off = standing(people, people), bundle - bundle.mean(0)
    slope = np.maximum((stand * off).sum(0), 0) / np.maximum((stand * stand).sum(0), 1e-6)
    goal = bundle.mean(0) + standing(found[None], people)[0] * slope
    goal = np.where(np.isnan(goal), middle, goal)
    return np.asarray(np.clip(goal, low - room, high + room))


def standing(rows: Doubles, people: Doubles) -> Doubles:
    """(n, F) how far figures (n, F) are from the middle of `people` (m, F), in their spread.

    The tempo is half its own and half the lips' speed, and that alone where it is NaN: a short film
    has too few openings of the mouth to be counted, and whose lips move fast opens it more often.
    """
    out = (rows - people.mean(0)) / np.maximum(people.std(0), 1e-6)
    tempo, lips = out[:, _TEMPO], out[:, _LIPS]
    out[:, _TEMPO] = np.where(np.isnan(tempo), lips, (tempo + lips) / 2)
    return np.asarray(out)


def films_of_styles(folder: Path) -> dict[str, list[Scene]]:
    """Two films of the demo speech for each named style, each with a face, camera and light of its
    own; the motion is written into `folder`, or lies there already.

    Raises:
        FileNotFoundError: flite, which tells when each phone is said, is not installed.
    """
    from posetalk.demo.making.speech import moved
    from training.labels.label_styles import STYLES

    folder.mkdir(parents=True, exist_ok=True)
    paths = {
        f"{name} {film}": folder / f"motion_in_style_{name}_{film}.npz"
        for film in range(FILMS)
        for name in STYLES
    }
    if not all(path.is_file() for path in paths.values()):
        for member, motion in moved({member: STYLES[member.split()[0]] for member in paths}):
            motion.save(paths[member])
    return {
        name: [
            _scene(FILMS * k + film, f"{name} {film}", paths[f"{name} {film}"])
            for film in range(FILMS)
        ]
        for k, name in enumerate(STYLES)
    }


def _scene(number: int, name: str, motion: Path) -> Scene:
    """Cameras and light as of films that people take of themselves."""
    rng = np.random.default_rng([37, number])
    return Scene(
        f"in style {name}",
        str(motion.absolute().with_suffix("")),
        FIRST_CHARACTER + number,
        width=400,
        height=400,
        zoom=float(rng.uniform(0.9, 1.1)),
        yaw=float(rng.uniform(-12, 12)),
        pitch=float(rng.uniform(-6, 8)),
        light=(float(rng.uniform(0.7, 1.1)), float(rng.uniform(0.9, 1.15)), 0.0),
        crf=int(rng.integers(18, 30)),
        acted=False,
    )


def main() -> None:
    """Draw, film and track people in every named style, and write their figures."""
    import argparse
    import tempfile

    from head.rig import builtin_head
    from posetalk.tracking.closed_loop import seen_in
    from posetalk.tracking.landmarks.model_file import find_model
    from posetalk.tracking.report import habits, habits_of
    from posetalk.tracking.scenes import known_motion
    from posetalk.tracking.track import motion_of

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--keep", type=Path, default=None, help="folder for motion and landmarks")
    options = parser.parse_args()
    head, model = builtin_head(), find_model(options.model)
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, scenes in films_of_styles(options.keep or Path(folder)).items():
            films = [motion_of(seen_in(scene, model, head, options.keep), head) for scene in scenes]
            found = np.mean([figures_of(habits_of([film])) for film in films], axis=0)
            # A smile that never ends is taken to be rest; one that comes and goes is seen as it is.
            found[_SMILE] = np.mean([habits(*known_motion(scene)).smile for scene in scenes])
            rows[name] = dict(zip(FIGURES, found.round(4).tolist(), strict=True))
            print(f"{name}: done", flush=True)
    write_json(FILE, rows)
    print(f"{FILE}: {len(rows)} styles")


if __name__ == "__main__":
    main()
