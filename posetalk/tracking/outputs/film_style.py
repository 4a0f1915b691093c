"""A style from films or the camera: track, take the windows without a mark, encode, average."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from diffposetalk.bundle.bundle import load_bundle
from head.rig import builtin_head, open_head
from posetalk.app.settings import TrackingSettings
from posetalk.app.style_extraction import Extracted, encode
from posetalk.terminal.progress import working
from posetalk.tracking.channel_map import channel_map
from posetalk.tracking.outputs.with_progress import track_source
from posetalk.tracking.report import lines
from posetalk.tracking.sources.camera import Camera
from posetalk.tracking.sources.film import Film
from posetalk.tracking.style import meant, style_windows
from posetalk.tracking.track import Tracked
from posetalk.tracking.track_file import on_head

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
    return style_of(tracked, bundle), page


def extract_from_motion(path: Path, found: Tracked, bundle: str) -> tuple[Extracted, list[str]]:
    """The style in a motion file that `posetalk track` wrote, as if it came from its film.

    Raises:
        As `extract_from`.
    """
    return style_of([found], bundle), lines(found, path.name)


def style_of(films: Sequence[Tracked], bundle: str) -> Extracted:
    """The style of the person in films as they were tracked, on the built-in head."""
    loaded = load_bundle(bundle)
    read = [meant(found, channel_map()) for found in films]
    if loaded.head_id != builtin_head().id:
        target = open_head(loaded.head_id)
        read = [on_head(found, target) for found in read]
    windows = style_windows(read)
    with working(f"loading {bundle}"):
        return encode(windows, bundle, frames=sum(len(found) for found in read))
