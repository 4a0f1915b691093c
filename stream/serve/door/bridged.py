"""A websocket that another server has accepted, and hands on: as the listener's own ones.

Two event loops meet here: the server's, in which everything else of it runs, and that of whoever
holds the connection.  Messages go from one to the other without a copy.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stream.serve.limits import BYTES_A_UNIT, FRAGMENT, Budget

MOST_OUT = 64
"""Messages that wait to be handed over; who makes more waits until they are taken."""


@dataclass(frozen=True)
class Arrived:
    """A handshake that somebody else has received.

    Attributes:
        path: its target, with the query.
        headers: by their names in small letters.
        address: whom it comes from, as sockets have it: host and port.
    """

    path: str
    headers: Mapping[str, str]
    address: tuple[str, int]

    def get(self, key: str, /) -> str | None:
        """A header, as `stream.serve.door.admission.Headers` has them."""
        return self.headers.get(key.lower())


class BridgedSocket:
    """The server's side of such a websocket; a `stream.serve.client.host.Socket`.

    Args:
        arrived: its handshake.
        budget: what its client spends.
        most_bytes: of one message.
        wake: tells who holds the connection that `take` has something; from the server's thread.

    Attributes:
        closing: (code, reason) once this side wants it closed.
    """

    def __init__(
        self, arrived: Arrived, budget: Budget, most_bytes: int, wake: Callable[[], None]
    ) -> None:
        self.budget, self.remote_address = budget, arrived.address
        self.closing: tuple[int, str] | None = None
        self._most_bytes, self._wake = most_bytes, wake
        self._loop = asyncio.get_running_loop()
        self._incoming: asyncio.Queue[str | bytes] = asyncio.Queue(1)
        self._left, self._room = asyncio.Event(), asyncio.Event()
        self._out: deque[str | bytes] = deque()
        self._lock = threading.Lock()

    # --- for the server, in its event loop -----------------------------------------------------
    async def send(self, message: str | bytes) -> None:
        """Hand a message over; waits while many are not taken, for ever once it is gone."""
        while len(self._out) >= MOST_OUT or self._left.is_set():
            self._room.clear()
            await self._room.wait()
        with self._lock:
            self._out.append(message)
            first = len(self._out) == 1
        if first:
            self._wake()

    def hold_reading(self) -> None:
        """Nothing more comes before what came is taken: there is nothing to hold."""

    def resume_reading(self) -> None:
        """See `hold_reading`."""

    async def wait_closed(self) -> None:
        """Until it is gone."""
        await self._left.wait()

    def __aiter__(self) -> BridgedSocket:
        return self

    async def __anext__(self) -> str | bytes:
        getting = asyncio.ensure_future(self._incoming.get())
        leaving = asyncio.ensure_future(self._left.wait())
        try:
            await asyncio.wait((getting, leaving), return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                return getting.result()
            raise StopAsyncIteration
        finally:
            getting.cancel()
            leaving.cancel()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye, after what waits."""
        self.closing = self.closing or (code, reason)
        self._left.set()
        self._wake()

    @property
    def transport(self) -> BridgedSocket:
        """What is beneath it, which is nothing of its own."""
        return self

    def get_extra_info(self, name: str) -> Any:
        """As of transports: nothing is known."""
        return None

    def abort(self) -> None:
        """As of transports: end it now."""
        self.closing = self.closing or (1011, "")
        self._left.set()
        self._wake()

    # --- for who holds the connection ----------------------------------------------------------
    async def put(self, message: str | bytes) -> None:
        """A message came; returns when it may send the next one.  In the server's event loop."""
        size = len(message)
        if size > self._most_bytes:
            await self.close(1009)
            return
        wait = self.budget.take(size / BYTES_A_UNIT + FRAGMENT, time.monotonic())
        if wait:
            await asyncio.sleep(wait)
        if not self._left.is_set():
            await self._incoming.put(message)

    def take(self) -> list[str | bytes]:
        """Messages that are to be sent; from any thread."""
        with self._lock:
            taken = list(self._out)
            self._out.clear()
        if taken:
            self._call(self._room.set)
        return taken

    def leave(self) -> None:
        """The client has gone; from any thread."""
        self._call(self._left.set)

    def _call(self, do: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(do)
