"""Audio pushed by somebody else (text-to-speech, a remote microphone): an always-on source.

Time never stops: where nothing was pushed there is silence, so the face lives on in between.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stream.audio import BLOCK_SAMPLES, SAMPLE_RATE, Block
from stream.clock import Clock, MonotonicClock


class PushedSource:
    """A queue that is emptied at the pace of time; speech may be pushed faster than it is spoken.

    Policy: at most `capacity` seconds wait; a push that does not fit is refused whole, so that the
    pusher can wait and repeat it.  After a pause, `cushion` seconds are collected first, so that a
    live pusher's jitter does not tear its words apart.

    Args:
        capacity: seconds of audio that may wait.
        cushion: seconds collected after a pause.
        clock: for the stamps and the waiting.
    """

    kind = "push"
    realtime = True
    device_latency = 0.0
    dropped = 0  # what is refused stays with the pusher

    def __init__(
        self, *, capacity: float = 60.0, cushion: float = 0.04, clock: Clock | None = None
    ) -> None:
        self.name = "pushed audio"
        self._clock = clock or MonotonicClock()
        self._capacity = int(capacity * SAMPLE_RATE)
        self._cushion = int(cushion * SAMPLE_RATE)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._pieces: deque[NDArray[np.float32]] = deque()
        self._waiting = 0
        self._flowing = False
        self._oldest = 0.0

    def push(self, samples: NDArray[np.float32]) -> bool:
        """Queue (n,) mono samples at 16 kHz; False, and nothing queued, if they do not fit."""
        with self._lock:
            if self._waiting + len(samples) > self._capacity:
                return False
            if not self._waiting:
                self._oldest = self._clock.now()
            if len(samples):
                self._pieces.append(samples)
                self._waiting += len(samples)
            return True

    @property
    def waiting(self) -> int:
        """Samples pushed and not yet on the timeline."""
        with self._lock:
            return self._waiting

    def interrupt(self) -> None:
        """Forget what waits: silence follows at once."""
        with self._lock:
            self._pieces.clear()
            self._waiting = 0
            self._flowing = False

    def __iter__(self) -> Iterator[Block]:
        t0, end = self._clock.now(), 0
        while True:
            due = t0 + (end + BLOCK_SAMPLES) / SAMPLE_RATE
            if self._clock.wait(self._closed, due - self._clock.now()):
                return
            start, end = end, end + BLOCK_SAMPLES
            samples = self._take()
            now = self._clock.now()
            yield Block(start, samples, max(now, due), due)

    def _take(self) -> NDArray[np.float32]:
        """The next block: pushed audio as far as it goes, then silence."""
        block = np.zeros(BLOCK_SAMPLES, np.float32)
        with self._lock:
            if not self._flowing and self._waiting:
                waited = (self._clock.now() - self._oldest) * SAMPLE_RATE
                self._flowing = max(self._waiting, waited) >= self._cushion
            if not self._flowing:
                return block
            at = 0
            while self._pieces and at < BLOCK_SAMPLES:
                piece = self._pieces.popleft()
                taken = piece[: BLOCK_SAMPLES - at]
                block[at : at + len(taken)] = taken
                at += len(taken)
                if len(taken) < len(piece):
                    self._pieces.appendleft(piece[len(taken) :])
            self._waiting -= at
            self._flowing = self._waiting > 0
            return block

    def close(self) -> None:
        self._closed.set()
