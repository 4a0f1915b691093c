"""Stills of the built-in head for sheets: near the mouth, drawn at twice their size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from head.rig import builtin_head
from head.skinning import motion_to_parameters, skin

if TYPE_CHECKING:
    from viewer.render.renderer import Renderer

FACE = (1.6, 0.04)
"""How near the camera comes, and by how many metres the mouth is nearer to the middle."""
MOUTH = (2.7, 0.065)
"""The lower half of the face alone."""

Array = NDArray[np.floating]


class Stills:
    """Draws one pose after another; `stills` makes it."""

    def __init__(self, renderer: Renderer, size: int, view: tuple[float, float]) -> None:
        self._renderer, self._size = renderer, size
        self._zoom, lift = view
        self._lift = np.array([0.0, lift, 0.0], np.float32)

    def draw(self, motion: Array) -> NDArray[np.uint8]:
        """A frame of motion (54,), raw: (size, size, 3)."""
        expression, rotation, jaw = motion_to_parameters(motion)
        posed = skin(builtin_head(), expression, global_rotation=rotation, jaw_pose=jaw)
        large = self._renderer.render(posed + self._lift, zoom=self._zoom)
        picture = large.reshape(self._size, 2, self._size, 2, 3).mean((1, 3))
        out: NDArray[np.uint8] = picture.round().astype(np.uint8)
        return out


@contextmanager
def stills(size: int, view: tuple[float, float] = FACE) -> Iterator[Stills]:
    """Whoever draws stills of `size` x `size` pixels, of FACE or MOUTH.

    Raises:
        viewer.render.gl.GLError: nothing draws here.
    """
    from viewer.render.renderer import Renderer

    with Renderer(builtin_head(), 2 * size, 2 * size) as renderer:
        yield Stills(renderer, size, view)
