"""Time as something that is handed in: a monotonic clock, and one that tests turn by hand."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Seconds that never run backwards; the zero is arbitrary."""

    def now(self) -> float:
        """Seconds on this clock."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until `event` is set, at most `seconds`; returns whether it is set."""
        ...


class MonotonicClock:
    """The machine's own clock; on one machine its values can be compared between processes."""

    def now(self) -> float:
        return time.perf_counter()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(max(0.0, seconds))


class FakeClock:
    """A clock that moves only when somebody waits on it or calls `advance`."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> float:
        with self._lock:
            return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        with self._lock:
            self._now += seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.advance(max(0.0, seconds))
        return event.is_set()


def unix_time(clock: Clock, moment: float) -> float:
    """Unix seconds of a `moment` on `clock`, as of the system's time of day now."""
    return time.time() - (clock.now() - moment)
