"""Drawn people that the tracker is tuned on: never those of the scenes by which it is judged.

Their styles are drawn at random, and so are faces, light, size, camera and compression; they say
other words in other voices. Every second one acts on top, as the judging scenes do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from posetalk.tracking.scenes import Scene

COUNT: Final = 18
FIRST_CHARACTER: Final = 100
"""The judging scenes have those below."""
TEXTS: Final = (
    "We walked along the river until the bridge came into view. My father used to fish there, and "
    "he always brought bread and a flask of black coffee. What would you have done in his place?",
    "Put the big blue box on the top shelf, please, and leave the small one by the door. Yes, that "
    "is fine. How about a short break before we move the piano?",
    "In the morning the market is full of people from the villages. They sell apples, cheese and "
    "honey, and by noon most of it has gone. I should have come earlier myself.",
)
VOICES: Final = ("rms", "kal16", "awb")


def strangers(folder: Path, count: int = COUNT) -> list[Scene]:
    """Scenes of `count` people; their motion is written into `folder`, or lies there already.

    Raises:
        FileNotFoundError: flite, which speaks their words, is not installed.
    """
    write_motions(folder, "motion_of_stranger", 17, count, dict(zip(VOICES, TEXTS, strict=True)))
    return [_scene(k, folder) for k in range(count)]


def write_motions(folder: Path, name: str, seed: int, count: int, says: Mapping[str, str]) -> None:
    """Motion of `count` people in styles drawn from `seed`, as `folder`/NAME_k.npz where it is not
    there yet; person k says the text of voice k of `says` (voice -> text), in turn.

    Raises:
        FileNotFoundError: flite, which speaks their words, is not installed.
    """
    from posetalk.demo.making.motion import moved
    from training.labels.label_styles import random_style

    folder.mkdir(parents=True, exist_ok=True)
    for part, (voice, text) in enumerate(says.items()):
        members = {
            f"{name}_{k}": random_style(np.random.default_rng([seed, k]), named_share=0.0)
            for k in range(part, count, len(says))
        }
        if all((folder / f"{member}.npz").is_file() for member in members):
            continue
        for member, motion in moved(members, text, voice):
            motion.save(folder / f"{member}.npz")


def _scene(k: int, folder: Path) -> Scene:
    rng = np.random.default_rng([19, k])
    side = int(rng.choice((320, 400, 512)))
    dark = float(rng.uniform(0, 0.5)) if rng.random() < 0.4 else 0.0
    return Scene(
        f"stranger {k}",
        str((folder / f"motion_of_stranger_{k}").absolute()),
        FIRST_CHARACTER + k,
        width=side,
        height=side,
        zoom=float(rng.uniform(0.8, 1.1)),
        yaw=float(rng.uniform(-16, 16)),
        pitch=float(rng.uniform(-8, 10)),
        light=(float(rng.uniform(0.6, 1.15)), float(rng.uniform(0.9, 1.2)), dark),
        blur=float(rng.uniform(0, 1.2)) if rng.random() < 0.4 else 0.0,
        crf=int(rng.integers(18, 35)),
        acted=k % 2 == 1,
        seconds=10.0,
    )
