"""A film or a window of the face: how it looks, and the file that its pictures go into."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from stream.frames import FPS, SAMPLE_RATE
from viewer.scene.background import Background

if TYPE_CHECKING:
    from viewer.play.pictures import PictureSequence
    from viewer.play.video import VideoWriter

    Writer: TypeAlias = VideoWriter | PictureSequence


@dataclass(frozen=True)
class Film:
    """How the face is shown.

    Attributes:
        width, height: pixels; even numbers where a film is made.
        fps: a film's pictures a second; those of its motion if None.
        camera: one of `viewer.scene.framing.CAMERAS`.
        background: what stands behind the head.
        neutral: whether a film begins with one picture of the face at rest.
    """

    width: int = 512
    height: int = 512
    fps: int | None = None
    camera: str = "head"
    background: Background = field(default_factory=Background)
    neutral: bool = False


def open_writer(path: Path, film: Film, fps: int = FPS, rate: int = SAMPLE_RATE) -> Writer:
    """What writes a film's pictures, `fps` a second, and its sound, `rate` samples a second.

    Raises:
        VideoError, FileExistsError: it cannot be written.
        ValueError: its name or its size is none for a film.
    """
    if path.suffix.lower() == ".png":
        from viewer.play.pictures import PictureSequence

        return PictureSequence(path)
    from viewer.play.video import VideoWriter

    clear = film.background.transparent
    return VideoWriter(path, film.width, film.height, fps, rate, alpha=clear)
