"""The websocket server: many viewers, none of which can slow the others or the session down.

The only file that imports websockets' server.  Its event loop has a thread of its own; `send` and
its siblings may be called from any thread and only leave a note there.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hmac
import http
import ipaddress
import logging
import socket
import ssl as tls
import threading
import time
import urllib.parse
from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.server import Server as WebsocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from head.model import Head
from stream import wire
from stream.channel_sets import channel_values
from stream.clock import Clock, MonotonicClock, unix_time
from stream.frames import Frame
from stream.sink import FrameTiming
from stream.sources.pcm import LiveResampler, from_int16, mono

log = logging.getLogger(__name__)

MOTION_QUEUE = 64  # frames per viewer, 2.6 s; newest wins
AUDIO_QUEUE = 200  # blocks of at most 20 ms per viewer, 4 s; newest wins
TEXT_QUEUE = 64
MAX_CLIENTS = 64
SEND_BUFFER = 1 << 17  # bytes in the kernel, so that a viewer which pauses is not fed from the past
FACES_PER_MESSAGE = 4096  # 48 kB: below the 64 kB that some engines can receive
OWNER_SECONDS = 2.0  # without a push, another client may push audio


class ServerError(OSError):
    """The server cannot be started; the message is one line for the user."""


@dataclass
class ServerCounts:
    """What the server has done so far."""

    clients: int = 0
    sent: int = 0
    dropped: int = 0  # frames that viewers missed because they were too slow
    let_go: int = 0  # viewers that stopped reading
    refused: int = 0  # clients closed because of what they sent


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
        clock: the clock of the frames' timings.

    Attributes (set before `start`):
        on_audio: takes (n,) float32 at 16 kHz, returns False if it does not fit.
        on_interrupt: a client wants silence.
        on_style: a client wants a style (one of the hello's).

    Raises:
        ServerError: a host that is not loopback, without a token.
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
        clock: Clock | None = None,
    ) -> None:
        if not is_loopback(host) and not token:
            raise ServerError(
                f"serving on {host} lets others connect: give them a token with --token SECRET, "
                "or stay on 127.0.0.1"
            )
        self.host, self.port = host, port
        self.counts = ServerCounts()
        self.on_audio: Callable[[NDArray[np.float32]], bool] | None = None
        self.on_interrupt: Callable[[], None] | None = None
        self.on_style: Callable[[str], None] | None = None
        self._head, self._hello = head, hello
        self._shape = np.asarray(hello.shape, np.float32) if hello.shape else None
        self._token, self._origins, self._ssl = token, frozenset(origins), ssl
        self.patience = patience
        self._clock = clock or MonotonicClock()
        self._clients: set[_Client] = set()
        self._owner: _Client | None = None
        self._encoded: OrderedDict[tuple[int, str, bool], bytes | str] = OrderedDict()
        self._audio_sequence = 0
        # Notes to the event loop; bounded, newest wins, though the loop never lags in practice.
        self._notes: deque[Callable[[], None]] = deque(maxlen=4 * MOTION_QUEUE)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="websocket-server", daemon=True)
        self._closed = False
        self._deadline = 0.0

    @property
    def url(self) -> str:
        """Where clients connect."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'wss' if self._ssl else 'ws'}://{host}:{self.port}"

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
        except OSError as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        quiet = logging.getLogger(f"{__name__}.websockets")
        quiet.setLevel(logging.CRITICAL)  # handshakes that fail are the client's affair
        self._stop = asyncio.Event()
        async with serve(
            self._handle,
            self.host,
            self.port,
            process_request=self._admit,
            compression=None,
            max_size=wire.MAX_MESSAGE_BYTES,
            max_queue=4,
            ping_interval=self.patience / 2,
            ping_timeout=self.patience / 2,
            close_timeout=0.5,
            open_timeout=self.patience,
            server_header=None,
            logger=quiet,
            ssl=self._ssl,
        ) as server:
            self.port = _bound_port(server)
            self._loop = asyncio.get_running_loop()
            self._ready.set()
            await self._stop.wait()
            await self._drain(time.monotonic() + self._deadline / 2)

    def _begin_stop(self) -> None:
        assert self._stop is not None, "close() checks that the loop runs"
        self._read_notes()
        for client in self._clients:
            client.farewell(wire.End(frames=self.counts.sent))
        self._stop.set()

    async def _drain(self, until: float) -> None:
        """Let the viewers have what waits; those that do not read by `until` are cut off."""
        while any(client.has_work for client in self._clients) and time.monotonic() < until:
            await asyncio.sleep(0.005)
        for client in self._clients:
            if client.has_work:
                client.cut_off()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Judge a client before the websocket opens; a response refuses it."""
        origin = request.headers.get("Origin")
        if origin is not None and not self._origin_allowed(origin):
            self.counts.refused += 1
            return connection.respond(http.HTTPStatus.FORBIDDEN, "this origin is not allowed\n")
        if self._token is not None and not self._token_given(request):
            self.counts.refused += 1
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "a token is needed\n")
        if len(self._clients) >= MAX_CLIENTS:
            self.counts.refused += 1
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "too many clients\n")
        return None

    def _origin_allowed(self, origin: str) -> bool:
        """Programs send no origin; of web pages, those served by this machine may come in."""
        if origin in self._origins or "*" in self._origins:
            return True
        host = urllib.parse.urlsplit(origin).hostname
        return host is not None and is_loopback(host)

    def _token_given(self, request: Request) -> bool:
        query = urllib.parse.urlsplit(request.path).query
        given = urllib.parse.parse_qs(query).get("token", [""])[0]
        header = request.headers.get("Authorization", "")
        given = given or header.removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), (self._token or "").encode())

    async def _handle(self, connection: ServerConnection) -> None:
        raw = connection.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        client = _Client(connection, self)
        self._clients.add(client)
        self.counts.clients = len(self._clients)
        client.text(self._hello)
        writer = asyncio.create_task(client.write())
        try:
            await client.read()
        except wire.WireError as error:
            self.counts.refused += 1
            client.farewell(wire.Error(error.code, str(error)), at_once=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(writer), 1.0)
            await connection.close(1008, error.code)
        except ConnectionClosed as error:
            self._judge_closing(client, error)
        finally:
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            self._clients.discard(client)
            self.counts.clients = len(self._clients)
            self.counts.let_go += client.stopped_reading
            if self._owner is client:
                self._owner = None

    def _judge_closing(self, client: _Client, error: ConnectionClosed) -> None:
        """Count why this side closed: 1011 is an unanswered ping, the rest what was received."""
        code = None if error.sent is None or error.rcvd_then_sent else error.sent.code
        client.stopped_reading |= code == 1011
        self.counts.refused += code in (1002, 1007, 1009)

    def _read_notes(self) -> None:
        while self._notes:
            self._notes.popleft()()

    def _spread(self, frame: Frame, timing: FrameTiming | None) -> None:
        if timing is not None:
            self._tell_time(frame, timing)
        for client in self._clients:
            client.motion(frame)
        self.counts.sent += 1

    def _spread_audio(self, start: int, samples: NDArray[np.float32]) -> None:
        if any(client.wish.audio for client in self._clients):
            message = wire.Message(wire.Kind.PCM, self._audio_sequence, start, samples)
            data = wire.serialise(message)
            for client in self._clients:
                client.pcm(data)
        self._audio_sequence += 1

    def _spread_text(self, message: wire.Text) -> None:
        for client in self._clients:
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

    def encode(self, frame: Frame, name: str, as_json: bool) -> bytes | str:
        """One frame in a set, encoded once for all viewers that want it."""
        key = (frame.sample, name, as_json)
        data = self._encoded.get(key)
        if data is None:
            values = channel_values(self._head, name, frame, self._shape)
            data = self._as_text(frame, name, values) if as_json else wire.serialise(
                wire.Message(wire.KIND_OF_SET[name], frame.sequence, frame.sample, values)
            )  # fmt: skip
            self._encoded[key] = data
            if len(self._encoded) > 16:
                self._encoded.popitem(last=False)
        return data

    def _as_text(self, frame: Frame, name: str, values: NDArray[np.float32]) -> str:
        names = self._hello.channels[name] or [str(index) for index in range(len(values))]
        readable = {n: round(float(v), 5) for n, v in zip(names, values, strict=True)}
        return wire.serialise_text(wire.TextFrame(name, frame.sequence, frame.sample, readable))

    def faces(self) -> list[bytes]:
        """The triangles, in messages that small receive buffers can take."""
        corners = np.ascontiguousarray(self._head.faces, np.uint32).ravel()
        step = 3 * FACES_PER_MESSAGE
        return [
            wire.serialise(wire.Message(wire.Kind.FACES, n, at, corners[at : at + step]))
            for n, at in enumerate(range(0, len(corners), step))
        ]

    def offers(self, name: str) -> bool:
        """Whether the hello names this channel set."""
        return name in self._hello.channels

    def take_audio(self, client: _Client, samples: NDArray[np.float32]) -> wire.Error | None:
        """Pass pushed audio on; the first client that pushes has the floor until it pauses."""
        if self.on_audio is None:
            return wire.Error("audio_not_accepted", "this session hears another source", False)
        owner = self._owner
        if owner is not None and owner is not client and owner.pushed_lately:
            return wire.Error("audio_busy", "another client is pushing audio", False)
        self._owner = client
        if not self.on_audio(samples):
            return wire.Error("audio_full", "too much audio waits: push this again later", False)
        return None

    def change_style(self, name: str) -> wire.Error | None:
        """Pass a client's wish for a style on."""
        if self.on_style is None or name not in self._hello.styles:
            return wire.Error("no_such_style", f"choose one of {self._hello.styles}", False)
        self.on_style(name)
        return None

    def interrupt(self) -> None:
        """Pass a client's wish for silence on."""
        if self.on_interrupt is not None:
            self.on_interrupt()

    def _explain(self, error: OSError) -> str:
        if error.errno == errno.EADDRINUSE:
            return (
                f"port {self.port} on {self.host} is in use, perhaps by another posetalk: "
                "choose another with --port"
            )
        if error.errno in (errno.EACCES, errno.EPERM):
            return f"port {self.port} may not be opened: choose one above 1023 with --port"
        return f"cannot serve on {self.host}:{self.port}: {error.strerror or error}"


class _Client:
    """One connection: its wish, its queues (bounded, newest wins), its reading and writing."""

    def __init__(self, connection: ServerConnection, server: Server) -> None:
        self._connection, self._server = connection, server
        self.wish = wire.Subscribe()
        self._texts: deque[str] = deque(maxlen=TEXT_QUEUE)
        self._blobs: deque[bytes] = deque(maxlen=16)  # the head's faces
        self._audio: deque[bytes] = deque(maxlen=AUDIO_QUEUE)
        self._frames: deque[Frame] = deque(maxlen=MOTION_QUEUE)
        self._wake = asyncio.Event()
        self._resampler = LiveResampler(wire.Hello.sample_rate)
        self._last_push = -OWNER_SECONDS
        self._last: str | None = None
        self._ended = False
        self._busy = False
        self.stopped_reading = False

    # --- what the server hands over ---
    def text(self, message: wire.Text) -> None:
        self._texts.append(wire.serialise_text(message))
        self._wake.set()

    def pcm(self, data: bytes) -> None:
        if self.wish.audio:
            self._audio.append(data)
            self._wake.set()

    def motion(self, frame: Frame) -> None:
        if not self.wish.set:
            return
        if len(self._frames) == self._frames.maxlen:
            self._server.counts.dropped += 1
        self._frames.append(frame)
        self._wake.set()

    def farewell(self, message: wire.Text, at_once: bool = False) -> None:
        """Say this last: after what waits, or instead of it."""
        if at_once:
            for waiting in (self._texts, self._blobs, self._audio, self._frames):
                waiting.clear()
        self._last = wire.serialise_text(message)
        self._wake.set()

    def cut_off(self) -> None:
        """End the connection without another word."""
        self._connection.transport.abort()

    @property
    def has_work(self) -> bool:
        waiting = self._texts or self._blobs or self._audio or self._frames or self._last
        return self._busy or bool(waiting)

    @property
    def pushed_lately(self) -> bool:
        return time.monotonic() - self._last_push < OWNER_SECONDS

    # --- writing ---
    async def write(self) -> None:
        """Send what waits until the connection ends, or the last words are said."""
        try:
            while not self._ended:
                await self._wake.wait()
                self._wake.clear()
                while (data := self._next()) is not None:
                    self._busy = True
                    async with asyncio.timeout(self._server.patience):
                        await self._connection.send(data)
                    self._busy = False
        except TimeoutError:
            self.stopped_reading = True
            self.cut_off()
        except ConnectionClosed:
            pass  # the reader sees it too, and judges it
        finally:
            self._busy = False

    def _next(self) -> bytes | str | None:
        if self._texts:
            return self._texts.popleft()
        if self._blobs:
            return self._blobs.popleft()
        if self._audio:
            return self._audio.popleft()
        if self._frames and self.wish.set:
            return self._server.encode(self._frames.popleft(), self.wish.set, self.wish.json)
        self._frames.clear()
        last, self._last = self._last, None
        self._ended |= last is not None
        return last

    # --- reading ---
    async def read(self) -> None:
        """Obey what the client sends; raises `WireError` for rubbish."""
        async for data in self._connection:
            if isinstance(data, bytes):
                self._obey_binary(wire.parse(data))
            else:
                self._obey_text(wire.parse_text(data))

    def _obey_binary(self, message: wire.Message) -> None:
        if not isinstance(message.kind, wire.Kind):
            return  # unknown: from a newer client, to be skipped
        if message.kind is not wire.Kind.PCM:
            raise wire.WireError("unexpected", f"clients do not send {message.kind.name}")
        self._last_push = time.monotonic()
        samples = message.payload
        if message.flags & wire.Flag.INT16:
            samples = from_int16(samples)
        self._answer(self._server.take_audio(self, self._resampler.feed(mono(samples))))

    def _obey_text(self, message: wire.Text | wire.Unknown) -> None:
        match message:
            case wire.Subscribe():
                self._subscribe(message)
            case wire.AudioFormat(sample_rate):
                if not 8000 <= sample_rate <= 192_000:
                    raise wire.WireError("field", "`sample_rate` must be 8000 to 192000")
                self._resampler = LiveResampler(sample_rate)
            case wire.Interrupt():
                self._resampler.reset()
                self._server.interrupt()
            case wire.Style(name):
                self._answer(self._server.change_style(name))
            case wire.Ping(number):
                self.text(wire.Pong(number, time.time()))
            case wire.Unknown() | wire.Hello():
                pass
            case _:
                raise wire.WireError("unexpected", f"clients do not send `{message.TYPE}`")

    def _subscribe(self, wish: wire.Subscribe) -> None:
        if wish.set and not self._server.offers(wish.set):
            self._answer(wire.Error("no_such_set", "the hello's `channels` has the sets", False))
            return
        if wish.set == wire.VERTICES and self.wish.set != wire.VERTICES:
            self._blobs.extend(self._server.faces())
        self.wish = wish
        self._wake.set()

    def _answer(self, error: wire.Error | None) -> None:
        if error is not None:
            self.text(error)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _bound_port(server: WebsocketServer) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])
