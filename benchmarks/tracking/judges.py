"""Drawn people by whom styles from films are judged: nobody here has taught the tracker anything.

Their styles are drawn at random over the whole range that people are given, their words are others
than those of the demo speech and of `strangers`, and each has a face, a voice and a camera.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from posetalk.tracking.scenes import Scene
from posetalk.tracking.strangers import write_motions

COUNT: Final = 8
FIRST_CHARACTER: Final = 200
"""Strangers have those below."""
SECONDS: Final = 24.0
TEXTS: Final = (
    "My brother keeps bees behind the old mill. Every summer he gives each of us a pot of honey, "
    "and he tells the same story about the bear. Nobody believes him any more, but the children "
    "love it. Last week he bought a new smoker, and above all a better pair of boots. You should "
    "see him walk about in them. Have you ever been stung by a whole family of bees?",
    "The train left the platform four minutes before time, so we missed it by a few steps. My "
    "umbrella was on it, and a bag full of presents. A woman at the window made a phone call for "
    "us, and everything was found again. We sat down, shared a piece of apple pie, and laughed. "
    "What do you do with an afternoon that nobody has planned?",
    "Please measure the flour first, and beat the butter until it is white. Then put in the eggs, "
    "one after the other, and a pinch of salt. People often open the oven far too soon, which is "
    "why the middle falls. Wait forty minutes, and leave it to cool by an open window. Did you "
    "remember to save some of the almonds for the top?",
)
VOICES: Final = ("slt", "awb", "rms")


def judges(folder: Path, count: int = COUNT) -> list[Scene]:
    """Scenes of `count` people; their motion is written into `folder`, or lies there already.

    Raises:
        FileNotFoundError: flite, which speaks their words, is not installed.
    """
    write_motions(folder, "motion_of_judge", 23, count, dict(zip(VOICES, TEXTS, strict=True)))
    return [_scene(k, folder) for k in range(count)]


def _scene(k: int, folder: Path) -> Scene:
    rng = np.random.default_rng([29, k])
    side = int(rng.choice((320, 400)))
    return Scene(
        f"judge {k}",
        str((folder / f"motion_of_judge_{k}").absolute()),
        FIRST_CHARACTER + k,
        width=side,
        height=side,
        zoom=float(rng.uniform(0.9, 1.1)),
        yaw=float(rng.uniform(-12, 12)),
        pitch=float(rng.uniform(-6, 8)),
        light=(float(rng.uniform(0.7, 1.1)), float(rng.uniform(0.9, 1.15)), 0.0),
        crf=int(rng.integers(18, 30)),
        acted=False,
        seconds=SECONDS,
    )
