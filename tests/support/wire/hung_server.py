"""A websocket server that says what it is told to, and then answers nothing, not even a goodbye."""

from __future__ import annotations

import threading

from serving_thread import ServingThread
from websockets.asyncio.server import ServerConnection, serve


class HungServer(ServingThread):
    """Listens on a free port of this machine; a context manager.

    Args:
        said: what every client is told.

    Attributes:
        came: set once a client has come, and was told.
    """

    def __init__(self, *said: str | bytes) -> None:
        self.came = threading.Event()
        self._said = said
        super().__init__()

    async def _serve(self) -> None:
        async with serve(self._hang, "127.0.0.1", 0, close_timeout=0.1) as server:
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self._ready.set()
            await self._over.wait()

    async def _hang(self, socket: ServerConnection) -> None:
        for message in self._said:
            await socket.send(message)
        socket.transport.pause_reading()  # type: ignore[attr-defined]
        self.came.set()
        await self._over.wait()
        socket.transport.abort()
