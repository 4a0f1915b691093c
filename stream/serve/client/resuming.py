"""A session that goes on on this server once its client has brought the sound of before."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream.frames import SAMPLE_RATE
from stream.run.push.resumed import MOST_AHEAD
from stream.wire import messages, session_messages

MOST_PIECES = 2_000  # of sound that may be brought with a ticket
TOO_LONG = messages.Error(
    "open", f"at most {MOST_AHEAD // SAMPLE_RATE} s of a session may be brought", False
)


@dataclass
class Resuming:
    """What is to go on, and what has come of it so far.

    Attributes:
        request: what the client asked for.
        sound: what it has brought so far: (n,) samples, and the index of the first of them.
    """

    request: session_messages.Resume
    sound: list[tuple[int, NDArray[np.float32]]] = field(default_factory=list)

    def bring(self, start: int, samples: NDArray[np.float32]) -> bool:
        """One piece more; False: that is more than a session may hold."""
        self.sound.append((start, samples))
        return sum(len(piece) for _, piece in self.sound) <= MOST_AHEAD

    @property
    def is_complete(self) -> bool:
        """Whether all that was announced is here."""
        return len(self.sound) >= self.request.pieces
