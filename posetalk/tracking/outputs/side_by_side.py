"""A film with the person on the left and the tracked head on the right, for the eye to judge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from head.rig import load_head
from head.skinning import skin
from posetalk.tracking.sources.film import Film, Picture
from posetalk.tracking.sources.sound import sound_of
from posetalk.tracking.track import FPS, Tracked
from stream.frames import SAMPLE_RATE

SIDE = 384
"""Pixels of each half."""
DOUBTFUL = np.array([190, 60, 40], np.uint8)
"""Colour of the bar under frames that are marked."""


def pairs(film: Film, tracked: Tracked, side: int = SIDE) -> Iterator[Picture]:
    """Pictures (side, 2 side, 3) uint8, 25 a second: the film's, and the head as it was tracked.

    A red bar stands under frames that are marked.

    Raises:
        viewer.render.gl.GLError: nothing can draw here.
    """
    from viewer.render.renderer import Renderer

    head = load_head(tracked.head)
    shots = iter(film)
    shot = next(shots)
    with Renderer(head, side, side) as renderer:
        for k in range(len(tracked)):
            while shot.end < (k + 0.5) / FPS:
                following = next(shots, None)
                if following is None:
                    break
                shot = following
            pose = tracked.pose[k]
            vertices = skin(head, tracked.exp[k], global_rotation=pose[:3], jaw_pose=pose[3:])
            drawn = renderer.render(vertices, zoom=1.2)
            both = np.concatenate([_square(shot.picture, side), drawn], axis=1)
            if tracked.marks[k]:
                both[-6:] = DOUBTFUL
            yield both


def write_comparison(path: Path, film: Film, tracked: Tracked) -> None:
    """Write the pairs as an mp4 with the film's sound.

    Raises:
        viewer.play.video.VideoError: it cannot be written.
    """
    from viewer.play.video import VideoWriter

    writer = VideoWriter(path, 2 * SIDE, SIDE, FPS, SAMPLE_RATE, sound=film.has_sound)
    sound = sound_of(film)
    try:
        for picture in pairs(film, tracked):
            writer.add_frame(picture)
            while film.has_sound and writer.samples < writer.frames * SAMPLE_RATE // FPS:
                block = next(sound, None)
                if block is None:
                    break
                writer.add_audio(block)
        writer.close()
    finally:
        writer.discard()


def _square(picture: Picture, side: int) -> NDArray[np.uint8]:
    """The middle of a picture, (side, side, 3), by its nearest pixels."""
    height, width = picture.shape[:2]
    size = min(height, width)
    steps = ((np.arange(side) + 0.5) * size / side).astype(int)
    return picture[np.ix_((height - size) // 2 + steps, (width - size) // 2 + steps)].copy()
