"""Connections from the moment at which they are accepted until they are websockets, or gone.

What is not finished in time goes; of too many the oldest goes first, of the peer that has most.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stream.serve.door.peers import peer_of
from stream.serve.limits import Limits


@dataclass(eq=False)
class Arrival:
    """One connection that is no websocket (yet).

    Attributes:
        peer: where it comes from.
        until: when it must have finished, in seconds (monotonic).
        raw: its socket.
        let_go: closes the socket, while there is nothing above it.
        abort: ends it, once there is something above the socket.
        let_in: whether an event loop's transport has its socket.
        is_page: it has asked for a page, and reads it.
    """

    peer: str
    until: float
    raw: socket.socket
    let_go: Callable[[], None]
    let_in: bool = False
    abort: Callable[[], None] | None = None
    is_page: bool = False

    @property
    def gone(self) -> bool:
        """Whether it has been closed before anything above the socket came to be."""
        return self.abort is None and self.raw.fileno() < 0

    def end(self) -> None:
        """Cut it off."""
        if self.abort is not None:
            self.abort()
        elif not self.let_in:
            self.let_go()
        else:  # in its TLS handshake, which ends with it
            with contextlib.suppress(OSError):
                self.raw.shutdown(socket.SHUT_RDWR)


class Arrivals:
    """All of them, by address; used by the event loop.

    Args:
        limits: how many, and how long.
        on_evicted: told of each that was cut off, with the reason.
        now: a monotonic clock.
    """

    def __init__(
        self,
        limits: Limits,
        on_evicted: Callable[[str], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits, self._on_evicted, self._now = limits, on_evicted, now
        self._waiting: dict[Any, Arrival] = {}  # oldest first
        self._is_over = False

    def __len__(self) -> int:
        return len(self._waiting)

    def came(self, address: Any, raw: socket.socket, let_go: Callable[[], None]) -> None:
        """A connection was accepted; others may have to go for it."""
        limits, peer = self._limits, peer_of(address)
        self._waiting.pop(address, None)
        self._waiting[address] = Arrival(peer, self._now() + limits.handshake_seconds, raw, let_go)
        self._keep(limits.peer_handshakes, lambda arrival: arrival.peer == peer)
        if len(self._waiting) > limits.handshakes:
            most, _ = Counter(a.peer for a in self._waiting.values()).most_common(1)[0]
            self._keep(limits.handshakes, lambda _: True, of=most)

    def let_in(self, address: Any) -> None:
        """It has begun to speak, and is handed on."""
        arrival = self._waiting.get(address)
        if arrival is not None:
            arrival.let_in = True

    def joined(self, address: Any, abort: Callable[[], None]) -> None:
        """There is something above its socket (after TLS, where there is TLS)."""
        arrival = self._waiting.get(address)
        if arrival is not None:
            arrival.abort = abort
        elif self._is_over:
            abort()

    def asked(self, address: Any) -> None:
        """It has asked for a page, which a slow line takes a while to read."""
        arrival = self._waiting.pop(address, None)
        if arrival is not None:
            arrival.until, arrival.is_page = self._now() + self._limits.page_seconds, True
            self._waiting[address] = arrival
            self._keep(self._limits.pages, lambda arrival: arrival.is_page)

    def left(self, address: Any) -> None:
        """It is a websocket now, or closed."""
        self._waiting.pop(address, None)

    def tick(self) -> None:
        """Let time pass."""
        now = self._now()
        for address, arrival in list(self._waiting.items()):
            if arrival.gone:
                del self._waiting[address]
            elif now > arrival.until:
                self._evict(address, "handshake_timeout")

    def cut_off(self) -> None:
        """End all of them, and whoever is handed on after that."""
        self._is_over = True
        for arrival in list(self._waiting.values()):
            arrival.end()
        self._waiting.clear()

    def _keep(self, most: int, among: Callable[[Arrival], bool], of: str | None = None) -> None:
        """Cut the oldest off until there are at most so many; of one peer, if it is named."""
        for address, arrival in list(self._waiting.items()):
            if arrival.gone:
                del self._waiting[address]
        some = [address for address, arrival in self._waiting.items() if among(arrival)]
        extra = len(some) - most
        for address in some:
            if extra <= 0:
                return
            if of is None or self._waiting[address].peer == of:
                self._evict(address, "handshakes")
                extra -= 1

    def _evict(self, address: Any, reason: str) -> None:
        self._waiting.pop(address).end()
        self._on_evicted(reason)
