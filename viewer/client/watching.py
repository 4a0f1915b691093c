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
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.wire import codec, messages
from viewer.client.address import parse_url, split_token
from viewer.client.errors import PASSING, ClientError, ConnectionFailed
from viewer.client.loop_thread import LoopThread
from viewer.client.retries import Retries

if TYPE_CHECKING:
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
    """Watches one server until it ends, reconnecting whenever the connection is lost.

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

    async def run(self) -> None:
        """Receive, one connection after another, until the server's `end`, or until cancelled.

        Raises:
            ClientError: for what will not mend.
        """
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
        self._thread: LoopThread | None = None
        self._watching: Future[None] = Future()
        self._told = False

    def take(self) -> list[Event]:
        """Events since the last call, in order."""
        over = self._watching.done()
        events = self.client.inbox.take()
        if over and not events and not self._told and not self._watching.cancelled():
            self._told = True
            self._watching.result()
        return events

    @property
    def running(self) -> bool:
        return self._thread is not None and not self._watching.done()

    def join(self, timeout: float) -> None:
        """Wait until the client has ended by itself, at most so many seconds."""
        wait((self._watching,), timeout)

    def __enter__(self) -> Self:
        self._thread = LoopThread("viewer-client")
        self._watching = self._thread.submit(self.client.run())
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.close()
