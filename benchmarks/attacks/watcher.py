"""The well-behaved viewer and the newcomer: what an attack does to those it isn't aimed at."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import ssl
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from stream.wire import codec, messages

PATIENCE = 15.0


@dataclass(frozen=True)
class Address:
    """Where the server is, and what lets in."""

    url: str
    token: str = ""

    def options(self) -> dict[str, Any]:
        """Of a websocket's connection there."""
        options: dict[str, Any] = {"compression": None, "max_size": None, "ping_interval": None}
        if self.token:
            options["additional_headers"] = {"Authorization": f"Bearer {self.token}"}
        if self.url.startswith("wss:"):
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            options["ssl"] = context
        return options


@dataclass
class Seen:
    """What a viewer saw in one phase.

    Attributes:
        frames: that came; lost: that are missing between two that came; gap: the longest time, in
            seconds, in which none came; finite: whether all were numbers.
    """

    frames: int = 0
    lost: int = 0
    gap: float = 0.0
    finite: bool = True
    _last: float = field(default_factory=time.monotonic)

    def take(self, now: float, missing: int, finite: bool) -> None:
        """A frame came."""
        self.frames += 1
        self.lost += missing
        self.finite &= finite
        self.gap, self._last = max(self.gap, now - self._last), now

    def end(self) -> Seen:
        """The phase is over: so is the time since its last frame."""
        self.gap = max(self.gap, time.monotonic() - self._last)
        return self


SETS = {messages.FLAME: codec.Kind.FLAME, messages.ARKIT52: codec.Kind.ARKIT52}
"""What is watched: motion as it is made, and weights that are worked out beside the event loop."""


class Watcher:
    """A viewer of each of the `SETS`, on a thread of its own; a context manager.

    Args:
        address: of the server.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._seen = {name: Seen() for name in SETS}
        self._sequences: dict[str, int] = {}
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._watch()), daemon=True)
        self.failure = ""

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5.0)

    def phase(self) -> Seen:
        """What was seen since this was called last, of the sets together."""
        with self._lock:
            seen, self._seen = self._seen, {name: Seen() for name in SETS}
        each = [one.end() for one in seen.values()]
        return Seen(
            sum(one.frames for one in each),
            sum(one.lost for one in each),
            max(one.gap for one in each),
            all(one.finite for one in each),
        )

    async def _watch(self) -> None:
        from websockets.asyncio.client import connect

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with contextlib.AsyncExitStack() as closing:
                tasks: list[asyncio.Task[Any]] = [asyncio.create_task(self._stop.wait())]
                for name in SETS:
                    link = await closing.enter_async_context(
                        connect(self._address.url, **self._address.options())
                    )
                    await link.send(codec.serialise_text(messages.Subscribe(name)))
                    tasks.append(asyncio.create_task(self._read(link, name)))
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                if not self._stop.is_set():
                    self.failure = "the well-behaved viewer was let go"
                for task in tasks:
                    task.cancel()
        except OSError as error:
            self.failure = f"the well-behaved viewer could not connect: {error}"

    async def _read(self, link: Any, name: str) -> None:
        from websockets.exceptions import ConnectionClosed

        with contextlib.suppress(ConnectionClosed):
            async for data in link:
                if data[:4] == codec.MAGIC:
                    self._take(data, name)

    def _take(self, data: bytes, name: str) -> None:
        try:
            message = codec.parse(data)
        except codec.WireError:
            with self._lock:
                self._seen[name].take(time.monotonic(), 0, False)
            return
        if message.kind != SETS[name]:
            return
        missing = message.sequence - self._sequences.get(name, message.sequence - 1) - 1
        self._sequences[name] = message.sequence
        with self._lock:
            self._seen[name].take(time.monotonic(), abs(missing), True)


def newcomer(address: Address) -> float:
    """Seconds from a newcomer's first packet to its first frame; infinite: it got none.

    Who is turned away comes again after 0.1 s, as clients do.
    """

    async def come() -> float:
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

        began = time.monotonic()
        while time.monotonic() - began < PATIENCE:
            with contextlib.suppress(
                OSError, EOFError, TimeoutError, ConnectionClosed, InvalidHandshake, InvalidMessage
            ):
                async with connect(
                    address.url, open_timeout=PATIENCE, close_timeout=0.2, **address.options()
                ) as link:
                    async with asyncio.timeout(PATIENCE):
                        async for data in link:
                            if data[:4] == codec.MAGIC:
                                return time.monotonic() - began
            await asyncio.sleep(0.1)
        return math.inf

    return asyncio.run(come())


def clients_now(address: Address) -> int:
    """Websockets that the server has, by its metrics; 0: it does not say."""
    asked = urllib.request.Request(
        address.url.replace("ws", "http", 1) + "/metrics",
        headers={"Authorization": f"Bearer {address.token}"} if address.token else {},
    )
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with contextlib.suppress(OSError, ValueError):
        with urllib.request.urlopen(asked, timeout=PATIENCE, context=context) as answer:
            found = re.search(rb"^posetalk_clients ([0-9.]+)$", answer.read(), re.MULTILINE)
        return 0 if found is None else int(float(found[1]))
    return 0
