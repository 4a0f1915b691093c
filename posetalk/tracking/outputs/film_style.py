"""A style from films or the camera: track, read the windows without a mark, liken the bundle."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffposetalk.bundle.bundle import load_bundle
from diffposetalk.bundle.styles import write_style
from head.rig import builtin_head, open_head
from posetalk import demo_speech
from posetalk.app.animate import animate, read_blocks
from posetalk.app.settings import TrackingSettings
from posetalk.app.style_extraction import Extracted, encode
from posetalk.terminal.progress import working
from posetalk.tracking.channel_map import channel_map
from posetalk.tracking.outputs.likeness import liken, tabulate
from posetalk.tracking.outputs.with_progress import track_source
from posetalk.tracking.quality import believed
from posetalk.tracking.report import Habits, habits, lines
from posetalk.tracking.sources.camera import Camera
from posetalk.tracking.sources.film import Film
from posetalk.tracking.sources.sound import SAMPLE_RATE, sound_of
from posetalk.tracking.style import meant, style_windows
from posetalk.tracking.track import Tracked
from posetalk.tracking.track_file import on_head

Floats = NDArray[np.float32]

MOST_WORDS: Final = 12.0
LEAST_WORDS: Final = 5.0
"""Seconds of speech by which bundle and person are compared."""
SILENT: Final = 1e-3
"""Root mean square below which nobody speaks."""
MOST_SECONDS = 1800.0
"""Of each film: half an hour tells a style as well as a day."""


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
    tracked, page = [], []
    for source in sources:
        name = source.path.name if isinstance(source, Film) else "the camera"
        tracked.append(track_source(source, settings, f"tracking {name}"))
        page += lines(tracked[-1], name)
    films = [source for source in sources if isinstance(source, Film) and source.has_sound]
    return style_of(tracked, bundle, words_of(sound_of(film) for film in films)), page


def extract_from_motion(path: Path, found: Tracked, bundle: str) -> tuple[Extracted, list[str]]:
    """The style in a motion file that `posetalk track` wrote, as if it came from its film.

    Raises:
        As `extract_from`, and SourceError where the sound beside it cannot be read.
    """
    sound = path.with_suffix(".wav")
    heard = [read_blocks(sound, SAMPLE_RATE)] if sound.is_file() else []
    return style_of([found], bundle, words_of(heard)), lines(found, path.name)


def style_of(films: Sequence[Tracked], bundle: str, words: Floats) -> Extracted:
    """The style of the person in tracked films.

    Args:
        films: as they were tracked, on the built-in head.
        bundle: that will speak so.
        words: (n,) speech at 16 kHz to compare bundle and person by.
    """
    loaded = load_bundle(bundle)
    read = [meant(found, channel_map()) for found in films]
    own = loaded.head_id == builtin_head().id
    if not own:
        target = open_head(loaded.head_id)
        read = [on_head(found, target) for found in read]
    windows = style_windows(read)
    with working(f"loading {bundle}"):
        made = encode(windows, bundle, frames=sum(len(found) for found in read))
    if not own or len(loaded.styles) < 2:
        return made  # nothing to compare by
    with working(f"{bundle} speaks in each of its styles"):
        return replace(made, vector=likened(films, made.vector, bundle, words))


def likened(films: Sequence[Tracked], seen: Floats, bundle: str, words: Floats) -> Floats:
    """(d,) the mix of the bundle's styles that moves most like the person in `films`."""
    speaks = speaker(bundle, words)
    table = tabulate(load_bundle(bundle).styles, speaks)
    vector, _ = liken(habits_of(films), seen, table, speaks)
    return vector


def habits_of(films: Sequence[Tracked]) -> Habits:
    """What a person does in all films that are believed."""
    exp, pose, marks = (
        np.concatenate([getattr(film, name) for film in films]) for name in ("exp", "pose", "marks")
    )
    return habits(exp, pose, believed(marks))


def speaker(bundle: str, words: Floats, seed: int = 0) -> Callable[[Floats], Habits]:
    """Speaks `words` in a style, and tells how the head moves."""

    def speaks(vector: Floats) -> Habits:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "style.npz"
            write_style(path, np.asarray(vector, np.float32))
            motion = animate(words, bundle=bundle, style=str(path), seed=seed)
        return habits(motion.exp, motion.pose)

    return speaks


def words_of(sounds: Iterable[Iterable[Floats]]) -> Floats:
    """(n,) the person's own words, to `MOST_WORDS` seconds: so both have the same to say. Where
    there is little or no sound, the demo's."""
    heard = np.zeros(0, np.float32)
    most = int(MOST_WORDS * SAMPLE_RATE)
    for sound in sounds:
        for block in sound:
            heard = np.concatenate([heard, block])
            if len(heard) >= most:
                break
    heard = heard[:most]
    if len(heard) >= LEAST_WORDS * SAMPLE_RATE and np.sqrt((heard**2).mean()) > SILENT:
        return heard
    spoken = np.concatenate(list(read_blocks(demo_speech(), SAMPLE_RATE)))
    return np.asarray(spoken[:most], np.float32)
