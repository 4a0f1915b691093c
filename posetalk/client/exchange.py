"""What goes between a client and its server: a task reads, requests wait until it has obeyed.

Where the session is kept and its server is lost, both go on with another server.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import NoReturn

from posetalk.client.coming_back import PING_SECONDS, SILENCE_SECONDS, ServerAddress, come_back
from posetalk.client.events import ClientEvent, ClientFrame, Reading, RequestError
from posetalk.client.inbox import Inbox
from posetalk.client.kept import Keeping, KeptSession
from posetalk.client.waiting import Moved, Waiting
from stream.frames import SAMPLE_RATE
from stream.wire import codec, messages, session_messages
from viewer.client.errors import ClientError, ConnectionFailed
from viewer.client.link import Link
from viewer.client.loop_thread import CLOSED

WATCH_PING = 2**31
"""The number of pings that nobody waits for."""
NOT_CONNECTED = "not connected: call connect(), or use `with`"


class Exchange:
    """One link to a server, or several, one after the other; used by one event loop.

    Args:
        place: where to connect.
        subscription: what to get.

    Attributes:
        subscription: what the server was asked for last.
        inbox: what has arrived.
        keeping: the session, where it is kept.
        reading: of what arrives; None before `start`.
        rate: of the sound that the server expects, in Hz.
        number: of the next message of sound.
    """

    def __init__(self, place: ServerAddress, subscription: messages.Subscribe) -> None:
        self.subscription = subscription
        self.inbox, self.keeping = Inbox(), Keeping()
        self.reading: Reading | None = None
        self.rate, self.number = SAMPLE_RATE, 0
        self._place = place
        self._waiting = Waiting()
        self._link: Link | None = None
        self._reader: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._heard_at = 0.0  # seconds, monotonic

    async def start(self) -> None:
        """Connect and subscribe; raises as `Link.open`."""
        self._link = link = await self._place.connect()
        self.reading = reading = Reading(link.hello)
        with contextlib.suppress(ConnectionFailed):  # what has arrived until then still counts
            await link.send(codec.serialise_text(self.subscription))
        self._up.set()
        self._reader = asyncio.create_task(self._read(link, reading))

    async def close(self) -> None:
        """Leave; a second call does nothing."""
        reader, self._reader = self._reader, None
        try:
            if reader is not None:
                reader.cancel()
                await asyncio.wait((reader,))
        finally:
            try:
                if self._link is not None:
                    await self._link.close()
            finally:
                self._finish(ConnectionFailed(CLOSED))

    # --- what is asked -------------------------------------------------------------------------
    async def ask(self, message: str | bytes, *, place: int | None = None) -> None:
        """Send a request, and wait until the server has dealt with it.

        Where the session moves meanwhile it is asked again there.

        Args:
            place: the number of sound for a session that is kept: where it was placed is answer
                enough, and it goes to another server with the session.

        Raises:
            RequestError: the server did not do it.
            ConnectionFailed: it does not answer, or the connection broke.
        """
        while True:
            await self._up.wait()
            try:
                await self._ask_once(message, place)
                return
            except Moved:
                if place is not None:
                    return

    async def open(self, request: session_messages.Open) -> session_messages.Opened:
        """Ask for a session of one's own, and wait until it begins; raises as `ask`."""
        opening = self._waiting.opening()
        await self._send(codec.serialise_text(request))
        async with asyncio.timeout(self._place.timeout):
            return await opening

    async def wait_until_up(self) -> None:
        """Wait while the session moves to another server."""
        await self._up.wait()

    async def _ask_once(self, message: str | bytes, place: int | None) -> None:
        if place is None:
            number, answer = self._waiting.fence()
        else:
            answer = self._waiting.place(place)
        try:
            await self._send(message)
            if place is None:
                await self._send(codec.serialise_text(messages.Ping(number)))
        except ConnectionFailed:
            if self.keeping.session is None:
                raise
        try:
            async with asyncio.timeout(self._place.timeout):
                await answer
        except TimeoutError:
            raise ConnectionFailed(f"{self._place.url} does not answer") from None

    async def _send(self, message: str | bytes) -> None:
        if self.inbox.over is not None or self._link is None:
            raise self.inbox.over or ConnectionFailed(NOT_CONNECTED)
        await self._link.send(message)

    # --- what arrives --------------------------------------------------------------------------
    async def _read(self, link: Link, reading: Reading) -> None:
        """Take what arrives until the end; a session that is kept goes on elsewhere."""
        while True:
            watching = asyncio.create_task(self._watch(link))
            try:
                await self._read_link(link, reading)
            except ClientError as over:
                kept = self.keeping.session
                lost = isinstance(over, ConnectionFailed) and not self.inbox.ended
                if kept is None or not lost:
                    self._finish(over)
                    return
            finally:
                watching.cancel()
            try:
                link, reading = await self._come_back(link, kept)
            except ClientError as over:
                self._finish(over)
                return

    async def _read_link(self, link: Link, reading: Reading) -> NoReturn:
        """Take what arrives; raises ClientError when no more does."""
        while True:
            event = reading.event(await link.receive())
            self._heard_at = time.monotonic()
            # What was sent before the server had read our request is not what we asked for.
            other = isinstance(event, ClientFrame) and event.set != self.subscription.set
            if event is not None and not other:
                self._take(event)

    async def _watch(self, link: Link) -> None:
        """End the link of a session that is kept once its server answers no more."""
        self._heard_at = time.monotonic()
        while True:
            await asyncio.sleep(PING_SECONDS)
            silent = time.monotonic() - self._heard_at
            if self.keeping.session is None or silent < PING_SECONDS:
                continue
            if silent > SILENCE_SECONDS:
                link.abort()
                return
            with contextlib.suppress(ConnectionFailed):
                await link.send(codec.serialise_text(messages.Ping(WATCH_PING)))

    async def _come_back(self, link: Link, kept: KeptSession) -> tuple[Link, Reading]:
        """Go on with the session on another server; requests that wait are made there."""
        self._up.clear()
        self._waiting.move()
        await link.close()
        self.rate = SAMPLE_RATE
        link, reading, opened = await come_back(kept, self._place, self.subscription, self.number)
        self.number += kept.pieces + len(kept.waiting)
        self._link, self.reading = link, reading
        self.inbox.put(opened)
        self._up.set()
        return link, reading

    def _take(self, arrived: ClientEvent) -> None:
        match arrived:
            case session_messages.Placed(number):
                self._waiting.placed(number)
            case session_messages.Closed():
                self._waiting.closed()
        event = self.keeping.follow(arrived)
        match event:
            case None:
                return
            case messages.Pong(number):
                self._waiting.passed(number)
                return
            case messages.Error(code, message, fatal):
                error = RequestError(code, message, event.retry_after)
                if not self._waiting.blame(error) or fatal:
                    self.inbox.put(error)
                return
            case session_messages.Opened():
                self.inbox.forget(-(2**63))  # of another time line
                self._waiting.opened(event)
            case messages.Interrupted(sample):
                self.inbox.forget(sample)
            case messages.End():
                self.inbox.ended = True
        self.inbox.put(event)

    def _finish(self, over: ClientError) -> None:
        """Nothing more will come: wake everybody who waits."""
        self._waiting.finish(over)
        self.keeping.session = None
        self._up.set()
        self.inbox.finish(over)
