"""A client's session that goes on where another server's has ended.

The last seconds are heard again and shown to nobody; what comes after the last frame that the
client has is made as if nothing had been.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from head.errors import WrongValue
from stream.frames import FRAME_SAMPLES, SAMPLE_RATE, Frame
from stream.run.push.session import SLACK, ClientSession

Floats = NDArray[np.float32]

SILENT_SECONDS = 2
"""Of speech that are heard again: as long as a window of the model looks back, and more."""
MOST_AHEAD = 90 * SAMPLE_RATE
"""Samples of a session's sound that may be brought."""


@dataclass(frozen=True)
class Past:
    """What a client brings of its session.

    Attributes:
        shown: the first sample of the last frame that it has; -1: it has none.
        sound: pieces (first sample, (n,) samples) that it pushed, in order; silence between them.
        age: seconds since sample 0.
    """

    shown: int
    sound: Sequence[tuple[int, Floats]]
    age: float

    @property
    def first(self) -> int:
        """The first sample that is to be shown again."""
        return 0 if self.shown < 0 else self.shown // FRAME_SAMPLES * FRAME_SAMPLES + FRAME_SAMPLES

    @property
    def base(self) -> int:
        """The sample from which on it is heard."""
        return max(0, self.first - SILENT_SECONDS * SAMPLE_RATE)

    def laid(self) -> Floats:
        """The sound from `base` on; to the clock's sample at least, where that is near.

        Raises:
            ValueError: more than a session holds.
        """
        base, now = self.base, int(self.age * SAMPLE_RATE)
        if self.first > max(0, now) + MOST_AHEAD:
            raise WrongValue("that frame is of a time that has not come: open a new session")
        end = max([min(now, self.first + 2 * SAMPLE_RATE), *(at + len(s) for at, s in self.sound)])
        if end - base > MOST_AHEAD:
            raise WrongValue(f"at most {MOST_AHEAD // SAMPLE_RATE} s of a session may be brought")
        laid = np.zeros(max(0, end - base), np.float32)
        for at, samples in self.sound:
            part = samples[max(0, base - at) :]
            start = max(0, at - base)
            laid[start : start + len(part)] = part
        return laid


class ResumedSession(ClientSession):
    """A `ClientSession` with a past.

    Args:
        past: of the session that it goes on with.
        settings: of `ClientSession`.

    Raises:
        stream.run.scheduler.CapacityError: there is no room for it.
        ValueError: its past cannot be.
    """

    def __init__(self, *arguments: Any, past: Past, **settings: Any) -> None:
        laid = past.laid()
        super().__init__(*arguments, **settings)
        self.zero = self._clock.now() - past.age
        self._shift, self._first = -past.base, past.first
        self._silent = past.first - past.base
        self._slack = SLACK + self._silent  # all of it at once
        self._timeline.go_on(past.base, laid)
        self._scheduled.hurry(self._silent)

    def _deliver(self, frames: list[Frame]) -> None:
        super()._deliver(frames)
        if self._done >= self._silent:
            self._slack = SLACK
