"""Everybody whose websocket is open: greeted, read, written to, and let go."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, cast

from websockets.exceptions import ConnectionClosed

from stream.serve.client.connection import Connection
from stream.serve.client.host import GoneError, Socket
from stream.serve.door.auth import Role
from stream.serve.door.peers import Peer
from stream.serve.server_counts import ServerCounts
from stream.wire import codec, messages

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

    from stream.serve.requests import ClientRequests

log = logging.getLogger(__name__)


class Attendance:
    """Who is there now.  All of it runs in the server's event loop.

    Args:
        counts: where to count.
        read_timeout: seconds after which a client that does not read is let go.

    Attributes:
        clients: those whose websocket is open.
        accepting: set once newcomers may be greeted.
    """

    def __init__(self, counts: ServerCounts, read_timeout: float) -> None:
        self._counts, self._read_timeout = counts, read_timeout
        self.clients: dict[Connection, ServerConnection] = {}
        self.accepting = asyncio.Event()

    async def attend(
        self, socket: ServerConnection, peer: Peer, role: Role, requests: ClientRequests
    ) -> None:
        """One client, from its hello to its end."""
        client = Connection(cast(Socket, socket), requests, peer, role)
        self.clients[client] = socket
        self._counts.clients = len(self.clients)
        try:
            await self.accepting.wait()
            requests.greet(client)
            await self._talk(client, socket)
        finally:
            requests.left(client)
            del self.clients[client]
            self._counts.clients = len(self.clients)
            self._counts.ended += 1

    async def drain(self, until: float) -> None:
        """Let the clients have what waits; those that do not read by `until` are cut off."""
        while any(client.has_work for client in self.clients) and time.monotonic() < until:
            await asyncio.sleep(0.005)
        for client, socket in self.clients.items():
            if client.has_work:
                socket.transport.abort()

    def cut_off(self) -> None:
        """End every connection that is still there, whatever its other side does."""
        for socket in list(self.clients.values()):
            socket.transport.abort()

    async def _talk(self, client: Connection, socket: ServerConnection) -> None:
        writer = asyncio.create_task(self._write(client, socket))
        try:
            await client.read()
        except codec.WireError as error:
            self._counts.refuse(error.code)
            log.info("closed %s: %s", socket.remote_address, error)
            refused = messages.Error(error.code, str(error), request=error.request)
            client.close_with(refused, at_once=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(writer), 1.0)
            closing = asyncio.create_task(socket.close(1008, error.code))
            with contextlib.suppress(ConnectionClosed):
                async for _ in socket:  # its goodbye stands behind what else it has sent
                    pass
            await closing
        except ConnectionClosed as error:
            self._judge_closing(error)
        except GoneError:
            pass  # in debt
        finally:
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer

    async def _write(self, client: Connection, socket: ServerConnection) -> None:
        try:
            await client.write(self._read_timeout)
        except TimeoutError:
            self._counts.let_go += 1
            log.info("let %s go: it does not read", socket.remote_address)
            socket.transport.abort()
        except ConnectionClosed:
            pass  # the reader sees it too, and judges it
        except Exception:
            log.exception("could not encode for %s", socket.remote_address)
            socket.transport.abort()

    def _judge_closing(self, error: ConnectionClosed) -> None:
        """Count why this side closed: 1011 is an unanswered ping, the rest what was received."""
        code = None if error.sent is None or error.rcvd_then_sent else error.sent.code
        self._counts.let_go += code == 1011
        if code in (1002, 1007, 1009):
            self._counts.refuse(f"websocket_{code}")
