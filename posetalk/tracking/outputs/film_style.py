"""A style from films or the camera: track, keep what can be believed, and find the style in which
the bundle moves as the person does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffposetalk.bundle.bundle import load_bundle
from diffposetalk.bundle.styles import encoder_of
from head.rig import builtin_head, open_head
from posetalk.app.settings.tracking import TrackingSettings
from posetalk.app.style_extraction import Extracted, encode
from posetalk.terminal.progress import working
from posetalk.tracking.likeness.likeness import FIGURES, Reach, figures_of, liken, reach_of
from posetalk.tracking.likeness.spoken import StyledSpeech
from posetalk.tracking.likeness.words import heard, in_other_words, sound_beside, sound_of_film
from posetalk.tracking.likeness.yardstick import goal_for, yardstick
from posetalk.tracking.outputs.with_progress import track_source
from posetalk.tracking.report import habits_of, lines
from posetalk.tracking.sources.camera import Camera
from posetalk.tracking.sources.film import Film
from posetalk.tracking.style import style_windows
from posetalk.tracking.track import Tracked
from posetalk.tracking.track_file import brought_to

Floats = NDArray[np.float32]

MOST_SECONDS = 1800.0
"""Of each film: half an hour tells a style as well as a day."""
FEWEST_STYLES = 3
"""Named styles of a bundle below which nothing is known of where a step would lead."""


def open_films(paths: Sequence[Path]) -> list[Film | Camera]:
    """The films, each to its first half hour.

    Raises:
        TrackingError: one cannot be read.
    """
    return [Film(path, seconds=MOST_SECONDS) for path in paths]


def open_camera(seconds: float, number: int) -> Film | Camera:
    """The camera.

    Raises:
        TrackingError: there is none, or it may not be used.
    """
    return Camera(seconds, number)


def extract_from(
    sources: Sequence[Film | Camera], bundle: str, settings: TrackingSettings
) -> tuple[Extracted, list[str]]:
    """The style of the person in `sources`, and a page of what they do.

    Raises:
        TrackingError: no face, or less than 4 s that can be believed.
        StyleError: the bundle takes no style.
        HeadError: the bundle's head is not here.
    """
    tracked, page, sounds = [], [], []
    for source in sources:
        name = source.path.name if isinstance(source, Film) else "the camera"
        tracked.append(track_source(source, settings, f"tracking {name}"))
        page += lines(tracked[-1], name)
        sounds.append(sound_of_film(source))
    made, said = style_of(tracked, bundle, sounds)
    return made, page + said


def extract_from_motion(path: Path, found: Tracked, bundle: str) -> tuple[Extracted, list[str]]:
    """The style in a motion file that `posetalk track` wrote, as if it came from its film, whose
    sound lies beside it or is missing.

    Raises:
        As `extract_from`.
    """
    made, said = style_of([found], bundle, [sound_beside(path)])
    return made, lines(found, path.name) + said


def style_of(
    films: Sequence[Tracked], bundle: str, sounds: Sequence[Floats | None]
) -> tuple[Extracted, list[str]]:
    """The style of the person in films as they were tracked, on the built-in head; and a line on
    what the bundle does in it.

    Bundles of other heads, and those with few styles, have the encoder's word for it alone.

    Args:
        films: as they were tracked.
        bundle: that will speak so.
        sounds: (n,) of each film from its start, mono at 16 kHz; None where it has none.
    """
    loaded = load_bundle(bundle)
    own = loaded.head_id == builtin_head().id
    read = films if own else [brought_to(found, open_head(loaded.head_id)) for found in films]
    windows, frames = style_windows(read), sum(len(found) for found in films)
    if not (own and loaded.spec.use_style) or len(loaded.styles) < FEWEST_STYLES:
        with working(f"loading {bundle}"):
            return encode(windows, bundle, frames=frames), []
    with working(f"loading {bundle}"):
        speaker = StyledSpeech(bundle)
    with working("speaking as the film does"):
        reach = reach_of(loaded.styles, speaker)
        goal = goal_of(films, sounds, loaded.styles, reach, speaker)
        found = liken(goal, reach, speaker)
    made = Extracted(found.vector, encoder_of(loaded.folder), frames, loaded.styles)
    return made, [spoken_line(found.figures)]


def goal_of(
    films: Sequence[Tracked],
    sounds: Sequence[Floats | None],
    styles: Mapping[str, Floats],
    reach: Reach,
    speaker: StyledSpeech,
) -> NDArray[np.float64]:
    """(F,) what the bundle shall do in its own speech to be like the person in the films."""
    parts = [
        part
        for film, sound in zip(films, sounds, strict=True)
        if sound is not None and (part := heard(film, sound)) is not None
    ]
    found = figures_of(habits_of(films))
    found = in_other_words(found, parts, reach, list(styles.values()), speaker)
    return goal_for(found, list(styles), reach, yardstick())


def spoken_line(figures: NDArray[np.float64]) -> str:
    """What a bundle does in a style, as figures (F,), below the page of its film."""
    found = dict(zip(FIGURES, figures, strict=True))
    return (
        f"spoken so  lips up to {found['opening']:.1f} mm, {found['tempo']:.1f} openings a second, "
        f"smile {found['smile']:+.2f}, head {found['head']:.1f}°"
    )
