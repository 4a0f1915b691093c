"""What a server has done so far, as numbers that any thread may read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

MOST_REASONS = 64


@dataclass
class ServerCounts:
    """Counters; the event loop writes them.

    Attributes:
        clients, sessions: websockets, and clients' own sessions, now.
        sent: frames of the server's own stream; session_sent: of clients' own sessions.
        dropped: frames that viewers missed because they were too slow.
        let_go: viewers that stopped reading; ended: websockets that are gone, for any reason.
        refusals: clients and requests that were turned away or closed, by reason.
        declined: what clients asked for and did not get, by the code of the error.
        bytes_in, bytes_out: of websockets; in, of everybody who came.
    """

    clients: int = 0
    sessions: int = 0
    sent: int = 0
    session_sent: int = 0
    dropped: int = 0
    let_go: int = 0
    ended: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    declined: Counter[str] = field(default_factory=Counter)
    bytes_in: int = 0
    bytes_out: int = 0

    @property
    def refused(self) -> int:
        """All refusals."""
        return sum(self.refusals.values())

    def gone(self) -> int:
        """Connections that were turned away or have ended."""
        return self.refused + self.ended

    def refuse(self, reason: str) -> None:
        """One was turned away."""
        known = reason in self.refusals or len(self.refusals) < MOST_REASONS
        self.refusals[reason if known else "other"] += 1

    def take_in(self, count: int) -> None:
        """So many bytes came."""
        self.bytes_in += count
