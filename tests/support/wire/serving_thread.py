"""What serves on a thread of its own while a test runs."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from asyncio.trsock import TransportSocket
from collections.abc import Iterable
from typing import Self


class ServingThread(ABC):
    """A context manager: `_serve` has begun inside of it, and has ended behind it.

    Whoever is connected then is cut off, and so is who comes at that moment: no transport outlives
    the event loop.
    """

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._transports: set[asyncio.WriteTransport] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    async def _main(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        await self._serve()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            self._cut()
            await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)

    @abstractmethod
    async def _serve(self) -> None:
        """Listen, set `_ready`, and go on for `_until_over`; then listen no more."""

    async def _until_over(self, sockets: Iterable[TransportSocket]) -> None:
        """Go on until `_over`, and let nobody in by these sockets after that.

        Whoever asyncio has accepted gets a transport in the next turn of the event loop, if the
        server has not been closed before that: else a socket is left that nobody closes.
        """
        await self._over.wait()
        for listening in sockets:
            self._loop.remove_reader(listening.fileno())
        await asyncio.sleep(0)

    def _keep(self, transport: asyncio.WriteTransport) -> None:
        """Have it cut off at the end, or at once where that has come."""
        self._transports.add(transport)
        if self._over.is_set():
            transport.abort()

    def _cut(self) -> None:
        """End every connection without a word."""
        for transport in list(self._transports):
            transport.abort()
