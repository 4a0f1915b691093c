"""One clip's way through a session: sound into the scheduler, frames out as weights and sound."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from head.arkit.weights import arkit_weights, has_arkit_channels
from head.errors import WrongValue
from head.model import Head
from head.skinning import motion_to_parameters
from stream.core.conditions import ConditionChange, style_vector
from stream.core.session import Session
from stream.frames import FRAME_SAMPLES, SAMPLE_RATE, Frame
from stream.run.push.session import OpenScheduler
from stream.serve.a2f.clip import SpeechClip
from stream.serve.a2f.emotions import EmotionMix, style_vector_of, unshown
from stream.serve.a2f.shaping import Shape, Shaper

Floats = NDArray[np.float32]
T = TypeVar("T")

MOST_AHEAD = 4 * SAMPLE_RATE
"""Sound that may be on its way through the model and not sent yet: more is not read."""
PIECES_A_SECOND = 2
"""Of sound, so much is handed over at once."""
MOST_EMOTIONS = 500
"""That may be waiting for their moment."""


@dataclass(frozen=True)
class Animated:
    """One frame as it is sent.

    Attributes:
        seconds: of the clip, where it begins.
        weights: (52,).
        sound: what the client sent for it.
    """

    seconds: float
    weights: Floats
    sound: bytes


class Animation:
    """A clip that is animated; everything but `_deliver` and `_end` runs in the event loop.

    Args:
        scheduler: runs the session.
        session: new; it is the scheduler's from here on.
        head: that the session moves.
        clip: the sound.
        shape: what is done to the weights.
        mix: how emotions count.
        worker: solves for the weights of a head whose channels are not ARKit's.

    Raises:
        stream.run.scheduler.CapacityError: there is no room for it.
    """

    def __init__(
        self,
        scheduler: OpenScheduler,
        session: Session,
        head: Head,
        clip: SpeechClip,
        shape: Shape,
        mix: EmotionMix,
        worker: Executor,
    ) -> None:
        self._worker = None if has_arkit_channels(head) else worker
        self._head, self._clip, self._mix = head, clip, mix
        self._shaper = Shaper(shape)
        self._styles = session.backend.styles
        self._base = style_vector(session.style_name, self._styles)
        self._emotions: deque[tuple[int, Floats]] = deque()  # from a sample on, the style
        self._frames: deque[Frame] = deque()
        self._came, self._room = asyncio.Event(), asyncio.Event()
        self._post = asyncio.get_running_loop().call_soon_threadsafe
        self._fed = self._sent = self._reached = 0  # samples at 16 kHz
        self._over = False
        self.error: Exception | None = None
        # Every hop is a call of its own: a clip that is sent at once is not a clip that is late.
        self._scheduled = scheduler.open(session, self._deliver, on_end=self._end, realtime=False)

    # --- the client's side ---------------------------------------------------------------------
    def feel(self, seconds: float, emotions: dict[str, float], *, named: bool = True) -> list[str]:
        """Show emotions from a moment of the clip on; the names of those that no style shows.

        Args:
            named: they were named with the sound, and not for the beginning alone.

        Raises:
            ValueError: too many are waiting for their moment.
        """
        mix = self._mix
        part = 1.0 if not named else mix.preferred
        if part is None:
            return []
        share = mix.strength * part
        style = style_vector_of(emotions, self._base, self._styles, share, mix.most)
        sample = round(seconds * SAMPLE_RATE)
        if sample <= self._reached:
            self._scheduled.change(ConditionChange(style=style))
        elif len(self._emotions) < MOST_EMOTIONS:
            later = [*self._emotions, (sample, style)]
            self._emotions = deque(sorted(later, key=lambda each: each[0]))
        else:
            raise WrongValue(f"{MOST_EMOTIONS} emotions are ahead of the sound: send no more")
        return unshown(emotions, self._styles)

    async def hear(self, data: bytes) -> None:
        """Take sound; waits while too much of it is on its way.

        Raises:
            ValueError: it is not whole samples, or the session has ended.
        """
        clip = self._clip
        for piece in clip.pieces(data, clip.rate // PIECES_A_SECOND):
            await self._feed(clip.take(piece))

    async def finish(self) -> None:
        """The sound is over: the last frames follow, then `frames` ends."""
        await self._feed(self._clip.finish())
        self._scheduled.finish()

    def close(self) -> None:
        """End it, whatever is on its way."""
        self._scheduled.close()

    async def next(self) -> list[Animated]:
        """The frames that are there now, one at least; none once all were given.

        Raises what ended the session.
        """
        while not self._frames and not self._over:
            self._came.clear()
            await self._came.wait()
        if not self._frames and self.error is not None:
            raise self.error
        taken = [self._frames.popleft() for _ in range(len(self._frames))]
        if self._worker is None:
            return self._animated(taken)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, self._animated, taken)

    def sent(self, frames: int) -> None:
        """So many frames were sent: there is room for more sound."""
        self._sent += frames * FRAME_SAMPLES
        self._room.set()

    @property
    def ended(self) -> bool:
        """Whether no more frames will be made."""
        return self._over

    @property
    def _waiting(self) -> int:
        return self._fed - self._sent

    async def _feed(self, samples: Floats) -> None:
        while self._waiting > MOST_AHEAD and not self._over:
            self._room.clear()
            await self._room.wait()
        if len(samples):
            self._fed += len(samples)
            self._scheduled.feed(samples)

    def _animated(self, frames: list[Frame]) -> list[Animated]:
        if not frames:
            return []
        expression, _, jaw = motion_to_parameters(np.stack([frame.motion for frame in frames]))
        weights = arkit_weights(self._head, expression, jaw)
        return [
            Animated(frame.sample / SAMPLE_RATE, self._shaper(row), self._clip.sound())
            for frame, row in zip(frames, weights, strict=True)
        ]

    # --- the scheduler's side: its thread ------------------------------------------------------
    def _deliver(self, frames: list[Frame]) -> None:
        self._tell(self._take, frames)

    def _end(self, error: Exception | None) -> None:
        self._tell(self._stop, error)

    def _tell(self, call: Callable[[T], None], value: T) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is there to hear it
            self._post(call, value)

    def _take(self, frames: list[Frame]) -> None:
        self._frames.extend(frames)
        self._came.set()
        self._reached = frames[-1].sample + FRAME_SAMPLES
        while self._emotions and self._emotions[0][0] <= self._reached:
            self._scheduled.change(ConditionChange(style=self._emotions.popleft()[1]))

    def _stop(self, error: Exception | None) -> None:
        self.error, self._over = error, True
        self._came.set()
        self._room.set()
