"""A websocket server on a thread of its own, that does with its clients what a test wants."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import cast

from serving_thread import ServingThread
from websockets.asyncio.server import ServerConnection, serve


class WebsocketThread(ServingThread):
    """Listens on a free port of this machine; a context manager.

    Attributes:
        url: for clients, once it listens.
        close_seconds: that a client may take to say goodbye.
    """

    url: str
    close_seconds = 10.0

    async def _serve(self) -> None:
        keep = self._keep

        class Kept(ServerConnection):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                keep(cast(asyncio.Transport, transport))

        async with serve(
            self._handle, "127.0.0.1", 0, close_timeout=self.close_seconds, create_connection=Kept
        ) as server:
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self._ready.set()
            await self._until_over(server.sockets)

    @abstractmethod
    async def _handle(self, socket: ServerConnection) -> None:
        """One client, whose connection is closed when this returns."""
