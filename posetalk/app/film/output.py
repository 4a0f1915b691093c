"""Films of the face with their sound, and sequences of pictures, at any frame rate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stream.frames import FPS, SAMPLE_RATE
from stream.resample import Resampler
from viewer.play.film import Film, open_writer

if TYPE_CHECKING:
    from head.rig import Head
    from stream.frames import Frame

Floats = NDArray[np.float32]


class PictureOutput:
    """A film (`.mp4`, `.webm`, `.mov`) marked as synthetic; or `NAME.png`, which is written as
    `NAME-00000.png`, `NAME-00001.png`, ...

    Motion is brought to the film's frame rate before it is drawn: no picture comes twice.
    """

    def __init__(self, path: Path, shape: Floats | None, head: Head, film: Film) -> None:
        from viewer.render.renderer import Renderer

        self.path = path
        self._head, self._fps = head, film.fps or FPS
        self._sound = np.zeros(0, np.float32)  # whose picture has not come
        self._pictures = self._samples = 0
        self._motion = Resampler(self._fps)
        own = None if shape is None else shape[: head.shape_count]
        self._shape = own if np.any(own) else None  # the mean face costs nothing
        self._renderer = Renderer(
            head, film.width, film.height, camera=film.camera, background=film.background
        )
        try:
            self._writer = open_writer(path, film, self._fps)
        except BaseException:
            self._renderer.close()
            raise

    def write_audio(self, samples: Floats) -> None:
        self._sound = np.concatenate([self._sound, samples])

    def show(self, frames: Sequence[Frame]) -> None:
        self._draw(self._motion.feed(frame.motion for frame in frames))

    def _draw(self, rows: Sequence[Floats]) -> None:
        from viewer.play.player import vertices_of_motion

        for motion in rows:
            vertices = vertices_of_motion(self._head, motion, self._shape)
            self._writer.add_frame(self._renderer.render(vertices))
            self._pictures += 1
            # Sound waits for its picture, so that both end together wherever the work is cut.
            due = self._pictures * SAMPLE_RATE // self._fps - self._samples
            self._writer.add_audio(self._sound[:due])
            self._samples += min(due, len(self._sound))
            self._sound = self._sound[due:]

    def close(self) -> None:
        try:
            self._draw(self._motion.finish())
            left, self._sound = self._sound, self._sound[:0]
            self._writer.add_audio(left)  # of the last frame
            self._writer.close()
        finally:
            self._renderer.close()

    def abandon(self) -> Path | None:
        try:
            return self._writer.abandon()
        finally:
            self._renderer.close()

    def discard(self) -> None:
        self._writer.discard()
        self._renderer.close()
