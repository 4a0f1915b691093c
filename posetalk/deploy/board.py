"""How all replicas do, as each tells it: what probes and the page's metrics are answered from."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from stream.serve.metrics import Health
from stream.serve.server_counts import ServerCounts

SILENT_SECONDS = 10.0
"""A replica that has told nothing for so long is gone."""
TELL_SECONDS = 1.0


@dataclass(frozen=True)
class Note:
    """What a replica tells of itself.

    Attributes:
        clients, sessions: now.
        places, session_places: that there may be; the latter of newcomers.
        sent, dropped, refused: of its frames and clients so far.
    """

    clients: int = 0
    sessions: int = 0
    places: int = 0
    session_places: int = 0
    sent: int = 0
    dropped: int = 0
    refused: int = 0


class Board:
    """Notes of replicas, by name.

    Args:
        now: a monotonic clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._notes: dict[str, tuple[float, Note]] = {}

    def note(self, name: str, note: Note) -> None:
        """A replica has told how it does."""
        self._notes[name] = (self._now(), note)

    def forget(self, name: str) -> None:
        """A replica takes nobody any more."""
        self._notes.pop(name, None)

    def health(self) -> Health:
        """Of all of them together; full where none has room for a newcomer's session."""
        since = self._now() - SILENT_SECONDS
        notes = [note for at, note in self._notes.values() if at > since]
        counts = ServerCounts(
            clients=sum(note.clients for note in notes),
            sessions=sum(note.sessions for note in notes),
            session_sent=sum(note.sent for note in notes),
            dropped=sum(note.dropped for note in notes),
        )
        counts.refusals["all"] = sum(note.refused for note in notes)
        has_room = any(
            note.sessions < note.session_places and note.clients < note.places for note in notes
        )
        places = sum(note.places for note in notes) if has_room else counts.clients
        return Health(counts, places, sum(note.session_places for note in notes))
