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

from stream.wire import codec

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


class Watcher:
    """A viewer on a thread of its own; a context manager.

    Args:
        address: of the server.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._seen = Seen()
        self._sequence: int | None = None
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
        """What was seen since this was called last."""
        with self._lock:
            seen, self._seen = self._seen.end(), Seen()
        return seen

    async def _watch(self) -> None:
        from websockets.asyncio.client import connect

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with connect(self._address.url, **self._address.options()) as link:
                reading = asyncio.create_task(self._read(link))
                stopping = asyncio.create_task(self._stop.wait())
                await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not self._stop.is_set():
                    self.failure = "the well-behaved viewer was let go"
                reading.cancel()
                stopping.cancel()
        except OSError as error:
            self.failure = f"the well-behaved viewer could not connect: {error}"

    async def _read(self, link: Any) -> None:
        from websockets.exceptions import ConnectionClosed

        with contextlib.suppress(ConnectionClosed):
            async for data in link:
                if data[:4] == codec.MAGIC:
                    self._take(data)

    def _take(self, data: bytes) -> None:
        try:
            message, finite = codec.parse(data), True
        except codec.WireError:
            finite = False
            with self._lock:
                self._seen.take(time.monotonic(), 0, finite)
            return
        if message.kind != codec.Kind.FLAME:
            return
        missing = 0 if self._sequence is None else message.sequence - self._sequence - 1
        self._sequence = message.sequence
        with self._lock:
            self._seen.take(time.monotonic(), abs(missing), finite)


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
