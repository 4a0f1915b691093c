"""A recording of what arrives: every frame drawn off-screen, at its own sample, with its sound."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stream.frames import FPS, SAMPLE_RATE
from stream.resample import Resampler
from viewer.client.watching import ReceivedMotion, Sound
from viewer.play.film import Film, open_writer
from viewer.play.player import rest_like, vertices_of
from viewer.play.video import VideoError, VideoWriter
from viewer.render.renderer import Renderer

if TYPE_CHECKING:
    from head.model import Head

logger = logging.getLogger(__name__)

LONGEST_GAP_SECONDS = 20.0  # a longer jump of the server's timeline is cut out
WAITING_SOUNDS = 500

Floats = NDArray[np.float32]


class Recorder:
    """Puts the first frame at time 0 and everything else where its sample says.

    Motion is brought to the film's frame rate before it is drawn; where frames never came, a
    picture stays. After a disk has failed, `failure` has the line that says so and nothing more is
    written. Raises VideoError and `viewer.render.gl.GLError` only from the constructor.

    Args:
        path: of the film.
        head: whom the motion belongs to, with the identity `shape` (S,).
        film: how it looks.
        fps, rate: frames and samples a second of what arrives.
    """

    def __init__(
        self,
        path: Path,
        head: Head,
        film: Film,
        shape: Floats | None = None,
        fps: int = FPS,
        rate: int = SAMPLE_RATE,
    ) -> None:
        self._film_fps = film.fps or fps
        writer = open_writer(path, film, self._film_fps, rate)
        assert isinstance(writer, VideoWriter), "single pictures have no time of their own"
        self._writer = writer
        try:
            self._renderer = Renderer(
                head, film.width, film.height, camera=film.camera, background=film.background
            )
        except BaseException:
            self._writer.abandon()
            raise
        self.path = path
        self.failure: str | None = None
        self._head, self._shape, self._neutral = head, shape, film.neutral
        self._fps, self._rate = fps, rate
        self._motion = Resampler(self._film_fps, fps)
        self._places = 0  # frames of motion so far, gaps included
        self._zero: int | None = None  # sample that is time 0 of the film
        self._early: list[Sound] = []  # sound that came before the first frame

    @property
    def seconds(self) -> float:
        """Length of the film so far."""
        return self._writer.frames / self._film_fps

    def show(self, motion: ReceivedMotion) -> None:
        """Draw a frame at its own time; the one before it stays until then."""
        if self.failure is not None:
            return
        hop = self._rate // self._fps
        rows = [motion.values]
        if self._zero is None:
            self._zero = motion.sample
            if self._neutral:
                self._zero -= hop
                rows.insert(0, rest_like(self._head, self._shape, motion.values))
        place = (motion.sample - self._zero) // hop
        ahead = place - (self._places + len(rows) - 1)
        if ahead < -self._fps or ahead > LONGEST_GAP_SECONDS * self._fps:
            # A new timeline goes on where the old one ended.
            self._zero, ahead = motion.sample - self._places * hop, 0
        if ahead < 0:
            return  # its time has passed
        self._motion.skip(ahead)
        self._places += ahead + len(rows)
        try:
            first = self._motion.made
            self._draw(self._motion.feed(rows), first)
            for sound in self._early:
                self.hear(sound)
            self._early.clear()
        except VideoError as error:
            self._fail(error)

    def hear(self, sound: Sound) -> None:
        """Add sound at its own time."""
        if self.failure is not None:
            return
        if self._zero is None:
            self._early = [*self._early[-WAITING_SOUNDS:], sound]
            return
        try:
            self._writer.add_audio(sound.samples, sound.sample - self._zero)
        except VideoError as error:
            self._fail(error)

    def close(self) -> None:
        """Finish the file; a second call does nothing."""
        try:
            if self.failure is None:
                first = self._motion.made
                self._draw(self._motion.finish(), first)
            self._writer.close()
        except VideoError as error:
            self._fail(error)
        self._renderer.close()

    def _draw(self, rows: list[Floats], first: int) -> None:
        for number, row in enumerate(rows, first):
            picture = self._renderer.render(vertices_of(self._head, self._shape, row))
            self._writer.add_frame(picture, number)

    def _fail(self, error: VideoError) -> None:
        if self.failure is None:
            self.failure = f"{error}{self._writer.kept}"
            logger.error("%s", self.failure)
