"""A websocket server that says what it is told to, and then answers nothing, not even a goodbye."""

from __future__ import annotations

import threading

from websocket_thread import WebsocketThread
from websockets.asyncio.server import ServerConnection


class HungServer(WebsocketThread):
    """Listens on a free port of this machine; a context manager.

    Args:
        said: what every client is told.

    Attributes:
        came: set once a client has come, and was told.
    """

    close_seconds = 0.1

    def __init__(self, *said: str | bytes) -> None:
        self.came = threading.Event()
        self._said = said
        super().__init__()

    async def _handle(self, socket: ServerConnection) -> None:
        for message in self._said:
            await socket.send(message)
        socket.transport.pause_reading()  # type: ignore[attr-defined]
        self.came.set()
        await self._over.wait()
        socket.transport.abort()
