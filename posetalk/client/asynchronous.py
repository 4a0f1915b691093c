"""The client itself, for asyncio: what may be asked of a server, and what comes of it."""

from __future__ import annotations

import ssl as tls
from collections.abc import AsyncIterator
from typing import Self

import numpy as np
from numpy.typing import NDArray

from posetalk.client.coming_back import ServerAddress
from posetalk.client.events import ClientEvent, ClientFrame
from posetalk.client.exchange import NOT_CONNECTED, Exchange
from posetalk.client.pushing import Samples, agree_on, push, push_rest
from stream.frames import SAMPLE_RATE
from stream.wire import codec, messages, session_messages
from viewer.client.address import parse_url, split_token
from viewer.client.errors import ConnectionFailed
from viewer.client.link import HELLO_SECONDS

__all__ = ["AsyncClient", "Samples"]


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
        token = token if brought is None else brought
        self._place = ServerAddress(self.url, token, ssl, timeout, direct)
        wanted = messages.Subscribe(set=set, audio=audio, ahead=ahead or None)
        self._exchange = Exchange(self._place, wanted)

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
        self._exchange = Exchange(self._place, self._exchange.subscription)
        try:
            await self._exchange.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """Leave; a second call does nothing."""
        await self._exchange.close()

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def hello(self) -> messages.Hello:
        """What the server said first.  Raises ConnectionFailed before `connect`."""
        if self._exchange.reading is None:
            raise ConnectionFailed(NOT_CONNECTED)
        return self._exchange.reading.hello

    @property
    def dropped(self) -> int:
        """Events lost because nobody took them."""
        return self._exchange.inbox.dropped

    @property
    def faces(self) -> NDArray[np.uint32] | None:
        """(F, 3) triangles, soon after `vertices` were subscribed to."""
        reading = self._exchange.reading
        return None if reading is None else reading.faces

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
        return await self._exchange.inbox.next()

    # --- requests ------------------------------------------------------------------------------
    async def subscribe(
        self, set: str = messages.FLAME, *, audio: bool = False, ahead: bool = False
    ) -> None:
        """Get another set of channels from now on; raises RequestError `no_such_set`."""
        wanted = messages.Subscribe(set=set, audio=audio, ahead=ahead or None)
        self._exchange.subscription = wanted
        await self._ask(wanted)

    async def style(self, name: str) -> None:
        """Speak in a style of the hello's, or a mix; raises RequestError `no_such_style`."""
        await self._ask(session_messages.Style(name))

    async def guidance(self, audio: float | None = None, style: float | None = None) -> None:
        """Follow the voice and the style so strongly (1 is as trained); raises RequestError."""
        await self._ask(session_messages.Guidance(audio, style))

    async def life(self, gaze: float | None = None, still: bool | None = None) -> None:
        """Look around so much (0 at who watches, 1 as people do), be still or not; raises
        RequestError.
        """
        await self._ask(session_messages.Life(gaze, still))

    async def interrupt(self, at: int | None = None) -> None:
        """Be silent now, or in one's own session from the sample `at` on.

        What is taken back so, and nobody took yet, does not come out of `frames` any more.
        """
        await self._ask(messages.Interrupt(at))

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
        await push(self._exchange, samples, sample_rate, wait)

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
    ) -> session_messages.Opened:
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
        self._exchange.keeping.wanted = resume
        if resume:
            await agree_on(self._exchange, SAMPLE_RATE)
        request = session_messages.Open(
            style=style,
            seed=seed,
            head=head,
            pace=pace,
            alive=alive,
            keep=resume or None,
            shape=[] if shape is None else [float(value) for value in shape],
        )
        return await self._exchange.open(request)

    async def flush(self) -> None:
        """The utterance is over: make its last frames now (one's own session)."""
        await push_rest(self._exchange)
        await self._ask(session_messages.Flush())

    async def close_session(self) -> None:
        """End one's own session; the server's frames come again."""
        await self._ask(session_messages.Close())

    async def _ask(self, message: codec.Text) -> None:
        """Send a request, and wait until the server has dealt with it."""
        await self._exchange.ask(codec.serialise_text(message))
