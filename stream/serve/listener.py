"""The port: websockets that are let in or not, and browsers that ask for pages.

The only file that imports websockets' server.  `stream.serve.client.attendance` talks to those
who came in.
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
from typing import Any, cast

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from head.errors import PosetalkError
from stream.serve.client.attendance import Attendance
from stream.serve.door import http_pages
from stream.serve.door.admission import Admission, reason_of
from stream.serve.door.arrivals import Arrivals
from stream.serve.door.auth import FOREIGN, Refusal
from stream.serve.door.bridged import Arrived, BridgedSocket
from stream.serve.door.doorbell import Doorbell, listen
from stream.serve.door.guarded import Guards, Places, Turns, guard
from stream.serve.door.hang_ups import HangUps
from stream.serve.door.peers import Peers
from stream.serve.door.unfinished import Unfinished
from stream.serve.limits import REQUEST, Bucket, Limits, echo
from stream.serve.requests import ClientRequests
from stream.serve.server_counts import ServerCounts

log = logging.getLogger(__name__)

SEND_BUFFER = 1 << 17  # bytes in the kernel, so that a viewer which pauses is not fed from the past
BRAKED_SECONDS = 1.0
TOLD_A_SECOND, TOLD_AT_ONCE = 0.2, 10.0
"""Lines on pages from elsewhere that a person is told; all of them are logged below that level."""
ARRIVAL_TURNS = 3
"""Of the event loop, after which a socket that was accepted has its transport, this its protocol,
and what the protocol cut off is closed.
"""
CLOSE_SECONDS = 0.3  # that a client may take to say goodbye, too


class Fields:
    """A request's headers, whose fields that came twice are one, as HTTP joins them.

    Args:
        headers: of websockets, whose own would raise.
    """

    def __init__(self, headers: Headers) -> None:
        self._headers = headers

    def get(self, key: str, /) -> str | None:
        """The field of this name; None: there is none."""
        found = self._headers.get_all(key)
        return ", ".join(found) if found else None


class ServerError(PosetalkError, OSError):
    """The server cannot be started; the message is one line for the user."""


@dataclass(frozen=True)
class ListenSettings:
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
        limits: what it takes from those who come.

    Attributes:
        peers: where they come from.
        attendance: those whose websocket is open.
    """

    def __init__(
        self, place: ListenSettings, admission: Admission, counts: ServerCounts, limits: Limits
    ) -> None:
        self._place, self._admission, self._counts = place, admission, counts
        self._limits = limits
        self._places = Places()
        self._telling = Bucket(TOLD_A_SECOND, TOLD_AT_ONCE)
        self.peers = Peers(limits)
        self.arrivals = Arrivals(limits, counts.refuse)
        self._unfinished, self._hang_ups = Unfinished(limits, counts.refuse), HangUps()
        self.attendance = Attendance(counts, place.read_timeout)

    async def listen(
        self, requests: ClientRequests, serving: Callable[[int], Awaitable[None]]
    ) -> None:
        """Serve until `serving`, which is told the port, returns.

        Raises OSError or ValueError where there is no listening.
        """
        place, limits = self._place, self._limits
        self._requests = requests
        quiet = logging.getLogger(f"{__name__}.websockets")
        quiet.setLevel(logging.CRITICAL)  # handshakes that fail are the client's affair
        guards = Guards(
            limits,
            self.peers,
            self.arrivals,
            self._unfinished,
            self._hang_ups,
            Turns(),
            self._places,
            self._counts.take_in,
            self._counts.refuse,
        )
        tls: dict[str, Any] = {}
        if place.ssl is not None:
            tls = {"ssl_handshake_timeout": limits.handshake_seconds}
        async with contextlib.AsyncExitStack() as closing:
            closing.push_async_callback(self._end_arrivals)
            ports = listen(place.host, place.port)
            port = int(ports[0].getsockname()[1])
            bells = [Doorbell(listening, self.arrivals, self._delay) for listening in ports]
            for bell in bells:
                closing.callback(bell.close)
                await closing.enter_async_context(
                    serve(
                        self._receive,
                        sock=bell,
                        process_request=self._judge,
                        compression=None,
                        max_size=limits.message_bytes,
                        max_queue=1,
                        ping_interval=place.read_timeout / 2,
                        ping_timeout=place.read_timeout / 2,
                        close_timeout=CLOSE_SECONDS,
                        open_timeout=limits.handshake_seconds + limits.page_seconds,
                        server_header=None,
                        logger=quiet,
                        ssl=place.ssl,
                        create_connection=guard(ServerConnection, guards),
                        **tls,
                    )
                )
            await serving(port)
            for bell in bells:
                bell.stop()
            await asyncio.sleep(0)

    async def _end_arrivals(self) -> None:
        """End who was accepted just now, of whom websockets' server does not know to wait for."""
        self.arrivals.cut_off()
        for _ in range(ARRIVAL_TURNS):
            await asyncio.sleep(0)

    def tick(self) -> None:
        """Let time pass."""
        self.arrivals.tick()
        self._unfinished.tick()
        self._hang_ups.tick()

    def cut_off(self) -> None:
        """End every connection that is still there, whatever its other side does."""
        self.attendance.cut_off()
        self.arrivals.cut_off()

    def _delay(self, address: object) -> float:
        """Who has guessed too many tokens is let in later: a guess shall cost no TLS at once."""
        free = self.peers.of(address).brake.has(1.0, time.monotonic())
        return 0.0 if free else BRAKED_SECONDS

    async def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        """Judge a client before the websocket opens; a response refuses it."""
        peer = self.peers.of(connection.remote_address)
        fields = Fields(request.headers)
        cast(Any, connection).is_judged = True
        wait = peer.requests.take(REQUEST, time.monotonic())
        if wait:
            await asyncio.sleep(wait)
        if not http_pages.is_websocket(fields.get("Upgrade")):
            self.arrivals.asked(connection.remote_address)
            late = self._admission.late_page(request.path)
            if late is not None:  # takes a while, in which frames go out and others are answered
                await asyncio.to_thread(lambda: late.packed)
            method = getattr(request, "method", "GET")
            answer = self._admission.page(method, request.path, fields, peer)
            if answer.status >= 400:
                self._counts.refuse(f"http_{answer.status.value}")
                self._tell_refused(connection, fields, answer.body.decode().rstrip("\n"))
            connection.close_timeout = self._limits.page_seconds  # a slow line takes that long
            length = {"Content-Length": str(len(answer.body)), "Connection": "close"}
            told = Headers({**length, **answer.headers})
            return Response(answer.status.value, answer.status.phrase, told, answer.body)
        refusal = self._admission.refusal(request.path, fields, self._places.taken, peer)
        if refusal is None:
            cast(Any, connection).take_place()
            return None
        self._counts.refuse(reason_of(refusal))
        self._tell_refused(connection, fields, refusal[1])
        return connection.respond(refusal[0], refusal[1] + "\n")

    def _tell_refused(self, connection: ServerConnection, fields: Fields, why: str) -> None:
        """Log who was refused and why; whoever runs the server is told of pages from elsewhere."""
        address, origin = connection.remote_address, fields.get("Origin")
        if origin is None or FOREIGN[1] != why:
            log.info("refused %s: %s", address, why)
            return
        told = self._telling.has(1.0, time.monotonic())
        if told:
            self._telling.take(1.0, time.monotonic())
        level = logging.WARNING if told else logging.INFO
        log.log(
            level, "refused a page of origin %s: name it with --origin to let it in", echo(origin)
        )

    async def _receive(self, socket: ServerConnection) -> None:
        """One client, from its hello to its end."""
        raw = socket.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(SOL_SOCKET, SO_SNDBUF, SEND_BUFFER)
        self.arrivals.left(socket.remote_address)
        assert socket.request is not None
        role = self._admission.role(socket.request.path, Fields(socket.request.headers))
        peer = self.peers.of(socket.remote_address)
        await self.attendance.attend(socket, peer, role, self._requests)

    def open_bridged(self, arrived: Arrived, wake: Callable[[], None]) -> BridgedSocket | Refusal:
        """A place for a websocket that is accepted elsewhere, or why there is none for it."""
        peer = self.peers.of(arrived.address)
        refusal = self._admission.refusal(arrived.path, arrived, self._places.taken, peer)
        if refusal is not None:
            self._counts.refuse(reason_of(refusal))
            return refusal
        self._places.taken += 1
        peer.clients += 1
        return BridgedSocket(arrived, self.peers.budget(peer), self._limits.message_bytes, wake)

    async def attend_bridged(self, socket: BridgedSocket, arrived: Arrived, held: bool) -> None:
        """One client that `open_bridged` let in, from its hello to its end.

        One that is `held` has its place, and is told nothing.
        """
        peer = self.peers.of(arrived.address)
        try:
            if held:
                await socket.wait_closed()
                return
            role = self._admission.role(arrived.path, arrived)
            bridged = cast(ServerConnection, socket)
            await self.attendance.attend(bridged, peer, role, self._requests)
        finally:
            self._places.taken -= 1
            peer.clients -= 1
            await socket.close()


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
