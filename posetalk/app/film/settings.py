"""How a film of the face looks: its size, frame rate, camera and background, judged beforehand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from posetalk.terminal.console import UsageError

if TYPE_CHECKING:
    from viewer.scene.background import Background

Camera = Literal["head", "bust", "profile"]
DEFAULT_SIZE = "512"
FILMS = (".mp4", ".webm", ".mov")
TRANSPARENT = (".webm", ".mov", ".png")
"""Files that can have nothing behind the head."""
LARGEST = 8192


@dataclass(frozen=True)
class FilmSettings:
    """A film of the face.

    Attributes:
        width, height: pixels, even numbers.
        fps: frames per second of films and pictures; the motion's own 25 if None.
        camera: where it stands.
        background: `studio`, `transparent`, a colour or a picture's file.
    """

    width: int = 512
    height: int = 512
    fps: int | None = None
    camera: Camera = "head"
    background: str = "studio"

    @staticmethod
    def of(
        size: str | int,
        fps: int | None = None,
        camera: Camera = "head",
        background: str = "studio",
        paths: Sequence[Path] = (),
    ) -> FilmSettings:
        """From what a user says, for files of these names.

        Raises:
            UsageError: a value that cannot be; one line.
        """
        width, height = parse_size(size)
        settings = FilmSettings(width, height, fps, camera, background)
        endings = {path.suffix.lower() for path in paths}
        if fps is not None:
            _check_fps(fps, endings)
        if background == "transparent" and (opaque := endings & {".mp4"}):
            raise UsageError(
                f"--background transparent: {opaque.pop()} films have no transparency; name it "
                ".webm (VP9), .mov (ProRes 4444) or .png (one picture a frame)"
            )
        settings.behind()
        return settings

    def behind(self) -> Background:
        """What stands behind the head.

        Raises:
            UsageError: no such colour, and no picture of that name.
        """
        from viewer.play.pictures import read_picture
        from viewer.scene.background import parse_background

        try:
            return parse_background(
                self.background, lambda path: read_picture(path, self.width, self.height)
            )
        except (OSError, ValueError) as error:
            raise UsageError(str(error)) from None


def parse_size(text: str | int) -> tuple[int, int]:
    """`N` or `WxH`, in pixels.

    Raises:
        UsageError: no size, or one that no encoder takes.
    """
    found = re.fullmatch(r"(\d{1,5})(?:[x×](\d{1,5}))?", str(text).lower())
    if found is None:
        raise UsageError(
            f"--size {text}: give WIDTHxHEIGHT in pixels, such as 1280x720, or one side"
        )
    width, height = int(found[1]), int(found[2] or found[1])
    if width % 2 or height % 2 or not (16 <= min(width, height) <= max(width, height) <= LARGEST):
        raise UsageError(f"--size {text}: sides must be even numbers from 16 to {LARGEST}")
    return width, height


def _check_fps(fps: int, endings: set[str]) -> None:
    from posetalk.formats.csv_table import check_fps
    from stream.run.resample import FILM_RATES

    pictures = endings & {*FILMS, ".png", ".glb", ".usda", ".bvh"}
    if pictures and fps not in FILM_RATES:
        rates = ", ".join(map(str, FILM_RATES[:-1]))
        raise UsageError(f"--fps {fps}: choose {rates} or {FILM_RATES[-1]}")
    if endings == {".npz"}:
        raise UsageError("--fps: motion files (.npz) have the model's 25 frames per second")
    try:
        check_fps(fps)
    except ValueError as error:
        raise UsageError(str(error)) from None
