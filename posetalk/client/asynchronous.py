"""The client itself, for asyncio: a task reads, requests wait until the server has obeyed."""

from __future__ import annotations

import asyncio
import contextlib
import ssl as tls
import time
from collections.abc import AsyncIterator
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from posetalk.client.coming_back import PING_SECONDS, SILENCE_SECONDS, Place, come_back
from posetalk.client.events import ClientEvent, ClientFrame, Reading, RequestError
from posetalk.client.inbox import Inbox
from posetalk.client.kept import Keeping, KeptSession
from stream.frames import SAMPLE_RATE
from stream.sources.pcm import mono, to_float
from stream.wire import codec, messages
from viewer.client.address import parse_url, split_token
from viewer.client.errors import ClientError, ConnectionFailed
from viewer.client.link import HELLO_SECONDS, Link

Samples: TypeAlias = NDArray[np.floating[Any]] | NDArray[np.int16]

WATCH_PING = 2**31
"""The number of pings that nobody waits for."""
PIECE_SECONDS = 0.5
RETRY_SECONDS = 0.1


class _Moved(ClientError):
    """The session goes on on another server: what was asked is to be asked there."""


class AsyncClient:
    """A client for asyncio: `async with posetalk.AsyncClient() as client: ...`

    Args:
        url: `ws://HOST:PORT`, `wss://...`, `HOST` or `HOST:PORT`.
        set: the frames to get: `flame`, `arkit52`, `vertices`, or `""` for none.
        audio: whether to get the sound too.
        ahead: whether to get frames as they are made, where speech is pushed ahead of time.
        token: what the server was started with; `?token=` of the address does too.
        timeout: seconds that an answer may take.
        ssl: a TLS context for `wss://`, if the system's is not the one.
        direct: connect to a replica of a deployment itself, past its proxy, where that is offered.

    Attributes:
        hello: what the server said first: channels, styles, head.
    """

    def __init__(
        self,
        url: str = "ws://127.0.0.1:8765",
        *,
        set: str = messages.FLAME,
        audio: bool = False,
        ahead: bool = False,
        token: str | None = None,
        timeout: float = HELLO_SECONDS,
        ssl: tls.SSLContext | None = None,
        direct: bool = False,
    ) -> None:
        self.url, brought = split_token(parse_url(url))
        self._wish = messages.Subscribe(set=set, audio=audio, ahead=ahead or None)
        self._token = token if brought is None else brought
        self._timeout = timeout
        self._place = Place(self.url, self._token, ssl, timeout, direct)
        self._reading: Reading | None = None
        self._link: Link | None = None
        self._reader: asyncio.Task[None] | None = None
        self._clear()

    def _clear(self) -> None:
        self._inbox = Inbox()
        self._number = self._pushed = 0
        self._rate = SAMPLE_RATE
        self._asked: dict[int, asyncio.Future[None]] = {}
        self._opening: asyncio.Future[messages.Opened] | None = None
        self._keeping = Keeping()
        self._up = asyncio.Event()
        self._heard_at = 0.0  # seconds, monotonic

    # --- coming and going ----------------------------------------------------------------------
    async def connect(self) -> Self:
        """Connect and subscribe; `async with` does it.  A second call starts anew.

        Raises:
            ConnectionFailed: nobody answers there.
            Refused: a token is missing or wrong, or there is no room.
            VersionMismatch: the server speaks another version.
            ClientError: whatever answers is no posetalk server.
        """
        await self.close()
        self._clear()
        self._link = link = await self._place.connect()
        self._reading = reading = Reading(link.hello)
        with contextlib.suppress(ConnectionFailed):  # what has arrived until then still counts
            await link.send(codec.serialise_text(self._wish))
        self._up.set()
        self._reader = asyncio.create_task(self._read(link, reading))
        return self

    async def close(self) -> None:
        """Leave; a second call does nothing."""
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
            self._reader = None
        if self._link is not None:
            await self._link.close()
        self._finish(ConnectionFailed("the client was closed"))

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def hello(self) -> messages.Hello:
        """What the server said first.  Raises ConnectionFailed before `connect`."""
        if self._reading is None:
            raise ConnectionFailed("not connected: call connect(), or use `with`")
        return self._reading.hello

    @property
    def _kept(self) -> KeptSession | None:
        return self._keeping.session

    @property
    def dropped(self) -> int:
        """Events lost because nobody took them."""
        return self._inbox.dropped

    @property
    def faces(self) -> NDArray[np.uint32] | None:
        """(F, 3) triangles, soon after `vertices` were subscribed to."""
        return self._reading.faces if self._reading is not None else None

    # --- what arrives --------------------------------------------------------------------------
    async def events(self) -> AsyncIterator[ClientEvent]:
        """Everything that arrives, in order, until the server has sent its last frame.

        Raises:
            RequestError: the server complains of something that no request waits for.
            ConnectionFailed: the connection broke.
        """
        while True:
            event = await self.next_event()
            if event is None:
                return
            yield event

    async def frames(self) -> AsyncIterator[ClientFrame]:
        """The frames of motion alone; raises as `events`."""
        async for event in self.events():
            if isinstance(event, ClientFrame):
                yield event

    async def next_event(self) -> ClientEvent | None:
        """The next event, or None after the last; raises as `events`."""
        return await self._inbox.next()

    async def _read(self, link: Link, reading: Reading) -> None:
        """Take what arrives until the end; a session that is kept goes on elsewhere."""
        while True:
            watching = asyncio.create_task(self._watch(link))
            try:
                await self._read_link(link, reading)
            except ClientError as over:
                if (
                    self._kept is None
                    or self._inbox.ended
                    or not isinstance(over, ConnectionFailed)
                ):
                    self._finish(over)
                    return
            finally:
                watching.cancel()
            assert self._kept is not None
            try:
                link, reading = await self._come_back(link, self._kept)
            except ClientError as over:
                self._finish(over)
                return

    async def _read_link(self, link: Link, reading: Reading) -> None:
        """Take what arrives; raises ClientError when no more does."""
        while True:
            event = reading.event(await link.receive())
            self._heard_at = time.monotonic()
            # What was sent before the server had read our wish is not what we wished for.
            other = isinstance(event, ClientFrame) and event.set != self._wish.set
            if event is not None and not other:
                self._take(event)

    async def _watch(self, link: Link) -> None:
        """End the link of a session that is kept once its server answers no more."""
        self._heard_at = time.monotonic()
        while True:
            await asyncio.sleep(PING_SECONDS)
            silent = time.monotonic() - self._heard_at
            if self._kept is None or silent < PING_SECONDS:
                continue
            if silent > SILENCE_SECONDS:
                link.abort()
                return
            with contextlib.suppress(ConnectionFailed):
                await link.send(codec.serialise_text(messages.Ping(WATCH_PING)))

    async def _come_back(self, link: Link, kept: KeptSession) -> tuple[Link, Reading]:
        """Go on with the session on another server; requests that wait are made there."""
        self._up.clear()
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(_Moved())
        self._asked.clear()
        await link.close()
        self._rate = SAMPLE_RATE
        link, reading, opened = await come_back(kept, self._place, self._wish, self._pushed)
        self._pushed += kept.pieces + len(kept.waiting)
        self._link, self._reading = link, reading
        self._inbox.put(opened)
        self._up.set()
        return link, reading

    def _take(self, arrived: ClientEvent) -> None:
        event = self._keeping.follow(arrived)
        match event:
            case None:
                return
            case messages.Pong(number):
                waiting = self._asked.pop(number, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(None)
                return
            case messages.Error(code, message, fatal):
                error = RequestError(code, message, event.retry_after)
                if self._blame(error) and not fatal:
                    return
                self._inbox.put(error)
                return
            case messages.Opened():
                self._inbox.forget(-(2**63))  # of another time line
                if self._opening is not None:
                    self._opening.set_result(event)
                    self._opening = None
            case messages.Interrupted(sample):
                self._inbox.forget(sample)
            case messages.End():
                self._inbox.ended = True
        self._inbox.put(event)

    def _blame(self, error: RequestError) -> bool:
        """Hand an error to the oldest request that waits; returns whether there was one."""
        if self._opening is not None:
            self._opening.set_exception(error)
            self._opening = None
            return True
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(error)
                return True
        return False

    def _finish(self, over: ClientError) -> None:
        """Nothing more will come: wake everybody who waits."""
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(over)
        if self._opening is not None and not self._opening.done():
            self._opening.set_exception(over)
        self._asked.clear()
        self._opening = None
        self._keeping.session = None
        self._up.set()
        self._inbox.finish(over)

    # --- requests ------------------------------------------------------------------------------
    async def subscribe(
        self, set: str = messages.FLAME, *, audio: bool = False, ahead: bool = False
    ) -> None:
        """Get another set of channels from now on; raises RequestError `no_such_set`."""
        self._wish = messages.Subscribe(set=set, audio=audio, ahead=ahead or None)
        await self._ask(codec.serialise_text(self._wish))

    async def style(self, name: str) -> None:
        """Speak in a style of the hello's, or a mix; raises RequestError `no_such_style`."""
        await self._ask(codec.serialise_text(messages.Style(name)))

    async def guidance(self, audio: float | None = None, style: float | None = None) -> None:
        """Follow the voice and the style so strongly (1 is as trained); raises RequestError."""
        await self._ask(codec.serialise_text(messages.Guidance(audio, style)))

    async def life(self, gaze: float | None = None, still: bool | None = None) -> None:
        """Look around so much (0 at who watches, 1 as people do), be still or not; raises
        RequestError.
        """
        await self._ask(codec.serialise_text(messages.Life(gaze, still)))

    async def interrupt(self, at: int | None = None) -> None:
        """Be silent now, or in one's own session from the sample `at` on.

        What is taken back so, and nobody took yet, does not come out of `frames` any more.
        """
        await self._ask(codec.serialise_text(messages.Interrupt(at)))

    async def push(
        self, samples: Samples, sample_rate: int = SAMPLE_RATE, *, wait: bool = True
    ) -> None:
        """Have this sound spoken after what was pushed before; returns when the server has it.

        Args:
            samples: (n,) or (n, channels), floats in -1..1 or integers of 8, 16 or 32 bits, of any
                length.
            sample_rate: 8000 to 192000.
            wait: for room where the server holds enough; otherwise raise `audio_full`.

        Raises:
            RequestError: `audio_not_accepted`, `audio_busy`, `audio_full`, or `audio_format` for a
                rate that cannot be.
            ValueError: no samples, or floats on another scale.
        """
        if self._kept is not None:
            await self._push_kept(
                self._keeping.at_one_rate(mono(to_float(samples)), sample_rate), wait
            )
            return
        if sample_rate != self._rate:
            self._rate = 0  # the server takes nothing until it knows the format
            await self._ask(codec.serialise_text(messages.AudioFormat(int(sample_rate))))
            self._rate = sample_rate
        whole = mono(to_float(samples))
        step = max(1, int(PIECE_SECONDS * sample_rate))
        for start in range(0, len(whole), step):
            piece = whole[start : start + step]
            message = codec.Message(codec.Kind.PCM, self._pushed, 0, piece)
            self._pushed += 1
            while True:
                try:
                    await self._ask(codec.serialise(message))
                    break
                except RequestError as error:
                    if error.code != "audio_full" or not wait:
                        raise
                await asyncio.sleep(RETRY_SECONDS)

    async def _push_kept(self, samples: NDArray[np.float32], wait: bool) -> None:
        step = int(PIECE_SECONDS * SAMPLE_RATE)
        for start in range(0, len(samples), step):
            piece = samples[start : start + step]
            while True:
                await self._up.wait()
                number, self._pushed = self._pushed, self._pushed + 1
                if self._kept is not None:
                    self._kept.pushed(number, piece)
                message = codec.serialise(codec.Message(codec.Kind.PCM, number, 0, piece))
                try:
                    await self._ask(message, again=False)
                    break
                except RequestError as error:
                    if error.code != "audio_full" or not wait:
                        raise
                await asyncio.sleep(RETRY_SECONDS)

    async def open(
        self,
        *,
        style: str = "",
        seed: int = 0,
        head: str = "",
        pace: str = "fast",
        alive: bool = True,
        shape: NDArray[np.float32] | None = None,
        resume: bool = False,
    ) -> messages.Opened:
        """Get a session of one's own, with one's own sound; returns when it begins.

        Frames and sound of before that nobody took are forgotten.

        Args:
            style: by name or as a mix; the server's if empty.
            seed: the same seed and sound give the same motion.
            head: the id of one of the hello's `heads`; the server's if empty.
            pace: `fast` makes frames as soon as there is sound, `live` at the pace of time.
            alive: whether the face lives on in silence.
            shape: (S,) identity; the server's if None.
            resume: go on by oneself, on another replica of a deployment, when this one is lost:
                no frame comes twice, and sound is pushed at 16 kHz from then on.

        Raises:
            RequestError: `capacity` (no room for another), `open` (a session that cannot be).
        """
        self._keeping.wanted = resume
        if resume and self._rate != SAMPLE_RATE:
            self._rate = SAMPLE_RATE
            await self._ask(codec.serialise_text(messages.AudioFormat(SAMPLE_RATE)))
        wish = messages.Open(
            style=style,
            seed=seed,
            head=head,
            pace=pace,
            alive=alive,
            keep=resume or None,
            shape=[] if shape is None else [float(value) for value in shape],
        )
        self._opening = opening = asyncio.get_running_loop().create_future()
        await self._send(codec.serialise_text(wish))
        async with asyncio.timeout(self._timeout):
            return await opening

    async def flush(self) -> None:
        """The utterance is over: make its last frames now (one's own session)."""
        if self._kept is not None:
            await self._push_kept(self._keeping.rest(), wait=True)
        await self._ask(codec.serialise_text(messages.Flush()))

    async def close_session(self) -> None:
        """End one's own session; the server's frames come again."""
        await self._ask(codec.serialise_text(messages.Close()))

    async def _ask(self, message: str | bytes, *, again: bool = True) -> None:
        """Send a request, and wait until the server has dealt with it.

        A ping behind it is the fence: the server obeys in order, and answers in order. Where the
        session moves meanwhile it is asked `again` there.
        """
        while True:
            await self._up.wait()
            try:
                await self._ask_once(message)
                return
            except _Moved:
                if not again:
                    return

    async def _ask_once(self, message: str | bytes) -> None:
        self._number += 1
        number = self._number
        self._asked[number] = waiting = asyncio.get_running_loop().create_future()
        try:
            await self._send(message)
            await self._send(codec.serialise_text(messages.Ping(number)))
        except ConnectionFailed:
            if self._kept is None:
                raise
        try:
            async with asyncio.timeout(self._timeout):
                await waiting
        except TimeoutError:
            raise ConnectionFailed(f"{self.url} does not answer") from None

    async def _send(self, message: str | bytes) -> None:
        if self._inbox.over is not None or self._link is None:
            raise self._inbox.over or ConnectionFailed(
                "not connected: call connect(), or use `with`"
            )
        await self._link.send(message)
