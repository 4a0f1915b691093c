"""What stands behind a drawn head: the look's studio, one colour, a picture, or nothing.

The last three are put under pictures that were drawn with nothing behind, whose colours have their
coverage in them already.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from head.errors import WrongValue

Pixels = NDArray[np.uint8]

COLOURS = {
    "black": "#000000",
    "white": "#ffffff",
    "grey": "#808080",
    "green": "#00b140",
    "blue": "#0047bb",
    "magenta": "#ff00ff",
}
"""Names that are taken for a colour; green and blue are those of studio walls."""
STUDIO, TRANSPARENT = "studio", "transparent"


@dataclass(frozen=True, eq=False)
class Background:
    """What is seen where the head is not.

    Attributes:
        kind: `studio`, `transparent` or `plain`.
        under: (3,) or (h, w, 3) uint8 that is put under the head, where plain.
    """

    kind: str = STUDIO
    under: Pixels | None = None

    @property
    def drawn(self) -> bool:
        """Whether the renderer draws it: only the studio."""
        return self.kind == STUDIO

    def put_under(self, picture: Pixels) -> Pixels:
        """(h, w, 4) with coverage -> (h, w, 3) over this background; as it is where transparent."""
        if self.kind == TRANSPARENT:
            return straight(picture)
        assert self.under is not None
        left = 255 - picture[..., 3:].astype(np.uint16)
        shown = picture[..., :3] + (left * self.under + 127) // 255
        return np.minimum(shown, 255).astype(np.uint8)


def straight(picture: Pixels) -> Pixels:
    """(h, w, 4) with colours times coverage -> colours and coverage, as files hold them."""
    alpha = np.maximum(picture[..., 3:].astype(np.uint16), 1)
    colours = np.minimum((picture[..., :3].astype(np.uint16) * 255 + alpha // 2) // alpha, 255)
    return np.concatenate([colours.astype(np.uint8), picture[..., 3:]], axis=-1)


def parse_background(text: str, read: Callable[[Path], Pixels]) -> Background:
    """`studio`, `transparent`, a colour (a name or #rrggbb), or a picture's file.

    Args:
        text: one of these.
        read: gives a file's picture (h, w, 3) in the size that is needed.

    Raises:
        ValueError: none of these; one line.
        OSError: a picture that cannot be read.
    """
    if text in (STUDIO, TRANSPARENT):
        return Background(text)
    colour = COLOURS.get(text.lower(), text)
    if re.fullmatch(r"#?[0-9a-fA-F]{6}", colour):
        digits = colour.removeprefix("#")
        return Background("plain", np.frombuffer(bytes.fromhex(digits), np.uint8))
    path = Path(text)
    if not path.is_file():
        names = ", ".join(COLOURS)
        raise WrongValue(
            f"--background {text}: no such picture, and no colour: give a file, transparent, "
            f"studio, #rrggbb or one of {names}"
        )
    return Background("plain", read(path))
