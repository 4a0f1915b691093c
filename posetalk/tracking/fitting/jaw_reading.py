"""The jaw's angle read off the whole lower face, as drawn strangers taught it.

    python -m posetalk.tracking.fitting.jaw_reading [--keep DIR]      # writes jaw_reading.npz

Of the chin's way down the tracker shows little over half, and that with an error of its own; cheeks
and lips know more of it. Ridge regression from their displacements to the jaw that was drawn, over
`strangers` alone: none of the scenes that judge is among them. The reading is one more observation
of the fit (`solve`), not its answer.
"""

from __future__ import annotations

import argparse
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.new_file import new_file
from posetalk.tracking.landmarks.points import LOWER, places

Doubles = NDArray[np.float64]

FILE: Final = Path(__file__).with_name("jaw_reading.npz")
RIDGE: Final = 1e-4
"""Squared metres of doubt about each weight; the strangers, left out in turn, chose it."""


@dataclass(frozen=True, eq=False)
class JawReading:
    """Radians = moved . weights: the person at rest has the jaw at rest."""

    weights: Doubles

    def __call__(self, moved: Doubles) -> Doubles:
        """(n,) radians, from displacements (n, U, 3) from the person at rest, in metres."""
        return np.asarray(_lower(moved) @ self.weights)


def fit_reading(moved: Doubles, jaws: Doubles) -> JawReading:
    """The reading that fits displacements (n, U, 3) to jaws (n,) in radians."""
    rows = _lower(moved)
    off = rows - rows.mean(0)  # how open the mouths of those that taught it rested is left out
    normal = off.T @ off + RIDGE * np.eye(off.shape[1])
    return JawReading(np.linalg.solve(normal, off.T @ (jaws - jaws.mean())))


@functools.cache
def jaw_reading() -> JawReading:
    """The reading that comes with the package, for the built-in head's size."""
    with np.load(FILE, allow_pickle=False) as arrays:
        return JawReading(arrays["weights"].astype(np.float64))


def _lower(moved: Doubles) -> Doubles:
    return moved[:, places(LOWER)].reshape(len(moved), -1)


def main() -> None:
    """Draw and track the strangers, and write the reading."""
    import tempfile

    from head.rig import builtin_head
    from posetalk.tracking.closed_loop import seen_in
    from posetalk.tracking.landmarks.model_file import find_model
    from posetalk.tracking.scenes import known_motion
    from posetalk.tracking.strangers import strangers
    from posetalk.tracking.track import moved_points

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--keep", type=Path, default=None, help="folder for motion and landmarks")
    options = parser.parse_args()
    head, model = builtin_head(), find_model(options.model)
    moved, jaws = [], []
    with tempfile.TemporaryDirectory() as folder:
        for scene in strangers(options.keep or Path(folder)):
            points = moved_points(seen_in(scene, model, head, options.keep), head)
            jaw = known_motion(scene)[1][:, 3].astype(np.float64)
            count = min(len(points), len(jaw))
            moved.append(points[:count])
            jaws.append(jaw[:count])
            print(f"{scene.name}: done", flush=True)
    made = fit_reading(np.concatenate(moved), np.concatenate(jaws))
    with new_file(FILE) as part, part.open("wb") as file:
        np.savez_compressed(file, weights=made.weights.astype(np.float32))
    print(f"{FILE}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
