"""Recorded audio let go at the pace of time, or at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.audio import BLOCK_SAMPLES, SAMPLE_RATE, Block
from stream.clock import Clock

Pace: TypeAlias = Literal["realtime", "fast"]


class Blocks:
    """Cuts a run of audio into blocks and stamps them.

    `realtime`: blocks of 20 ms, each held back until its last sample is due, as a microphone would.
    `fast`: whatever is there, at once.

    Args:
        clock: gives the stamps and the waiting.
        pace: see above.
        closed: set from another thread to end every wait.
    """

    def __init__(self, clock: Clock, pace: Pace, closed: threading.Event) -> None:
        self._clock, self._pace, self._closed = clock, pace, closed
        self._waiting = np.zeros(0, np.float32)
        self._t0: float | None = None
        self.end = 0

    def cut(self, samples: NDArray[np.float32], last: bool = False) -> Iterator[Block]:
        """Blocks made of what waits and of `samples`; with `last`, of all of it."""
        if self._t0 is None:
            self._t0 = self._clock.now()
        waiting = np.concatenate([self._waiting, samples]) if len(self._waiting) else samples
        size = BLOCK_SAMPLES if self._pace == "realtime" else max(1, len(waiting))
        at = 0
        while (len(waiting) - at >= size or (last and at < len(waiting))) and not (
            self._closed.is_set()
        ):
            piece = waiting[at : at + size]
            at += len(piece)
            yield self._stamp(piece)
        self._waiting = waiting[at:].copy()

    def _stamp(self, piece: NDArray[np.float32]) -> Block:
        assert self._t0 is not None
        start, self.end = self.end, self.end + len(piece)
        now = self._clock.now()
        if self._pace == "fast":
            return Block(start, piece, now, now)
        due = self._t0 + self.end / SAMPLE_RATE
        if now < due:
            self._clock.wait(self._closed, due - now)
            now = self._clock.now()
        return Block(start, piece, max(now, due), due)
