"""The audio that waits for a session: so much at most, and when each piece of it came."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stream.backends.protocol import FloatArray
from stream.frames import SAMPLE_RATE

MOST_WAITING = 10 * SAMPLE_RATE
"""Samples that may wait for a session."""


@dataclass(eq=False)
class _Piece:
    """Audio that waits: (n,) samples up to the absolute index `end`, here since `arrival`."""

    samples: FloatArray
    end: int
    arrival: float


class WaitingAudio:
    """A queue of audio by its absolute sample index; used under a lock of its owner.

    Attributes:
        arrived: samples that came so far; taken: samples that have left for the session.
    """

    def __init__(self) -> None:
        self.arrived = self.taken = 0
        self._pieces: deque[_Piece] = deque()

    @property
    def waiting(self) -> int:
        """Samples that are here and not yet taken."""
        return self.arrived - self.taken

    def fits(self, count: int) -> bool:
        """Whether so many more samples may wait."""
        return self.waiting + count <= MOST_WAITING

    def add(self, samples: FloatArray, now: float) -> None:
        """Queue (n,) samples, n > 0, that came at this moment."""
        self.arrived += len(samples)
        self._pieces.append(_Piece(samples, self.arrived, now))

    def silence(self) -> None:
        """What waits becomes silence of the same length."""
        for piece in self._pieces:
            piece.samples = np.zeros_like(piece.samples)

    def forget(self) -> None:
        """What waits will not be taken."""
        self._pieces.clear()

    def arrival(self, end: int) -> float | None:
        """When all samples before `end` were here; of the last piece if they are not, None if there
        is none.
        """
        for piece in self._pieces:
            if piece.end >= end:
                return piece.arrival
        return self._pieces[-1].arrival if self._pieces else None

    def take_until(self, end: int) -> Iterator[FloatArray]:
        """The audio before the absolute index `end`, in pieces, as it leaves."""
        while self.taken < end:
            piece = self._pieces[0]
            part = piece.samples[: end - self.taken]
            if len(part) < len(piece.samples):
                piece.samples = piece.samples[len(part) :]
            else:
                self._pieces.popleft()
            self.taken += len(part)
            yield part
