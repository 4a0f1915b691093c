"""Websocket client of the wire: reconnects, hands over what arrived, never falls behind.

`ViewerClient.run` is a coroutine; `ClientThread` runs it beside a window loop. What arrives goes
into a bounded inbox (newest wins, counted) together with its arrival time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import numpy as np
from numpy.typing import NDArray

from head.errors import PosetalkError
from stream.wire import codec, messages

if TYPE_CHECKING:
    from types import TracebackType

logger = logging.getLogger(__name__)

DEFAULT_PORT = 8765
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.25, 4.0
HELLO_SECONDS = 10.0
INBOX_ITEMS = 1000  # 20 s of frames and sound: more means that nobody takes them


class ClientError(PosetalkError, RuntimeError):
    """The server cannot be watched; one line that says why and what to do."""


@dataclass(frozen=True, eq=False)
class ReceivedMotion:
    """One frame as it arrived: `values` (n,) of the subscribed set, `arrival` in clock seconds."""

    sequence: int
    sample: int
    values: NDArray[np.float32]
    arrival: float


@dataclass(frozen=True, eq=False)
class Sound:
    """Mono sound as it arrived: `samples` (n,) in -1..1, the first one at index `sample`."""

    sample: int
    samples: NDArray[np.float32]
    arrival: float


@dataclass(frozen=True)
class Restarted:
    """The server has started a new timeline, or forgot what was not animated yet."""

    hello: messages.Hello


@dataclass(frozen=True)
class Ended:
    """The server has sent its last frame."""


Event: TypeAlias = ReceivedMotion | Sound | Restarted | Ended


@dataclass
class Inbox:
    """Bounded hand-over from the socket to one reader: the oldest goes when nobody takes it."""

    capacity: int = INBOX_ITEMS
    dropped: int = 0
    _items: deque[Event] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, event: Event) -> None:
        with self._lock:
            if len(self._items) >= self.capacity:
                self._items.popleft()
                self.dropped += 1
            self._items.append(event)

    def take(self) -> list[Event]:
        """Everything that arrived since the last call, in order."""
        with self._lock:
            items = list(self._items)
            self._items.clear()
        return items


def parse_url(url: str) -> str:
    """Complete `host`, `host:port`, a page or a full address to ws://host:port.

    Raises:
        ClientError: no address.
    """
    full = url if "://" in url else f"ws://{url}"
    try:
        parts = urlsplit(full)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    secure = {"http": "ws", "https": "wss"}  # the page's address, which servers print
    parts = parts._replace(scheme=secure.get(parts.scheme, parts.scheme))
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ClientError(f"{url!r} is not an address: write ws://HOST:{DEFAULT_PORT}")
    if port is None and parts.scheme == "ws":
        host = parts.netloc.removesuffix(":")
        return urlunsplit(parts._replace(netloc=f"{host}:{DEFAULT_PORT}"))
    return urlunsplit(parts)


def split_token(url: str) -> tuple[str, str | None]:
    """An address without the token in its query, and that token: it is to stand in no log."""
    parts = urlsplit(url)
    fields = parse_qsl(parts.query, keep_blank_values=True)
    token = next((value for name, value in fields if name == "token"), None)
    rest = urlencode([field for field in fields if field[0] != "token"])
    return urlunsplit(parts._replace(query=rest)), token


def event_of(message: codec.Message, arrival: float) -> Event | None:
    """What a binary message means to a viewer; None for what it did not ask for."""
    if message.kind in (codec.Kind.FLAME, codec.Kind.ARKIT52, codec.Kind.VERTICES):
        values = np.array(message.payload, np.float32)
        return ReceivedMotion(message.sequence, message.sample, values, arrival)
    if message.kind == codec.Kind.PCM:
        scale = np.float32(1 / 32768 if message.flags & codec.Flag.INT16 else 1)
        return Sound(message.sample, np.array(message.payload, np.float32) * scale, arrival)
    return None


def reason(error: OSError) -> str:
    """Why a server could not be reached, in a few words."""
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, socket.gaierror):
        return "there is no such host"
    if isinstance(error, TimeoutError):
        return "no answer"
    return error.strerror or str(error) or type(error).__name__


def refusal(url: str, status: int) -> str:
    """Why a server let nobody in, by the status of its answer (HTTP)."""
    if status == 401:
        return f"{url} wants a token, and this is not it: set POSETALK_TOKEN, or ?token= of the URL"
    if status == 403:
        return f"{url} does not let this program in (HTTP 403)"
    return f"{url} is no posetalk server (HTTP {status})"


class ViewerClient:
    """Watches one server until `stop`, reconnecting whenever the connection is lost.

    A first connection must succeed within `patience` seconds; once there was one, it tries for ever
    unless `reconnect` is False. Make it on any thread, run it on one loop. A token, given or as
    `?token=` of the address, goes along as a header and stands in no message.
    """

    def __init__(
        self,
        url: str,
        *,
        channel_set: str = messages.FLAME,
        audio: bool = False,
        reconnect: bool = True,
        patience: float = 10.0,
        token: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url, brought = split_token(parse_url(url))
        token = token if brought is None else brought
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.inbox = Inbox()
        self.hello: messages.Hello | None = None
        self.connections = 0
        self._subscribe = messages.Subscribe(set=channel_set, audio=audio)
        self._reconnect, self._patience, self._clock = reconnect, patience, clock
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Receive until `stop` or the server's `end`; raises ClientError for what will not mend."""
        from websockets.exceptions import (
            InvalidHandshake,
            InvalidMessage,
            InvalidStatus,
            InvalidURI,
        )

        wait, begin = FIRST_WAIT_SECONDS, self._clock()
        while not self._stopping.is_set():
            reached = self.connections
            try:
                if await self._watch():
                    return
                why = "the connection was lost"
            except InvalidURI as error:
                raise ClientError(f"{self.url} is not an address") from error
            except InvalidStatus as error:
                raise ClientError(refusal(self.url, error.response.status_code)) from error
            except (InvalidHandshake, InvalidMessage) as error:
                text = str(error).splitlines()[0]
                raise ClientError(f"{self.url} is no posetalk server ({text})") from error
            except (OSError, TimeoutError) as error:
                why = reason(error)
            if self._stopping.is_set():
                return
            tried = self._clock() - begin
            if not (self._reconnect if self.connections else tried + wait < self._patience):
                raise ClientError(
                    f"no connection to {self.url}: {why}; is `posetalk serve` running there?"
                )
            if self.connections > reached:
                wait = FIRST_WAIT_SECONDS
            logger.info("no connection to %s (%s); next try in %.1f s", self.url, why, wait)
            await self._pause(wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    def stop(self) -> None:
        """End `run` soon; call it on the loop that runs it."""
        self._stopping.set()

    async def _watch(self) -> bool:
        """One connection from hello to its end; True where nothing more will come."""
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed

        async with connect(
            self.url,
            compression=None,
            max_size=codec.MAX_MESSAGE_BYTES,
            open_timeout=HELLO_SECONDS,
            additional_headers=self._headers,
        ) as link:
            stopper = asyncio.ensure_future(self._close_when_stopped(link))
            try:
                await self._greet(link)
                async for data in link:
                    if self._receive(data):
                        return True
            except ConnectionClosed:
                pass
            except codec.VersionError as error:
                raise ClientError(f"{self.url}: {error}") from error
            except codec.WireError as error:
                raise ClientError(f"{self.url} sent what is not the protocol: {error}") from error
            finally:
                stopper.cancel()
        return self._stopping.is_set()

    async def _greet(self, link: Any) -> None:
        from websockets.exceptions import ConnectionClosed

        async with asyncio.timeout(HELLO_SECONDS):
            first = await link.recv()
        hello = codec.parse_text(first) if isinstance(first, str) else None
        if isinstance(hello, messages.Error):
            raise ClientError(f"{self.url} refused: {hello.message}")
        if not isinstance(hello, messages.Hello):
            raise ClientError(f"{self.url} did not say hello: it is no posetalk server")
        self.hello = hello
        self.connections += 1
        self.inbox.put(Restarted(hello))
        with contextlib.suppress(ConnectionClosed):  # what has arrived until then still counts
            await link.send(codec.serialise_text(self._subscribe))

    def _receive(self, data: str | bytes) -> bool:
        """Take in one message; True after the last one."""
        if isinstance(data, bytes):
            event = event_of(codec.parse(data), self._clock())
            if event is not None:
                self.inbox.put(event)
            return False
        message = codec.parse_text(data)
        if isinstance(message, messages.End):
            self.inbox.put(Ended())
            return True
        if isinstance(message, messages.Error):
            raise ClientError(f"{self.url}: {message.message}")
        return False

    async def _close_when_stopped(self, link: Any) -> None:
        await self._stopping.wait()
        await link.close()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass


class ClientThread:
    """A client on a thread of its own, for a window loop that must not wait.

    `take()` gives what arrived; it raises the client's ClientError once, when that has ended it.
    """

    def __init__(self, client: ViewerClient) -> None:
        self.client = client
        self._loop = asyncio.new_event_loop()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="viewer-client", daemon=True)

    def take(self) -> list[Event]:
        """Events since the last call, in order."""
        events = self.client.inbox.take()
        if not events and self._error is not None:
            error, self._error = self._error, None
            raise error
        return events

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def join(self, timeout: float) -> None:
        """Wait until the client has ended by itself, at most so many seconds."""
        self._thread.join(timeout)

    def __enter__(self) -> ClientThread:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self.client.stop)
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self._loop.close()

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self.client.run())
        except Exception as error:  # handed to the reader by take()
            self._error = error
