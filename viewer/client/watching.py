"""A viewer's client: follows one server, hands over what arrived, never falls behind.

`ViewerClient.run` is a coroutine; `ClientThread` runs it beside a window loop. What arrives goes
into a bounded inbox (newest wins, counted) together with its arrival time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.wire import codec, messages
from viewer.client.address import parse_url, split_token
from viewer.client.errors import PASSING, ClientError, ConnectionFailed
from viewer.client.retries import Retries

if TYPE_CHECKING:
    from types import TracebackType

    from viewer.client.link import Received

logger = logging.getLogger(__name__)

INBOX_ITEMS = 1000  # 20 s of frames and sound: more means that nobody takes them


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


def event_of(message: Received, arrival: float) -> Event | None:
    """What a message means to a viewer; None for what it did not ask for."""
    if isinstance(message, messages.End):
        return Ended()
    if not isinstance(message, codec.Message):
        return None
    if message.kind in (codec.Kind.FLAME, codec.Kind.ARKIT52, codec.Kind.VERTICES):
        values = np.array(message.payload, np.float32)
        return ReceivedMotion(message.sequence, message.sample, values, arrival)
    if message.kind == codec.Kind.PCM:
        scale = np.float32(1 / 32768 if message.flags & codec.Flag.INT16 else 1)
        return Sound(message.sample, np.array(message.payload, np.float32) * scale, arrival)
    return None


class ViewerClient:
    """Watches one server until `stop`, reconnecting whenever the connection is lost.

    A first connection must succeed within `start_timeout` seconds; once there was one, it tries for
    ever unless `reconnect` is False. Make it on any thread, run it on one loop. A token, given or
    as `?token=` of the address, goes along as a header and stands in no message.
    """

    def __init__(
        self,
        url: str,
        *,
        channel_set: str = messages.FLAME,
        audio: bool = False,
        reconnect: bool = True,
        start_timeout: float = 10.0,
        token: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url, brought = split_token(parse_url(url))
        self._token = token if brought is None else brought
        self.inbox = Inbox()
        self.hello: messages.Hello | None = None
        self.connections = 0
        self._subscribe = messages.Subscribe(set=channel_set, audio=audio)
        self._reconnect, self._start_timeout, self._clock = reconnect, start_timeout, clock
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Receive until `stop` or the server's `end`; raises ClientError for what will not mend."""
        following = asyncio.ensure_future(self._follow())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((following, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            following.cancel()
            stopping.cancel()
            await asyncio.wait((following, stopping))
        if not following.cancelled():
            following.result()

    def stop(self) -> None:
        """End `run` soon; call it on the loop that runs it."""
        self._stopping.set()

    async def _follow(self) -> None:
        """One connection after another, until nothing more will come."""
        retries, begin = Retries(), self._clock()
        while True:
            reached, since = self.connections, self._clock()
            try:
                return await self._watch()
            except PASSING as error:
                now = self._clock()
                wait = retries.wait(held=now - since if self.connections > reached else 0.0)
                early = now - begin + wait < self._start_timeout
                if not (self._reconnect if self.connections else early):
                    raise
                logger.info("%s; next try in %.1f s", error, wait)
            await asyncio.sleep(wait)

    async def _watch(self) -> None:
        """One connection from hello to the last frame; raises ClientError where there was none."""
        from viewer.client.link import Link  # websockets, which those who look on do without

        link = await Link.open(self.url, self._token)
        try:
            self.hello = link.hello
            self.connections += 1
            self.inbox.put(Restarted(link.hello))
            with contextlib.suppress(ConnectionFailed):  # what has arrived until then still counts
                await link.send(codec.serialise_text(self._subscribe))
            while True:
                message = await link.receive()
                if isinstance(message, messages.Error):
                    raise ClientError(f"{self.url}: {message.message}")
                event = event_of(message, self._clock())
                if event is not None:
                    self.inbox.put(event)
                if isinstance(event, Ended):
                    return
        finally:
            await link.close()


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
