"""Connections that are not read, and who has hung up meanwhile.

An event loop does not notice that by itself.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any

LOOK_SECONDS = 0.5
TURN = "turn"
"""Who holds a connection whose next slice waits for its turn alone."""
_GONE = getattr(select, "POLLHUP", 0) | getattr(select, "POLLERR", 0)
_SAID_GOODBYE = getattr(select, "POLLRDHUP", 0)


class Tap:
    """A transport that is read only while nobody holds it; everything else passes through.

    Args:
        transport: of asyncio.
        hang_ups: told while it is held.
    """

    def __init__(self, transport: Any, hang_ups: HangUps) -> None:
        self._transport, self._hang_ups = transport, hang_ups
        self._holders: set[str] = set()
        self._is_over = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """As of transports; what is written to somebody who is gone is thrown away."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def abort(self) -> None:
        """As of transports; asyncio's fail where the connection has ended already."""
        if not self._is_over:
            self._transport.abort()

    def end(self) -> None:
        """The connection has ended."""
        self._is_over = True
        self._hang_ups.held.discard(self)

    @property
    def is_kept_waiting(self) -> bool:
        """Whether it is held for more than its turn."""
        return not self._holders <= {TURN}

    def fileno(self) -> int:
        """Of its socket; -1: there is none."""
        raw = self._transport.get_extra_info("socket")
        return -1 if raw is None else int(raw.fileno())

    def hold(self, who: str) -> None:
        """Read nothing until `who` lets go."""
        if not self._holders:
            self._transport.pause_reading()
            if not self._is_over:
                self._hang_ups.held.add(self)
        self._holders.add(who)

    def let_go(self, who: str) -> None:
        """`who` holds it no longer."""
        if who in self._holders:
            self._holders.remove(who)
            if self._holders:
                return
            self._hang_ups.held.discard(self)
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def pause_reading(self) -> None:
        """As of transports: the websocket has enough messages."""
        self.hold("messages")

    def resume_reading(self) -> None:
        """As of transports."""
        self.let_go("messages")


class HangUps:
    """Looks after those that are held; used by the event loop.

    Args:
        now: a monotonic clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.held: set[Tap] = set()
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
