"""Requests that wait until the server has dealt with them; no sockets here.

The server obeys in order and answers in order.  So a ping behind a request is its fence, and an
error that comes before the answer to the ping is for the oldest request that waits.  Sound of a
session that is kept needs no ping: the server says where it has placed it.
"""

from __future__ import annotations

import asyncio
from typing import TypeAlias

from posetalk.client.events import RequestError
from stream.wire import messages, session_messages
from viewer.client.errors import ClientError

Answer: TypeAlias = type[messages.Pong] | type[session_messages.Placed]
"""What a request waits for."""


class Moved(ClientError):
    """The session goes on on another server: what was asked is to be asked there."""


class Waiting:
    """Who waits, and for what; used by one event loop."""

    def __init__(self) -> None:
        self._number = 0
        self._fences: dict[tuple[Answer, int], asyncio.Future[None]] = {}
        self._opening: asyncio.Future[session_messages.Opened] | None = None

    def fence(self) -> tuple[int, asyncio.Future[None]]:
        """The number of a ping, and what is done when its answer is here."""
        self._number += 1
        return self._number, self._new(messages.Pong, self._number)

    def place(self, number: int) -> asyncio.Future[None]:
        """What is done when the sound of this number has been placed, or has no place any more."""
        return self._new(session_messages.Placed, number)

    def opening(self) -> asyncio.Future[session_messages.Opened]:
        """What is done when the session that was asked for has begun."""
        self._opening = asyncio.get_running_loop().create_future()
        return self._opening

    def passed(self, number: int) -> None:
        """A ping was answered; one that nobody waits for is passed over."""
        self._done(messages.Pong, number)

    def placed(self, number: int) -> None:
        """The sound of this number has been placed."""
        self._done(session_messages.Placed, number)

    def closed(self) -> None:
        """The session has ended: what was pushed to it meanwhile is answered by nothing else."""
        for answer, number in [*self._fences]:
            if answer is session_messages.Placed:
                self._done(answer, number)

    def opened(self, event: session_messages.Opened) -> None:
        """A session has begun."""
        if self._opening is not None and not self._opening.done():
            self._opening.set_result(event)
        self._opening = None

    def blame(self, error: RequestError) -> bool:
        """Hand an error to the oldest request that waits; returns whether there was one."""
        opening, self._opening = self._opening, None
        for waiting in (opening, *self._fences.values()):
            if waiting is not None and not waiting.done():
                waiting.set_exception(error)
                return True
        return False

    def move(self) -> None:
        """What was asked is to be asked elsewhere; a session that is being opened still is."""
        self._end_fences(Moved())

    def finish(self, over: ClientError) -> None:
        """Nothing more will come."""
        self._end_fences(over)
        if self._opening is not None and not self._opening.done():
            self._opening.set_exception(over)
        self._opening = None

    def _new(self, answer: Answer, number: int) -> asyncio.Future[None]:
        self._fences[answer, number] = fence = asyncio.get_running_loop().create_future()
        fence.add_done_callback(lambda _: self._fences.pop((answer, number), None))
        return fence

    def _done(self, answer: Answer, number: int) -> None:
        fence = self._fences.get((answer, number))
        if fence is not None and not fence.done():
            fence.set_result(None)

    def _end_fences(self, error: ClientError) -> None:
        for fence in self._fences.values():
            if not fence.done():
                fence.set_exception(error)
        self._fences.clear()
