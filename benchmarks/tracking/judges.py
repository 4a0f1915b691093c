"""Drawn people by whom styles from films are judged: nobody here has taught the tracker anything.

Their styles are drawn at random over the whole range that people are given, and their words are
others than those of the demo speech and of `strangers`. Everybody is in several films and says
other words, in another voice, before another camera in each. All say the same texts, so that what
differs between people is the people.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from posetalk.tracking.scenes import Scene
from posetalk.tracking.strangers import write_motions
from stream.frames import SAMPLE_RATE

COUNT: Final = 12
FIRST_CHARACTER: Final = 200
"""Strangers have those below."""
SECONDS: Final = 14.0
SEED: Final = 31
"""Of their styles."""
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


def judges(folder: Path, count: int = COUNT) -> list[list[Scene]]:
    """The films of `count` people; their motion is written into `folder`, or lies there already.

    Film k of a person is of another text than film k of the next.

    Raises:
        FileNotFoundError: flite, which speaks their words, is not installed.
    """
    texts = len(TEXTS)
    for part, (voice, text) in enumerate(zip(VOICES, TEXTS, strict=True)):
        write_motions(folder, f"judged_{part}", SEED, count, {voice: text})
    return [
        [_scene(k, text_of(k, film), film, folder) for film in range(texts)] for k in range(count)
    ]


def text_of(person: int, film: int) -> int:
    """Which text a person says in a film."""
    return (person + film) % len(TEXTS)


def sounds(folder: Path) -> list[NDArray[np.float32]]:
    """(n,) the sound of each text, mono at 16 kHz; written into `folder`.

    Raises:
        FileNotFoundError: flite is not installed.
    """
    import soundfile

    from posetalk.demo.making.motion import speak

    out = []
    for part, (voice, text) in enumerate(zip(VOICES, TEXTS, strict=True)):
        path = folder / f"judged_{part}.wav"
        speak(path, text, voice)
        samples, _ = soundfile.read(path, dtype="float32", frames=int(SECONDS * SAMPLE_RATE))
        out.append(np.asarray(samples))
    return out


def _scene(k: int, text: int, film: int, folder: Path) -> Scene:
    rng = np.random.default_rng([SEED, k, film])
    side = int(rng.choice((320, 400)))
    return Scene(
        f"judge {k} film {film}",
        str((folder / f"judged_{text}_{k}").absolute()),
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
