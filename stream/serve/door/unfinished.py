"""Messages that have begun and are not whole: they lie in memory, and share a bounded room.

Each connection may hold a little beyond it.  Who wants more while the room is full is read no
further until others have finished, whoever's address holds least before the others; who does not
finish while somebody waits goes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from stream.serve.limits import Limits


@dataclass(eq=False)
class _Begun:
    """A message that is not whole: its bytes so far, since when, and how its sender is cut off."""

    peer: str
    cut_off: Callable[[], None]
    since: float
    size: int = 0


@dataclass(frozen=True)
class _Waiting:
    """Somebody who is not read, and how many bytes would come."""

    size: int
    go_on: Callable[[], None]


class Unfinished:
    """All of them; used by the event loop.

    Args:
        limits: how many bytes, and how long.
        on_cut_off: told of each that was cut off, with the reason.
        now: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        limits: Limits,
        on_cut_off: Callable[[str], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits, self._on_cut_off, self._now = limits, on_cut_off, now
        self._begun: dict[Hashable, _Begun] = {}
        self._waiting: dict[Hashable, _Waiting] = {}
        self._of_peers: Counter[str] = Counter()
        self._room = 0

    @property
    def bytes(self) -> int:
        """Of the room that are taken."""
        return self._room

    def fits(self, who: Hashable, size: int) -> bool:
        """Whether `size` more bytes of a connection may be read now."""
        begun = self._begun.get(who)
        held = 0 if begun is None else begun.size
        more = self._beyond(held + size) - self._beyond(held)
        return not more or self._room + more <= self._limits.unfinished_bytes

    def wait(self, who: Hashable, size: int, go_on: Callable[[], None]) -> None:
        """Call `go_on` once as many bytes of this connection may be read."""
        self._waiting[who] = _Waiting(size, go_on)

    def holds(self, who: Hashable, peer: str, size: int, cut_off: Callable[[], None]) -> None:
        """A connection has sent `size` bytes of a message that is not whole; 0: it is."""
        begun = self._begun.get(who)
        if begun is None:
            if not size:
                return
            begun = self._begun[who] = _Begun(peer, cut_off, self._now())
        if size < begun.size:
            begun.since = self._now()  # of another message
        change = self._beyond(size) - self._beyond(begun.size)
        begun.size = size
        self._room += change
        self._of_peers[begun.peer] += change
        if not size:
            del self._begun[who]
        if change < 0:
            if not self._of_peers[begun.peer]:
                del self._of_peers[begun.peer]
            self._let_go_on()

    def left(self, who: Hashable) -> None:
        """A connection is gone."""
        self._waiting.pop(who, None)
        begun = self._begun.get(who)
        if begun is not None:
            self.holds(who, begun.peer, 0, begun.cut_off)

    def tick(self) -> None:
        """Let time pass: while somebody waits, what takes too long goes, the oldest first.

        One at a time: what it held may be all that the others need.
        """
        if not self._waiting:
            return
        begun = {who: each for who, each in self._begun.items() if self._beyond(each.size)}
        if not begun:
            return
        who = min(begun, key=lambda each: begun[each].since)
        if begun[who].since < self._now() - self._limits.unfinished_seconds:
            self.left(who)
            self._on_cut_off("unfinished")
            begun[who].cut_off()

    def _beyond(self, size: int) -> int:
        """What counts of a message: the first bytes are everybody's."""
        return max(0, size - self._limits.unfinished_free)

    def _let_go_on(self) -> None:
        """Those who fit by now go on, of the address that holds least first."""
        taken, free = self._of_peers.copy(), self._limits.unfinished_bytes - self._room
        while self._waiting and free > 0:
            who = min(self._waiting, key=lambda each: taken[self._peer(each)])
            waiting = self._waiting.pop(who)
            taken[self._peer(who)] += waiting.size
            free -= waiting.size
            waiting.go_on()

    def _peer(self, who: Hashable) -> str:
        begun = self._begun.get(who)
        return "" if begun is None else begun.peer
