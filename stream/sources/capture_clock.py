"""When was a sample captured?  The lower envelope of the moments at which blocks arrived.

A block cannot arrive before its last sample was captured; it can arrive late (scheduling, bursts).
So t0 = min over blocks of (arrival - end / rate) is the start of the stream as seen by the least
delayed block, and sample n was captured at t0 + n / rate.  The device's own constant latency cannot
be seen from arrivals and is reported apart.
"""

from __future__ import annotations

from collections import deque


class CaptureClock:
    """Running estimate of t0 in constant memory.

    The minimum is taken over the last `window` seconds of audio, so that a device whose rate is not
    quite the nominal one cannot carry the estimate away: the error stays below drift * window
    (2 ms for the 100 ppm of real devices), and makes latencies look longer, never shorter.

    Args:
        rate: samples per second of the indices handed in.
        window: seconds of audio that the envelope looks back.
    """

    def __init__(self, rate: float, window: float = 20.0) -> None:
        self.rate = rate
        self._bucket_seconds = window / 10.0
        self._buckets: deque[tuple[int, float]] = deque(maxlen=10)  # (bucket, least offset)
        self.t0: float | None = None

    def update(self, end: int, arrival: float) -> float:
        """A block ended with sample `end` (exclusive) and arrived at `arrival` (seconds).

        Returns the capture time of its end, never later than `arrival`.
        """
        offset = arrival - end / self.rate
        bucket = int(end / self.rate / self._bucket_seconds)
        if self._buckets and self._buckets[-1][0] == bucket:
            bucket, least = self._buckets.pop()
            offset = min(offset, least)
        self._buckets.append((bucket, offset))
        self.t0 = min(least for _, least in self._buckets)
        return self.t0 + end / self.rate
