"""Clips in the files of other programs: one file here per format, told by the ending.

To add a format, write a function that turns a `Clip` into bytes and name it in `FORMATS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from posetalk.formats.clip import Clip

Writer = Callable[..., bytes]
"""Takes a `Clip`; and `fps`, where a format's frame rate can be chosen."""


@dataclass(frozen=True)
class Format:
    """What an ending means, and the module whose `write` makes it."""

    meaning: str
    module: str
    arkit: bool = False
    """Whether the head must have ARKit channels."""
    any_fps: bool = False
    """Whether it can have another frame rate than the motion's."""

    def writer(self) -> Writer:
        """The function that writes it; its module is loaded when it is needed."""
        write: Writer = importlib.import_module(self.module).write
        return write


FORMATS: Final[dict[str, Format]] = {
    ".csv": Format(
        "ARKit weights, as Live Link Face", "posetalk.formats.csv_table", arkit=True, any_fps=True
    ),
    ".glb": Format("animated head, glTF", "posetalk.formats.glb"),
    ".usda": Format("animated head, USD", "posetalk.formats.usda"),
    ".bvh": Format("joints", "posetalk.formats.bvh"),
}

__all__ = ["FORMATS", "Clip", "Format"]
