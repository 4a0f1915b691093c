"""A film or the camera, tracked with a progress bar: what `track`, `style` and `dataset` share."""

from __future__ import annotations

from pathlib import Path

from posetalk.app.settings.tracking import TrackingSettings
from posetalk.terminal.progress import frame_bar, working
from posetalk.tracking.landmarks.model_file import ask_on_terminal, find_model
from posetalk.tracking.landmarks.tracker import LandmarkTracker
from posetalk.tracking.problem import TrackingError
from posetalk.tracking.sources.camera import Camera
from posetalk.tracking.sources.film import Film
from posetalk.tracking.track import Tracked, track


def track_source(
    source: Film | Camera, settings: TrackingSettings, label: str, folder: Path | None = None
) -> Tracked:
    """Track a source, with a bar on a terminal.

    Args:
        source: its pictures.
        settings: where the landmark model is, and which face to follow.
        label: what the bar says.
        folder: where landmarks wait on disk; the system's place for such files if None.

    Raises:
        TrackingError: no model, no MediaPipe, or no face; one line.
    """
    model = find_model(settings.model, fetch=settings.fetch_model, ask=ask_on_terminal)
    with working("loading the landmark model"):
        sees = LandmarkTracker(model)
    with sees, frame_bar(label, source.frames, source.fps) as note:
        try:
            return track(source, sees, face=settings.face, folder=folder, note=note)
        except TrackingError as error:
            if isinstance(source, Film) and str(source.path) not in str(error):
                raise TrackingError(f"{source.path}: {error}") from None  # one of many, maybe
            raise
