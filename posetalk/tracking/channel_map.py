"""From tracked channels to those that were meant, for encoders that have never seen a tracker.

    python -m posetalk.tracking.channel_map [--keep DIR]      # writes channel_map.npz

A tracker shows some channels small, some mixed, some not at all; a style encoder trained on other
motion takes that for the style. Known motion, drawn and tracked, tells what is made of what: a
linear map by ridge regression takes it back. It is applied before a style is read, never to motion
that is kept.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.new_file import new_file
from head.rig import builtin_head
from posetalk.tracking.closed_loop import run
from posetalk.tracking.landmarks.model_file import find_model
from posetalk.tracking.scenes import SCENES, SPEECH_ONLY, Scene, known_motion
from posetalk.tracking.style import motion_vectors

Floats = NDArray[np.float32]

FILE: Final = Path(__file__).with_name("channel_map.npz")
RIDGE: Final = 30.0
"""Frames' worth of doubt."""
LEAST: Final = 0.02
"""Deviation below which a channel counts as noise."""


@dataclass(frozen=True, eq=False)
class Pair:
    """One scene: motion as tracked and as it was, (L, 54) both."""

    clip: str
    tracked: Floats
    truth: Floats


@dataclass(frozen=True, eq=False)
class ChannelMap:
    """Motion (..., 54) to motion (..., 54): (x - middle) matrix + meant."""

    matrix: Floats
    middle: Floats
    meant: Floats

    def __call__(self, motion: Floats) -> Floats:
        return np.asarray((motion - self.middle) @ self.matrix + self.meant, np.float32)


def fit_map(pairs: Sequence[Pair]) -> ChannelMap:
    """The map of ridge regression over all frames of `pairs`, each channel in its own deviation."""
    x = np.concatenate([pair.tracked for pair in pairs]).astype(np.float64)
    y = np.concatenate([pair.truth for pair in pairs]).astype(np.float64)
    middle, meant = x.mean(0), y.mean(0)
    scale = np.maximum(x.std(0), LEAST)
    x = (x - middle) / scale
    matrix = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ (y - meant))
    parts = (matrix / scale[:, None], middle, meant)
    return ChannelMap(*(np.asarray(part, np.float32) for part in parts))


def pair_of(scene: Scene, model: Path, keep: Path | None) -> Pair:
    """A scene, drawn and tracked."""
    _, found = run(scene, model, builtin_head(), keep)
    exp, pose = known_motion(scene)
    count = min(len(exp), len(found))
    truth = np.concatenate([exp[:count], pose[:count, :4]], axis=1)
    return Pair(scene.clip, motion_vectors(found)[:count], truth)


@functools.cache
def channel_map() -> ChannelMap:
    """The map that comes with the package, for the built-in head."""
    with np.load(FILE, allow_pickle=False) as arrays:
        return ChannelMap(arrays["matrix"], arrays["middle"], arrays["meant"])


def main() -> None:
    """Measure all scenes and write the map."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--keep", type=Path, default=None, help="folder for the landmarks")
    options = parser.parse_args()
    model = find_model(options.model)
    made = fit_map([pair_of(scene, model, options.keep) for scene in (*SCENES, *SPEECH_ONLY)])
    with new_file(FILE) as part, part.open("wb") as file:
        np.savez_compressed(file, matrix=made.matrix, middle=made.middle, meant=made.meant)
    print(f"{FILE}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
