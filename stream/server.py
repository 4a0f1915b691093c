"""The websocket server: many viewers, none of which can slow the others or the session down.

The only file that imports websockets' server.  Its event loop has a thread of its own; `send` and
its siblings may be called from any thread and only leave a note there.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import http
import logging
import ssl as tls
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from socket import SO_SNDBUF, SOL_SOCKET
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.server import Server as WebsocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from head.model import Head
from stream import web, wire
from stream.access import Gate, is_loopback
from stream.clock import Clock, MonotonicClock, unix_time
from stream.connection import Connection
from stream.encoder import Encoder
from stream.frames import Frame
from stream.limits import Limits
from stream.own_session import OwnSessions
from stream.owners import Owners, ServerCounts
from stream.sink import FrameTiming

log = logging.getLogger(__name__)

NOTES = 256  # waiting for the event loop, which never lags in practice; newest wins
SEND_BUFFER = 1 << 17  # bytes in the kernel, so that a viewer which pauses is not fed from the past
PAGE_SECONDS = 30.0
TICK_SECONDS = 0.02
OWNER_SECONDS = 2.0  # without a push, another client may push audio


class ServerError(OSError):
    """The server cannot be started; the message is one line for the user."""


class Server:
    """Serves one session's frames; a context manager and a `FrameSink`.

    Args:
        head: poses `vertices`, and maps to `arkit52`.
        hello: what clients are told first (`channel_sets.make_hello`).
        host: loopback by default; anything else needs a token.
        port: 0 takes a free one, see `port`.
        token: clients must bring it, as `?token=` or `Authorization: Bearer`.
        origins: web pages, as `https://example.org`, that may connect besides those of this
            machine.
        ssl: a TLS context for wss://.
        patience: seconds after which a viewer that does not read is let go.
        pages: what browsers get on the same port, by path.
        sessions: opens clients' own sessions; None: there are none.
        limits: what it takes from its clients.
        clock: the clock of the frames' timings.

    Attributes (set before `start`):
        on_audio: takes (n,) float32 at 16 kHz, returns False if it does not fit.
        on_interrupt: a client wants silence.
        on_style: a client wants a style, by name or as a mix; raises ValueError for one that is
            not there.
        on_guidance: a client wants these strengths of voice and style (None leaves one); raises
            ValueError for a number that cannot be.

    Raises:
        ServerError: a host that is not loopback, without a token; a port that cannot be.
    """

    def __init__(
        self,
        head: Head,
        hello: wire.Hello,
        host: str = "127.0.0.1",
        port: int = 8765,
        *,
        token: str | None = None,
        origins: Collection[str] = (),
        ssl: tls.SSLContext | None = None,
        patience: float = 10.0,
        pages: Mapping[str, web.Page] | None = None,
        sessions: OwnSessions | None = None,
        limits: Limits | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not is_loopback(host) and not token:
            raise ServerError(
                f"serving on {host} lets others connect: give them a token with --token SECRET, "
                "or stay on 127.0.0.1"
            )
        if not 0 <= port <= 65535:
            raise ServerError(f"port {port}: choose 0 to 65535 with --port")
        self.host, self.port = host, port
        self.counts = ServerCounts()
        self.on_audio: Callable[[NDArray[np.float32]], bool] | None = None
        self.on_interrupt: Callable[[], None] | None = None
        self.on_style: Callable[[str], None] | None = None
        self.on_guidance: Callable[[float | None, float | None], None] | None = None
        self.encoder = Encoder(head, hello)
        self.patience = patience
        self.pages = dict(pages or {})
        self.limits = limits or Limits()
        self._owners = Owners(
            sessions, head, self.encoder, lambda: self._hello, self.counts, self._post
        )
        self._hello = hello
        self._gate, self._ssl = Gate(token, frozenset(origins)), ssl
        self._clock = clock or MonotonicClock()
        self._clients: dict[Connection, ServerConnection] = {}
        self._owner: Connection | None = None  # of the floor: whose pushed audio is taken
        self._notes: deque[Callable[[], None]] = deque(maxlen=NOTES)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._held = False
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="websocket-server", daemon=True)
        self._closed = False
        self._deadline = 0.0

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"{'wss' if self._ssl else 'ws'}://{self._authority}"

    @property
    def page_url(self) -> str:
        """Where browsers find the page."""
        return f"{'https' if self._ssl else 'http'}://{self._authority}/"

    @property
    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    # --- from any thread -----------------------------------------------------------------------
    def start(self) -> Self:
        """Listen; returns once clients can connect.

        Raises `ServerError` when the port is taken or the host is not of this machine.
        """
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise ServerError(self._explain(self._failure)) from None
        return self

    def hold(self) -> None:
        """Greet nobody until `welcome`: what clients may ask for is not known yet.

        To be called before `start`.
        """
        self._held = True

    def welcome(self) -> None:
        """Greet those who wait, and all who come."""
        self._held = False
        self._post(lambda: self._greets.set())

    def send(self, frame: Frame, timing: FrameTiming | None = None) -> None:
        """Give a frame to every viewer, without waiting."""
        self._note(lambda: self._spread(frame, timing))

    def audio(self, start: int, samples: NDArray[np.float32]) -> None:
        """Give the audio that the frames belong to, to the viewers that asked for it."""
        self._note(lambda: self._spread_audio(start, samples))

    def interrupted(self, sample: int) -> None:
        """Tell the viewers that speech was cut at `sample`."""
        self._note(lambda: self._spread_text(wire.Interrupted(sample)))

    def style_changed(self, name: str) -> None:
        """Tell the viewers, now and in later hellos, that the style is another."""
        self._hello = replace(self._hello, style=name)
        self._note(lambda: self._spread_text(wire.Style(name)))

    def guidance_changed(self, audio: float, style: float) -> None:
        """Tell the viewers, now and in later hellos, how much voice and style count."""
        self._hello = replace(self._hello, guidance={"audio": audio, "style": style})
        self._note(lambda: self._spread_text(wire.Guidance(audio, style)))

    def close(self, deadline: float = 2.0) -> None:
        """Send what waits, say goodbye, stop; takes `deadline` seconds at most."""
        if self._closed or self._loop is None:
            return
        self._closed = True
        self._deadline = deadline
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._begin_stop)
        self._thread.join(deadline + 1.0)
        if self._thread.is_alive():
            log.warning("the websocket server did not stop within %.1f s", deadline + 1.0)
        self._owners.end()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _note(self, action: Callable[[], None]) -> None:
        if self._loop is None or self._closed:
            return
        if len(self._notes) == self._notes.maxlen:
            self.counts.dropped += 1
        self._notes.append(action)
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._read_notes)

    # --- in the event loop ---------------------------------------------------------------------
    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except (OSError, ValueError) as error:  # ValueError: a host that cannot even be looked up
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        quiet = logging.getLogger(f"{__name__}.websockets")
        quiet.setLevel(logging.CRITICAL)  # handshakes that fail are the client's affair
        self._stop, self._greets = asyncio.Event(), asyncio.Event()
        async with serve(
            self._handle,
            self.host,
            self.port,
            process_request=self._admit,
            compression=None,
            max_size=self.limits.message_bytes,
            max_queue=4,
            ping_interval=self.patience / 2,
            ping_timeout=self.patience / 2,
            close_timeout=0.5,
            open_timeout=max(self.patience, PAGE_SECONDS),
            server_header=None,
            logger=quiet,
            ssl=self._ssl,
            create_connection=self._door(),
        ) as server:
            self.port = _bound_port(server)
            self._loop = asyncio.get_running_loop()
            self._ready.set()
            ticking = asyncio.create_task(self._keep_time())
            await self._stop.wait()
            ticking.cancel()
            await self._drain(time.monotonic() + self._deadline / 2)

    def _door(self) -> type[ServerConnection]:
        """A kind of connection of which there are only so many, websockets or not (yet)."""
        most = self.limits.clients + self.limits.handshakes
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

    def _begin_stop(self) -> None:
        assert self._stop is not None, "close() checks that the loop runs"
        self._read_notes()
        self._greets.set()
        for client in self._clients:
            client.farewell(wire.End(frames=self.counts.sent))
        self._stop.set()

    async def _drain(self, until: float) -> None:
        """Let the viewers have what waits; those that do not read by `until` are cut off."""
        while any(client.has_work for client in self._clients) and time.monotonic() < until:
            await asyncio.sleep(0.005)
        for client, socket in self._clients.items():
            if client.has_work:
                socket.transport.abort()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Judge a client before the websocket opens; a response refuses it."""
        headers = request.headers
        if not web.is_websocket(headers.get("Upgrade")):
            return self._page(connection, request)
        refusal = self._gate.refusal(
            request.path, headers.get("Origin"), headers.get("Authorization"), headers.get("Host")
        )
        if refusal is None and len(self._clients) >= self.limits.clients:
            refusal = http.HTTPStatus.SERVICE_UNAVAILABLE, "too many clients"
        if refusal is None:
            return None
        self.counts.refused += 1
        log.info("refused %s: %s", connection.remote_address, refusal[1])
        return connection.respond(refusal[0], refusal[1] + "\n")

    def _page(self, connection: ServerConnection, request: Request) -> Response:
        """The answer to a plain HTTP request: a page of the site, or why not."""
        headers = request.headers
        page = self.pages.get(web.page_path(request.path))
        refused = self._gate.page_refusal(headers.get("Host"))
        if refused is None and page is None:
            refused = http.HTTPStatus.NOT_FOUND, "there is no such page"
        if refused is None and page is not None and page.private:
            refused = self._gate.refusal(
                request.path,
                headers.get("Origin"),
                headers.get("Authorization"),
                headers.get("Host"),
            )
        if refused is not None or page is None:
            answer = web.refusal(*(refused or (http.HTTPStatus.NOT_FOUND, "")))
        else:
            answer = web.answer(page, headers.get("Accept-Encoding"))
        connection.close_timeout = PAGE_SECONDS  # a slow line may take that long to read it
        fields = {**answer.headers, "Content-Length": str(len(answer.body)), "Connection": "close"}
        return Response(answer.status.value, answer.status.phrase, Headers(fields), answer.body)

    async def _handle(self, socket: ServerConnection) -> None:
        raw = socket.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(SOL_SOCKET, SO_SNDBUF, SEND_BUFFER)
        if self._held:
            await self._greets.wait()
        client = Connection(socket, self)
        self._clients[client] = socket
        self.counts.clients = len(self._clients)
        client.text(self._greeting())
        writer = asyncio.create_task(self._write(client, socket))
        try:
            await client.read()
        except wire.WireError as error:
            self.counts.refused += 1
            log.info("closed %s: %s", socket.remote_address, error)
            client.farewell(wire.Error(error.code, str(error)), at_once=True)
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
            self.close_own(client, "")
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            del self._clients[client]
            self.counts.clients = len(self._clients)
            if self._owner is client:
                self._owner = None

    def _greeting(self) -> wire.Hello:
        """The hello, with what this server lets clients ask for by now."""
        can = {
            "style": self.on_style,
            "guidance": self.on_guidance,
            "interrupt": self.on_interrupt,
            "audio": self.on_audio,
            "open": self._owners.sessions,
        }
        accepts = [name for name, action in can.items() if action is not None]
        return replace(self._hello, accepts=accepts) if accepts else self._hello

    async def _write(self, client: Connection, socket: ServerConnection) -> None:
        try:
            await client.write(self.patience)
        except TimeoutError:
            self.counts.let_go += 1
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
        self.counts.let_go += code == 1011
        self.counts.refused += code in (1002, 1007, 1009)

    def _read_notes(self) -> None:
        while self._notes:
            self._notes.popleft()()

    def _spread(self, frame: Frame, timing: FrameTiming | None) -> None:
        if timing is not None:
            self._tell_time(frame, timing)
        for client in self._clients:
            if client.own is None:
                self.counts.dropped += client.motion(frame)
        self.counts.sent += 1

    def _spread_audio(self, start: int, samples: NDArray[np.float32]) -> None:
        data = self.encoder.audio(start, samples)
        for client in self._clients:
            if client.own is None:
                client.pcm(data)

    def _spread_text(self, message: wire.Text) -> None:
        for client in self._clients:
            if client.own is None:
                client.text(message)

    def _tell_time(self, frame: Frame, timing: FrameTiming) -> None:
        """Say when sample 0 was captured, at first and whenever the estimate moves by 5 ms."""
        rate = self._hello.sample_rate
        middle = frame.sample + rate / self._hello.fps / 2
        start = unix_time(self._clock, timing.captured) - middle / rate
        known = self._hello.start_time
        if known is None or abs(start - known) > 0.005:
            self._hello = replace(self._hello, start_time=start)
            self._spread_text(wire.ClockInfo(0, start))

    def take_audio(self, client: Connection, samples: NDArray[np.float32]) -> wire.Error | None:
        """Pass pushed audio on; the first client that pushes has the floor until it pauses."""
        if self.on_audio is None:
            return wire.Error("audio_not_accepted", "this session hears another source", False)
        owner = self._owner
        if (
            owner is not None
            and owner is not client
            and (time.monotonic() - owner.last_push < OWNER_SECONDS)
        ):
            return wire.Error("audio_busy", "another client is pushing audio", False)
        self._owner = client
        if not self.on_audio(samples):
            return wire.Error("audio_full", "too much audio waits: push this again later", False)
        return None

    def open_own(self, client: Connection, wish: wire.Open) -> wire.Error | None:
        """Give a client a session of its own."""
        return self._owners.open(client, wish)

    def close_own(self, client: Connection, reason: str) -> None:
        """End a client's own session, tell it, and show it the server's again."""
        self._owners.close(client, reason)

    def _post(self, action: Callable[[], None]) -> None:
        """Do something in the event loop, in order; from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(action)

    async def _keep_time(self) -> None:
        """Let time pass in clients' own sessions."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._owners.tick(self.limits.session_seconds)

    def change_style(self, name: str) -> wire.Error | None:
        """Pass a client's wish for a style on."""
        sentence = f"choose one of {', '.join(self._hello.styles)}, or a mix of them"
        if self.on_style is None:
            return wire.Error("no_such_style", sentence, False)
        try:
            self.on_style(name)
        except ValueError:
            return wire.Error("no_such_style", sentence, False)
        return None

    def change_guidance(self, audio: float | None, style: float | None) -> wire.Error | None:
        """Pass a client's wish for strengths on."""
        if self.on_guidance is None:
            return wire.Error("guidance", "the strengths are fixed here", False)
        try:
            self.on_guidance(audio, style)
        except ValueError as error:
            return wire.Error("guidance", str(error), False)
        return None

    def interrupt(self) -> None:
        """Pass a client's wish for silence on."""
        if self.on_interrupt is not None:
            self.on_interrupt()

    def _explain(self, error: Exception) -> str:
        number = getattr(error, "errno", None)
        if number == errno.EADDRINUSE:
            return (
                f"port {self.port} on {self.host} is in use, perhaps by another posetalk: "
                "choose another with --port"
            )
        if number in (errno.EACCES, errno.EPERM):
            return f"port {self.port} may not be opened: choose one above 1023 with --port"
        return f"cannot serve on {self.host}:{self.port}: {getattr(error, 'strerror', error)}"


def _bound_port(server: WebsocketServer) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])
