"""What arrived and nobody took yet; used by one event loop."""

from __future__ import annotations

import asyncio
from collections import deque

from posetalk.client.events import ClientEvent, ClientFrame, ClientSound
from viewer.client.errors import ClientError

INBOX_EVENTS = 20_000
"""Minutes of frames and sound: more means that nobody takes them, and the oldest go."""


class Inbox:
    """Events in their order, and how they end.

    Attributes:
        dropped: events lost because nobody took them.
        over: why nothing more will come; None: it may.
        ended: whether the server has sent its last frame.
    """

    def __init__(self) -> None:
        self._events: deque[ClientEvent | ClientError] = deque()
        self._news = asyncio.Event()
        self.over: ClientError | None = None
        self.ended = False
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: ClientEvent | ClientError) -> None:
        """One more."""
        if len(self._events) >= INBOX_EVENTS:
            self._events.popleft()
            self.dropped += 1
        self._events.append(event)
        self._news.set()

    def forget(self, sample: int) -> None:
        """Drop what waits from this sample on: the server has taken it back."""
        timed = (ClientFrame, ClientSound)
        kept = [it for it in self._events if not (isinstance(it, timed) and it.sample >= sample)]
        self._events = deque(kept)

    def finish(self, over: ClientError) -> None:
        """Nothing more will come."""
        self.over = self.over or over
        self._news.set()

    async def next(self) -> ClientEvent | None:
        """The next one, or None after the last; raises the error that came, or that ended it."""
        while not self._events:
            if self.ended:
                return None
            if self.over is not None:
                raise self.over
            self._news.clear()
            await self._news.wait()
        event = self._events.popleft()
        if isinstance(event, ClientError):
            raise event
        return event
