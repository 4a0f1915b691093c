"""Servers that end while people come leave no socket open, at whatever stage of their coming."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import warnings
from asyncio.trsock import TransportSocket
from collections.abc import Iterable, Iterator

import pytest
from hung_server import HungServer
from serving_thread import ServingThread
from switch import Switch
from wire_clients import HEAD, HELLO

from stream.serve.server import Server

STAGES = 8
"""Turns of the event loop in which a connection becomes a websocket, and some more."""
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@contextlib.contextmanager
def nothing_left_open() -> Iterator[None]:
    """Fails where something is thrown away inside that nobody has closed."""
    gc.collect()  # what others have left
    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    assert not left, [str(each.message) for each in left]


async def come(port: int, said: bytes, turns: int, closing: contextlib.ExitStack) -> None:
    """Two come and say this; returns so many turns of the event loop after that."""
    for _ in range(2):
        link = closing.enter_context(socket.create_connection(("127.0.0.1", port)))
        link.sendall(said)
    for _ in range(turns):
        await asyncio.sleep(0)


class VisitedServer(Server):
    """Two come as it ends; it ends at once."""

    said, turns = b"", 0

    async def _serve(self, port: int) -> None:
        self._loop.begin()
        with contextlib.ExitStack() as closing:
            await come(port, self.said, self.turns, closing)
            self.links = closing.pop_all()


@pytest.mark.parametrize("said", [b"", REQUEST], ids=["nothing", "a request"])
def test_a_server(said: bytes) -> None:
    with nothing_left_open():
        for turns in range(STAGES):
            server = VisitedServer(HEAD, HELLO, port=0)
            server.said, server.turns = said, turns
            with server:
                pass
            server.links.close()


def with_newcomers(kind: type[ServingThread], said: bytes, turns: int) -> type[ServingThread]:
    """The same, but people come so many turns before its end."""

    class Visited(kind):  # type: ignore[misc,valid-type]
        async def _until_over(self, sockets: Iterable[TransportSocket]) -> None:
            listening = list(sockets)
            await self._over.wait()
            self._over.clear()
            with contextlib.ExitStack() as closing:
                await come(listening[0].getsockname()[1], said, turns, closing)
                self._over.set()
                await super()._until_over(listening)

    return Visited


@pytest.mark.parametrize("kind", [Switch, HungServer])
def test_servers_of_these_tests(kind: type[ServingThread]) -> None:
    with nothing_left_open():
        for turns in range(STAGES):
            with with_newcomers(kind, REQUEST, turns)():
                pass
