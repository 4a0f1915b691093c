"""The port: websockets that open, live and end, and browsers that ask for pages.

The only file that imports websockets' server.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import ssl as tls
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from socket import SO_SNDBUF, SOL_SOCKET

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from stream.serve import http_pages
from stream.serve.admission import Admission
from stream.serve.client_sessions import ServerCounts
from stream.serve.connection import Connection
from stream.serve.requests import ClientRequests
from stream.wire import codec, messages

log = logging.getLogger(__name__)

SEND_BUFFER = 1 << 17  # bytes in the kernel, so that a viewer which pauses is not fed from the past
PAGE_SECONDS = 30.0


class ServerError(OSError):
    """The server cannot be started; the message is one line for the user."""


@dataclass(frozen=True)
class Place:
    """Where and how to listen.

    Attributes:
        host, port: 0 takes a free port.
        ssl: a TLS context for wss://.
        read_timeout: seconds after which a client that does not read is let go.
    """

    host: str
    port: int
    ssl: tls.SSLContext | None
    read_timeout: float


class Listener:
    """Everybody who is connected.  All of it runs in the server's event loop.

    Args:
        place: where.
        admission: whom to let in.
        counts: where to count.

    Attributes:
        clients: those whose websocket is open.
        accepting: set once newcomers may be greeted.
    """

    def __init__(self, place: Place, admission: Admission, counts: ServerCounts) -> None:
        self._place, self._admission, self._counts = place, admission, counts
        self.clients: dict[Connection, ServerConnection] = {}
        self.accepting = asyncio.Event()

    async def listen(
        self, wishes: ClientRequests, serving: Callable[[int], Awaitable[None]]
    ) -> None:
        """Serve until `serving`, which is told the port, returns.

        Raises OSError or ValueError where there is no listening.
        """
        place, limits = self._place, wishes.limits
        self._requests = wishes
        quiet = logging.getLogger(f"{__name__}.websockets")
        quiet.setLevel(logging.CRITICAL)  # handshakes that fail are the client's affair
        async with serve(
            self._receive,
            place.host,
            place.port,
            process_request=self._judge,
            compression=None,
            max_size=limits.message_bytes,
            max_queue=4,
            ping_interval=place.read_timeout / 2,
            ping_timeout=place.read_timeout / 2,
            close_timeout=0.5,
            open_timeout=max(place.read_timeout, PAGE_SECONDS),
            server_header=None,
            logger=quiet,
            ssl=place.ssl,
            create_connection=limit_connections(limits.clients + limits.handshakes),
        ) as server:
            await serving(int(next(iter(server.sockets)).getsockname()[1]))

    async def drain(self, until: float) -> None:
        """Let the clients have what waits; those that do not read by `until` are cut off."""
        while any(client.has_work for client in self.clients) and time.monotonic() < until:
            await asyncio.sleep(0.005)
        for client, socket in self.clients.items():
            if client.has_work:
                socket.transport.abort()

    def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        """Judge a client before the websocket opens; a response refuses it."""
        if not http_pages.is_websocket(request.headers.get("Upgrade")):
            answer = self._admission.page(request.path, request.headers)
            connection.close_timeout = PAGE_SECONDS  # a slow line may take that long to read it
            length = {"Content-Length": str(len(answer.body)), "Connection": "close"}
            fields = Headers({**answer.headers, **length})
            return Response(answer.status.value, answer.status.phrase, fields, answer.body)
        refusal = self._admission.refusal(request.path, request.headers, len(self.clients))
        if refusal is None:
            return None
        self._counts.refused += 1
        log.info("refused %s: %s", connection.remote_address, refusal[1])
        return connection.respond(refusal[0], refusal[1] + "\n")

    async def _receive(self, socket: ServerConnection) -> None:
        """One client, from its hello to its end."""
        raw = socket.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(SOL_SOCKET, SO_SNDBUF, SEND_BUFFER)
        await self.accepting.wait()
        client = Connection(socket, self._requests)
        self.clients[client] = socket
        self._counts.clients = len(self.clients)
        client.text(self._requests.greeting())
        writer = asyncio.create_task(self._write(client, socket))
        try:
            await client.read()
        except codec.WireError as error:
            self._counts.refused += 1
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
        finally:
            self._requests.left(client)
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            del self.clients[client]
            self._counts.clients = len(self.clients)

    async def _write(self, client: Connection, socket: ServerConnection) -> None:
        try:
            await client.write(self._place.read_timeout)
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
        self._counts.refused += code in (1002, 1007, 1009)


def limit_connections(most: int) -> type[ServerConnection]:
    """A kind of connection of which there are only so many, websockets or not (yet)."""
    inside: set[ServerConnection] = set()

    class Counted(ServerConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            inside.add(self)
            if len(inside) > most:
                self.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            inside.discard(self)
            super().connection_lost(exc)

    return Counted


def explain(error: Exception, host: str, port: int) -> str:
    """One line for the user on why there is no listening."""
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use, perhaps by another posetalk: "
            "choose another with --port"
        )
    if number in (errno.EACCES, errno.EPERM):
        return f"port {port} may not be opened: choose one above 1023 with --port"
    return f"cannot serve on {host}:{port}: {getattr(error, 'strerror', error)}"
