"""Where pushed speech goes on a session's timeline: a pure queue on the sample clock.

Time never stops: what is pushed is laid right after the speech before, or at the clock's sample
when that has passed; in between there is silence.  Nothing here reads a clock.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from stream.frames import FRAME_SAMPLES

Floats = NDArray[np.float32]


class PushTimeline:
    """A queue that is emptied onto a timeline; all numbers are samples at 16 kHz.

    Args:
        ahead: how far ahead of the clock speech may be laid; 0 keeps to the pace of time.
        capacity: how much speech may lie ahead of the clock and wait, in all.
        cushion: silence laid first after a pause, so that jitter does not tear words apart.
        tail: silence after the last speech beyond which none is laid; None: it goes on for ever.

    Attributes:
        end: samples on the timeline.
        waiting: samples pushed and not on the timeline yet.
    """

    def __init__(self, *, ahead: int, capacity: int, cushion: int, tail: int | None = None) -> None:
        self._ahead, self._capacity, self._cushion = ahead, capacity, cushion
        self._tail = tail
        self._pieces: deque[Floats] = deque()
        self._speech_end = 0
        self.end = 0
        self.waiting = 0

    def fits(self, count: int, now: int) -> bool:
        """Whether `count` more samples may be pushed at the clock's sample `now`."""
        return max(0, self.end - now) + self.waiting + count <= self._capacity

    def push(self, samples: Floats, now: int) -> bool:
        """Queue (n,) samples; False, and nothing queued, if they do not fit."""
        if not self.fits(len(samples), now):
            return False
        if not len(samples):
            return True
        if not self.waiting and self.end <= now:
            # A live pusher's next block may come late: begin a little ahead of the clock.
            self._put(np.zeros(max(0, now + self._cushion - self.end), np.float32))
        self._put(samples)
        return True

    def place(self, now: int) -> int:
        """Where what is pushed at the clock's sample `now` will lie."""
        end = self.end + self.waiting
        return end if self.waiting or end > now else max(end, now + self._cushion)

    def go_on(self, start: int, sound: Floats) -> None:
        """Begin at the sample `start`, with sound that lies there already."""
        self.end = self._speech_end = start
        self._put(sound)

    def pad(self, count: int) -> None:
        """Queue silence, so that what was pushed before is followed by it at once."""
        self._put(np.zeros(count, np.float32))

    def take(self, now: int, most: int) -> Floats:
        """What goes onto the timeline at the clock's sample `now`: (n,), at most `most`."""
        if most <= 0:
            return np.zeros(0, np.float32)
        if self.waiting:
            count = min(now + self._ahead - self.end, self.waiting, most)
            laid = self._pop(max(0, count))
            self._speech_end = self.end
        else:
            until = now if self._tail is None else min(now, self._speech_end + self._tail)
            laid = np.zeros(max(0, min(until - self.end, most)), np.float32)
            self.end += len(laid)
        return laid

    def skip(self, now: int) -> int:
        """Leave out the time, in whole frames, that was not laid up to `now`; how much it was."""
        if self.waiting:
            return 0
        gap = max(0, now - self.end) // FRAME_SAMPLES * FRAME_SAMPLES
        self.end += gap
        return gap

    def cut(self) -> None:
        """Forget what waits."""
        self._pieces.clear()
        self.waiting = 0
        self._speech_end = self.end

    def rewind(self, count: int) -> None:
        """Take back the last `count` samples of the timeline: they will be laid again."""
        self.end -= count
        self._speech_end = min(self._speech_end, self.end)

    def _put(self, samples: Floats) -> None:
        if len(samples):
            self._pieces.append(samples)
            self.waiting += len(samples)

    def _pop(self, count: int) -> Floats:
        laid = np.empty(count, np.float32)
        at = 0
        while at < count:
            piece = self._pieces.popleft()
            taken = piece[: count - at]
            laid[at : at + len(taken)] = taken
            at += len(taken)
            if len(taken) < len(piece):
                self._pieces.appendleft(piece[len(taken) :])
        self.waiting -= count
        self.end += count
        return laid
