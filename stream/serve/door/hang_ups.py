"""Who has hung up while nobody read from them: an event loop does not notice that by itself."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Protocol

LOOK_SECONDS = 0.5
_GONE = getattr(select, "POLLHUP", 0) | getattr(select, "POLLERR", 0)
_SAID_GOODBYE = getattr(select, "POLLRDHUP", 0)


class Held(Protocol):
    """A connection that is not read."""

    @property
    def is_kept_waiting(self) -> bool: ...
    def fileno(self) -> int: ...
    def abort(self) -> None: ...


class HangUps:
    """Looks after those that are held; used by the event loop.

    Args:
        now: a monotonic clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.held: set[Held] = set()
        self._now, self._looked_at = now, now()

    def tick(self) -> None:
        """Let time pass: end those whose other side is gone."""
        now = self._now()
        if now - self._looked_at < LOOK_SECONDS or not hasattr(select, "poll"):
            return
        self._looked_at = now
        files = {held.fileno(): held for held in self.held if held.is_kept_waiting}
        files.pop(-1, None)
        if not files:
            return
        looking = select.poll()
        for number in files:
            looking.register(number, _SAID_GOODBYE)
        for number, seen in looking.poll(0):
            if seen & (_GONE | _SAID_GOODBYE):
                files[number].abort()
