"""What of a film's tempo is its words', and what its person's.

How often a mouth opens is the words' more than anybody's: lips must close where the sound does.
But the bundle can say the words of a film, too. By how much more often the person opens the mouth
there than the bundle's named styles do on average, they shall do so in other words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from posetalk.app.animate import read_blocks
from posetalk.tracking.likeness.likeness import FIGURES, Reach, figures_of
from posetalk.tracking.likeness.spoken import StyledSpeech
from posetalk.tracking.problem import TrackingError
from posetalk.tracking.quality import believed
from posetalk.tracking.report import habits
from posetalk.tracking.sources.camera import Camera
from posetalk.tracking.sources.film import Film
from posetalk.tracking.sources.sound import sound_of
from posetalk.tracking.track import FPS, Tracked
from stream.audio import SourceError
from stream.frames import FRAME_SAMPLES, SAMPLE_RATE

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

WORDED: Final = ("tempo",)
"""Figures in which the words have so large a share that taking it out is worth the doubt."""
MOST_SECONDS: Final = 40.0
"""Of a film, that are said again: half a minute tells how its words go."""
LEAST: Final = 0.5
"""Openings a second, below which nobody speaks."""


@dataclass(frozen=True, eq=False)
class Heard:
    """The beginning of a film, and (n,) its sound there, mono at 16 kHz."""

    film: Tracked
    sound: Floats


def sound_of_film(film: Film | Camera) -> Floats | None:
    """(n,) the sound of a film's beginning; None where there is none that can be read."""
    if not isinstance(film, Film):
        return None
    try:
        blocks = sound_of(Film(film.path, start=film.start, seconds=MOST_SECONDS))
        return np.concatenate([np.zeros(0, np.float32), *blocks])
    except TrackingError:
        return None  # a style does without


def sound_beside(path: Path) -> Floats | None:
    """(n,) what `posetalk track` wrote beside a motion file; None where there is nothing."""
    try:
        return np.concatenate([*read_blocks(path.with_suffix(".wav"), SAMPLE_RATE)])
    except SourceError:
        return None


def heard(film: Tracked, sound: Floats) -> Heard | None:
    """What is said again of a film with sound (n,); None where there is no second of both."""
    frames = min(len(film), len(sound) // FRAME_SAMPLES, int(MOST_SECONDS * FPS))
    if frames < FPS:
        return None
    return Heard(film.part(0, frames), sound[: frames * FRAME_SAMPLES])


def in_other_words(
    found: Doubles,
    parts: Sequence[Heard],
    reach: Reach,
    named: Sequence[Floats],
    speaker: StyledSpeech,
) -> Doubles:
    """(F,) figures `found` of a film, as they would be in the speech of which `reach` is; NaN where
    the words have their share and are not known.

    Args:
        found: of all that can be believed.
        parts: the films' sound.
        reach: what the bundle does in each of `named` styles in its own speech.
        named: (d_style,) each.
        speaker: the bundle.
    """
    worded = [list(FIGURES).index(name) for name in WORDED]
    out = found.copy()
    out[worded] = np.nan
    if not parts:
        return out
    good = np.concatenate([believed(part.film.marks) for part in parts])
    exp = np.concatenate([part.film.exp for part in parts])
    pose = np.concatenate([part.film.pose for part in parts])
    person = figures_of(habits(exp, pose, good))[worded]
    says = speaker.saying(np.concatenate([part.sound for part in parts]))
    here = np.mean([figures_of(said) for said in says(named, good=good)], axis=0)[worded]
    if min(*person, *here) >= LEAST:
        out[worded] = person / here * reach.figures.mean(0)[worded]
    return out
