"""Drawn people by whom styles from films are judged, and others to rehearse with.

None of them has taught the tracker anything. Their styles are drawn at random over the whole range
that people are given, and their words are others than those of the demo speech and of `strangers`.
Everybody is in several films and says other words, in another voice, before another camera in each.
All say the same texts, so that what differs between people is the people. Whatever is tuned is
tuned on `REHEARSAL`: `JUDGES` are looked at when it is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from posetalk.tracking.scenes import Scene
from posetalk.tracking.strangers import write_motions
from stream.frames import SAMPLE_RATE

COUNT: Final = 12
SECONDS: Final = 14.0
VOICES: Final = ("slt", "awb", "rms")


@dataclass(frozen=True)
class Cast:
    """People who say the same texts.

    Attributes:
        name: of each of them, before a number.
        seed: of their styles and cameras.
        first_character: seed of the first one's face, the others' follow.
        texts: one for each of `VOICES`.
    """

    name: str
    seed: int
    first_character: int
    texts: tuple[str, ...]


JUDGES: Final = Cast(
    "judge",
    31,
    200,
    (
        "My brother keeps bees behind the old mill. Every summer he gives each of us a pot of "
        "honey, and he tells the same story about the bear. Nobody believes him any more, but the "
        "children love it. Last week he bought a new smoker, and above all a better pair of boots. "
        "You should see him walk about in them. Have you ever been stung by a whole family of "
        "bees?",
        "The train left the platform four minutes before time, so we missed it by a few steps. My "
        "umbrella was on it, and a bag full of presents. A woman at the window made a phone call "
        "for us, and everything was found again. We sat down, shared a piece of apple pie, and "
        "laughed. What do you do with an afternoon that nobody has planned?",
        "Please measure the flour first, and beat the butter until it is white. Then put in the "
        "eggs, one after the other, and a pinch of salt. People often open the oven far too soon, "
        "which is why the middle falls. Wait forty minutes, and leave it to cool by an open "
        "window. Did you remember to save some of the almonds for the top?",
    ),
)
REHEARSAL: Final = Cast(
    "rehearser",
    53,
    400,
    (
        "The harbour was empty when we came, for all the boats had gone out before five. An old "
        "man mended a net on the wall and hummed. He offered us half of his melon, and we had "
        "nothing to give but a postcard. By the time the first sail came home it had begun to "
        "rain. Why do the best mornings always start so early?",
        "Move the lamp a bit more to the left, will you? Now the shadow falls on the wall and not "
        "on the map. We have three routes over the mountains, and every one of them is open in "
        "July. My favourite passes a farm with a famous cheese. If the weather holds, we may be "
        "above the clouds by Monday afternoon.",
        "Our choir sings on Fridays, in a room above the fire station. Whenever the bell rings, "
        "half of the basses run down the stairs. The rest of us go on as well as we may. Last "
        "month we sang a whole mass without them, and people wept. Would you like to hear us? "
        "Bring a warm coat, for nobody has ever mended the heating.",
    ),
)


def films_of(cast: Cast, folder: Path, count: int = COUNT) -> list[list[Scene]]:
    """The films of `count` people of a cast; their motion is written into `folder`, or lies there
    already.

    Film k of a person is of another text than film k of the next.

    Raises:
        FileNotFoundError: flite, which speaks their words, is not installed.
    """
    texts = len(cast.texts)
    for part, (voice, text) in enumerate(zip(VOICES, cast.texts, strict=True)):
        write_motions(folder, _motion(cast, part), cast.seed, count, {voice: text})
    return [
        [_scene(cast, k, text_of(k, film), film, folder) for film in range(texts)]
        for k in range(count)
    ]


def text_of(person: int, film: int) -> int:
    """Which text a person says in a film."""
    return (person + film) % len(VOICES)


def sounds(cast: Cast, folder: Path) -> list[NDArray[np.float32]]:
    """(n,) the sound of each text, mono at 16 kHz; written into `folder`.

    Raises:
        FileNotFoundError: flite is not installed.
    """
    import soundfile

    from posetalk.demo.making.motion import speak

    out = []
    for part, (voice, text) in enumerate(zip(VOICES, cast.texts, strict=True)):
        path = folder / f"{_motion(cast, part)}.wav"
        speak(path, text, voice)
        samples, _ = soundfile.read(path, dtype="float32", frames=int(SECONDS * SAMPLE_RATE))
        out.append(np.asarray(samples))
    return out


def _motion(cast: Cast, part: int) -> str:
    return f"motion_of_{cast.name}s_{part}"


def _scene(cast: Cast, k: int, text: int, film: int, folder: Path) -> Scene:
    rng = np.random.default_rng([cast.seed, k, film])
    side = int(rng.choice((320, 400)))
    return Scene(
        f"{cast.name} {k} film {film}",
        str((folder / f"{_motion(cast, text)}_{k}").absolute()),
        cast.first_character + k,
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
