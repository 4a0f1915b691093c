"""How a film or a window of the face looks, as a user says it, judged before any work is done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote

import tyro

from posetalk.terminal.console import UsageError

if TYPE_CHECKING:
    from viewer.play.film import Film
    from viewer.scene.background import Background

Camera = Literal["head", "bust", "profile"]
DEFAULT_SIZE = "512"
FILMS = (".mp4", ".webm", ".mov")
TRANSPARENT = (".webm", ".mov", ".png")
"""Files that can have nothing behind the head."""
LARGEST = 8192
MOST_PIXELS = 35_651_584
"""Of a film's picture: the highest levels of H.264 (6.2, 139,264 macroblocks) and of VP9 (6.2) have
no more. That is 8192x4352; 8K is 7680x4320."""


@dataclass(frozen=True)
class FilmSettings:
    """How the face is shown: in films and pictures, and as far as it applies, in a window."""

    size: Annotated[str, tyro.conf.arg(metavar="WxH")] = DEFAULT_SIZE
    """Width and height in pixels, even numbers; one number is both."""
    fps: Annotated[
        int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: 25, a .csv 60)")
    ] = None
    """Frames per second of what is written: 24, 25, 30, 50 or 60 (1 to 240 of a .csv); the motion
    between two frames is interpolated. Motion files (.npz) have 25."""
    camera: Annotated[Camera, tyro.conf.arg(metavar="head|bust|profile")] = "head"
    """Where the face is seen from."""
    background: Annotated[str, tyro.conf.arg(metavar="COLOUR|IMAGE|transparent")] = "studio"
    """What is behind the head: a colour (a name, #rrggbb), a picture's file, or nothing, in a .webm
    (VP9), .mov (ProRes 4444) or .png (a picture a frame)."""
    neutral: Annotated[bool, tyro.conf.arg(help_behavior_hint="")] = False
    """Begin with one frame of the face at rest, for programs that measure from it."""

    def film(self, paths: Sequence[Path] = ()) -> Film:
        """The look of a window and of files with these names.

        Raises:
            UsageError: a value that cannot be; one line.
        """
        from viewer.play.film import Film

        width, height = parse_size(self.size)
        endings = {path.suffix.lower() for path in paths}
        if endings & set(FILMS) and width * height > MOST_PIXELS:
            raise UsageError(
                f"--size {self.size}: no player of films takes more than {MOST_PIXELS:,} pixels, "
                f"which 8192x4352 has; .png takes up to {LARGEST}x{LARGEST}"
            )
        if self.fps is not None:
            _check_fps(self.fps, endings)
        if self.background == "transparent" and ".mp4" in endings:
            raise UsageError(
                "--background transparent: .mp4 films have no transparency; name it .webm (VP9), "
                ".mov (ProRes 4444) or .png (one picture a frame)"
            )
        behind = self._behind(width, height)
        return Film(width, height, self.fps, self.camera, behind, self.neutral)

    def check_shown(self, *, window: bool, page: bool, record: bool) -> None:
        """Refuse what would have no effect where the face is shown.

        Raises:
            UsageError: a setting of a window or a recording, and there is none; one line.
        """
        changed = {each.name for each in fields(self) if getattr(self, each.name) != each.default}
        if record:
            return
        for name in ("fps", "neutral"):
            if name in changed:
                raise UsageError(f"--{name} goes with --record")
        if self.background == "transparent" and window:
            raise UsageError(
                "--background transparent goes with --record NAME.webm: a window has something "
                "behind"
            )
        for name in sorted(changed) if not window else ():
            if not page or name == "size" or self.background_is_file:
                more = "" if name == "size" else ", or --view web"
                raise UsageError(f"--{name} goes with a window or --record{more}")

    @property
    def background_is_file(self) -> bool:
        """Whether it names a picture, which no page is told of."""
        return Path(self.background).is_file()

    def arguments(self) -> list[str]:
        """The same as options of a command."""
        said: list[str] = []
        for each in fields(self):
            value = getattr(self, each.name)
            if value != each.default:
                said += [f"--{each.name}", *([] if value is True else [str(value)])]
        return said

    def query(self) -> list[str]:
        """The same for the web page's address, as far as a page is told: NAME=VALUE each."""
        from viewer.scene.background import COLOURS

        said = [f"camera={self.camera}"] if self.camera != "head" else []
        if self.background != "studio":
            colour = COLOURS.get(self.background.lower(), self.background)
            said.append(f"background={quote(colour)}")
        return said

    def _behind(self, width: int, height: int) -> Background:
        from viewer.play.pictures import read_picture
        from viewer.scene.background import parse_background

        try:
            return parse_background(self.background, lambda path: read_picture(path, width, height))
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
    from stream.resample import FILM_RATES

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
