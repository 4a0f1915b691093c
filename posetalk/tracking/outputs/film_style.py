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
    loaded = load_bundle(bundle)
    tracked, page = [], []
    for source in sources:
        name = source.path.name if isinstance(source, Film) else "the camera"
        found = track_source(source, settings, f"tracking {name}")
        page += lines(found, name)
        tracked.append(meant(found, channel_map()))
    if loaded.head_id != builtin_head().id:
        target = open_head(loaded.head_id)
        tracked = [on_head(found, target) for found in tracked]
    windows = style_windows(tracked)
    with working(f"loading {bundle}"):
        made = encode(windows, bundle, frames=sum(len(found) for found in tracked))
    return made, page
