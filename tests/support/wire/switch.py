"""A port that leads to one server or another, and cuts who is connected, as a proxy may."""

from __future__ import annotations

import asyncio
import contextlib

from serving_thread import ServingThread


class Switch(ServingThread):
    """Forwards connections; a context manager.

    Attributes:
        port: its own.
        target: the port that newcomers are led to; 0: nobody is let in.
    """

    def __init__(self, target: int = 0) -> None:
        self.target, self.port = target, 0
        super().__init__()

    @property
    def url(self) -> str:
        """For clients."""
        return f"ws://127.0.0.1:{self.port}"

    def cut(self, target: int) -> None:
        """End every connection without a word; newcomers are led elsewhere."""
        self.target = target
        self._loop.call_soon_threadsafe(self._cut)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        async with server:
            await self._until_over(server.sockets)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ways: list[asyncio.Task[None]] = []
        with contextlib.ExitStack() as over:
            self._keep_while(writer, over)
            try:
                there, back = await asyncio.open_connection("127.0.0.1", self.target)
            except OSError:
                return
            self._keep_while(back, over)
            for way in (pump(reader, back), pump(there, writer)):
                ways.append(asyncio.create_task(way))
                over.callback(ways[-1].cancel)
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)

    def _keep_while(self, writer: asyncio.StreamWriter, over: contextlib.ExitStack) -> None:
        """Have it cut by `cut`, and at the end of whoever forwards, however that comes."""
        self._keep(writer.transport)
        over.callback(self._transports.discard, writer.transport)
        over.callback(writer.transport.abort)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on what comes, until it ends."""
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
