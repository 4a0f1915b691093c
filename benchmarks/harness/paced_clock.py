"""A clock that runs as fast as everybody on it keeps up: speed is a result, not a demand.

A clock of fixed multiples of time asks of a busy machine what it cannot do, and then measures the
machine.  This one runs ahead of what its holders have received by a bounded time, and waits there.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable

LOOK_SECONDS = 0.02
"""How often somebody who waits looks again, in seconds of the machine."""


class PacedClock:
    """Seconds of stream time, a `stream.clock.Clock`; every member may be used from any thread.

    Args:
        speed: most seconds of stream time in one second of the machine's.
        ahead: seconds of stream time by which it may be ahead of the slowest holder.
        machine: the machine's own clock.
    """

    def __init__(
        self, speed: float, ahead: float, machine: Callable[[], float] = time.perf_counter
    ) -> None:
        self._speed, self._ahead, self._machine = speed, ahead, machine
        self._lock = threading.Lock()
        self._held: dict[Hashable, float] = {}
        self._limit = math.inf
        self._now, self._then = 0.0, machine()
        self._moved = self._then

    def now(self) -> float:
        """Stream seconds."""
        with self._lock:
            return self._advance()

    def hold(self, who: Hashable, reached: float | None = None) -> None:
        """Let the clock wait for `who`, who has got all up to `reached` (default: now)."""
        with self._lock:
            now = self._advance()
            self._held[who] = now if reached is None else reached
            self._limit = min(self._held.values()) + self._ahead

    def let_go(self, who: Hashable) -> None:
        """The clock waits for `who` no longer."""
        with self._lock:
            self._advance()
            self._held.pop(who, None)
            self._limit = min(self._held.values(), default=math.inf) + self._ahead

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until `event` is set, at most stream `seconds`; returns whether it is set."""
        until = self.now() + seconds
        while (left := until - self.now()) > 0:
            if event.wait(min(left / self._speed, LOOK_SECONDS)):
                return True
        return event.is_set()

    @property
    def still(self) -> float:
        """Seconds of the machine's for which it has not moved."""
        with self._lock:
            self._advance()
            return self._then - self._moved

    def _advance(self) -> float:
        then = self._machine()
        now = min(self._now + (then - self._then) * self._speed, self._limit)
        self._then = then
        if now > self._now:
            self._now, self._moved = now, then
        return self._now
