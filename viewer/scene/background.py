"""What stands behind a drawn head: the look's studio, one colour, a picture, or nothing."""

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


COVER_VERTEX = """
#version 330 core
uniform vec2 share;  // of the picture that is seen, each way
out vec2 place;
void main() {
    vec2 corner = vec2(float((gl_VertexID << 1) & 2), float(gl_VertexID & 2));
    place = 0.5 + (corner - 0.5) * share * vec2(1.0, -1.0);
    gl_Position = vec4(corner * 2.0 - 1.0, 0.9999, 1.0);
}
"""

COVER_FRAGMENT = """
#version 330 core
in vec2 place;
uniform sampler2D picture;
out vec4 shown;
void main() { shown = vec4(texture(picture, place).rgb, 1.0); }
"""


@dataclass(frozen=True, eq=False)
class Background:
    """What is seen where the head is not.

    Attributes:
        kind: `studio`, `transparent` or `plain`.
        under: (3,) or (h, w, 3) uint8 that is seen behind the head, where plain.
    """

    kind: str = STUDIO
    under: Pixels | None = None

    @property
    def transparent(self) -> bool:
        """Whether nothing stands there, and pictures have a fourth channel."""
        return self.kind == TRANSPARENT

    def share(self, width: int, height: int) -> tuple[float, float]:
        """How much of a plain one is seen, across and down, where it fills a picture's size."""
        assert self.under is not None
        high, wide = self.under.shape[:2] if self.under.ndim == 3 else (1, 1)
        if high == wide == 1:
            return 1.0, 1.0
        shape = (width / height) / (wide / high)
        return (1.0, 1 / shape) if shape > 1 else (shape, 1.0)


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
