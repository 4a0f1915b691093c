"""A recording of what arrives: every frame drawn off-screen, at its own sample, with its sound."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stream.frames import FPS, SAMPLE_RATE
from viewer.client.watching import ReceivedMotion, Sound
from viewer.play.video import VideoError, VideoWriter
from viewer.render.renderer import Renderer

if TYPE_CHECKING:
    from head.model import Head

logger = logging.getLogger(__name__)

LONGEST_GAP_SECONDS = 20.0  # a longer jump of the server's timeline is cut out
WAITING_SOUNDS = 500


class Recorder:
    """Puts the first frame at time 0 and everything else where its sample says.

    After a disk has failed, `failure` has the line that says so and nothing more is written.
    Raises VideoError and `viewer.render.gl.GLError` only from the constructor.
    """

    def __init__(
        self, path: Path, head: Head, size: tuple[int, int], fps: int = FPS, rate: int = SAMPLE_RATE
    ) -> None:
        self._writer = VideoWriter(path, *size, fps, rate)
        try:
            self._renderer = Renderer(head, *size)
        except BaseException:
            self._writer.abandon()
            raise
        self.path = path
        self.failure: str | None = None
        self._fps, self._rate = fps, rate
        self._zero: int | None = None  # sample that is time 0 of the video
        self._early: list[Sound] = []  # sound that came before the first frame

    @property
    def seconds(self) -> float:
        """Length of the video so far."""
        return self._writer.frames / self._fps

    def show(self, motion: ReceivedMotion, vertices: NDArray[np.float32]) -> None:
        """Draw a frame at its own time; the one before it stays until then."""
        if self.failure is not None:
            return
        hop = self._rate // self._fps
        end = self._writer.frames
        if self._zero is None:
            self._zero = motion.sample
        ahead = (motion.sample - self._zero) // hop - end
        if ahead < -self._fps or ahead > LONGEST_GAP_SECONDS * self._fps:
            self._zero = motion.sample - end * hop  # a new timeline goes on where the old one ended
        try:
            self._writer.add_frame(
                self._renderer.render(vertices), (motion.sample - self._zero) // hop
            )
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
        """Finish the file."""
        try:
            self._writer.close()
        except VideoError as error:
            self._fail(error)
        self._renderer.close()

    def _fail(self, error: VideoError) -> None:
        if self.failure is None:
            self.failure = f"{error}{self._writer.kept}"
            logger.error("%s", self.failure)
