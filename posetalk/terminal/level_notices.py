"""Tells viewers and the terminal how loud the speech is that is heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from posetalk.terminal.console import say
from stream.frames import SAMPLE_RATE, Frame
from stream.run.input_level import ADVICE, InputLevel, LevelState
from stream.wire import messages

if TYPE_CHECKING:
    from stream.run.sinks import FrameTiming

TOLD_SECONDS = 1.0
"""Viewers are told no more often, and only what has changed."""
BAD_SECONDS = 3
"""What is not well for so long is said on the terminal, once."""


class LevelNotices:
    """A sink that shows nothing itself: it says how `level` is as sound goes by.

    Args:
        level: of the sound that goes by, heard by its owner.
        tell: takes what viewers are told.
    """

    def __init__(self, level: InputLevel, tell: Callable[[messages.Level], None]) -> None:
        self._level, self._tell = level, tell
        self._next = round(TOLD_SECONDS * SAMPLE_RATE)
        self._told: messages.Level | None = None
        self._bad, self._lasted = "ok", 0
        self._said: set[LevelState] = set()

    def on_audio(self, start: int, samples: NDArray[np.float32]) -> None:
        """Sound went by: (n,) samples from the absolute index `start`."""
        end = start + len(samples)
        if end < self._next:
            return
        self._next = end + round(TOLD_SECONDS * SAMPLE_RATE)
        state, decibels = self._level.state, self._level.decibels
        now = messages.Level(None if decibels is None else float(round(decibels)), state)
        if now != self._told:
            self._told = now
            self._tell(now)
        self._lasted = self._lasted + 1 if state == self._bad else 1
        self._bad = state
        if self._lasted == BAD_SECONDS and state in ADVICE and state not in self._said:
            self._said.add(state)
            say(ADVICE[state])

    def on_frame(self, frame: Frame, timing: FrameTiming) -> None:
        """Nothing is to be said of a frame."""

    def on_interrupt(self, sample: int) -> None:
        """Nor of speech that was cut."""

    def close(self) -> None:
        """Nothing is held."""
