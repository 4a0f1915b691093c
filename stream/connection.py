"""One client of the server: its wish, its bounded queues, its reading and writing.

Knows no websocket library: it is handed something that sends, iterates and can be cut off.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream import wire
from stream.encoder import Encoder
from stream.frames import Frame
from stream.sources.pcm import LiveResampler, from_int16, mono

MOTION_QUEUE = 64  # frames, 2.6 s; newest wins
AUDIO_QUEUE = 200  # blocks of about 20 ms, 4 s; newest wins
TEXT_QUEUE = 64
PUSH_RATES = (8_000, 192_000)


class Socket(Protocol):
    """What a connection needs of a websocket."""

    async def send(self, message: str | bytes) -> None: ...
    def __aiter__(self) -> AsyncIterator[str | bytes]: ...


class Host(Protocol):
    """What a client may ask of the server; an error that is returned is told to the client."""

    encoder: Encoder

    def take_audio(self, client: Connection, samples: NDArray[np.float32]) -> wire.Error | None: ...
    def change_style(self, name: str) -> wire.Error | None: ...
    def change_guidance(self, audio: float | None, style: float | None) -> wire.Error | None: ...
    def interrupt(self) -> None: ...


class Connection:
    """One client.  Everything here runs in the server's event loop.

    Attributes:
        wish: what it subscribed to; FLAME parameters until it says otherwise.
        last_push: seconds (monotonic) at which it last pushed audio.
    """

    def __init__(self, socket: Socket, host: Host) -> None:
        self._socket, self._host = socket, host
        self.wish = wire.Subscribe()
        self.last_push = -np.inf
        self._texts: deque[str] = deque(maxlen=TEXT_QUEUE)
        self._faces: deque[bytes] = deque()
        self._audio: deque[bytes] = deque(maxlen=AUDIO_QUEUE)
        self._frames: deque[Frame] = deque(maxlen=MOTION_QUEUE)
        self._last: str | None = None
        self._ended = False
        self._sending = False
        self._wake = asyncio.Event()
        self._resampler = LiveResampler(wire.Hello.sample_rate)

    # --- what the server hands over, without waiting -------------------------------------------
    def text(self, message: wire.Text) -> None:
        """Queue a control message; it overtakes audio and frames."""
        self._texts.append(wire.serialise_text(message))
        self._wake.set()

    def pcm(self, data: bytes) -> None:
        """Queue audio, if it is wished for."""
        if self.wish.audio:
            self._audio.append(data)
            self._wake.set()

    def motion(self, frame: Frame) -> bool:
        """Queue a frame, if motion is wished for; returns whether an older one had to go."""
        if not self.wish.set:
            return False
        is_full = len(self._frames) == self._frames.maxlen
        self._frames.append(frame)
        self._wake.set()
        return is_full

    def farewell(self, message: wire.Text, at_once: bool = False) -> None:
        """Say this last: after what waits, or instead of it."""
        if at_once:
            for waiting in (self._texts, self._faces, self._audio, self._frames):
                waiting.clear()
        self._last = wire.serialise_text(message)
        self._wake.set()

    @property
    def has_work(self) -> bool:
        """Whether something waits to be sent, or is being sent."""
        waiting = self._texts or self._faces or self._audio or self._frames or self._last
        return self._sending or bool(waiting)

    # --- writing -------------------------------------------------------------------------------
    async def write(self, patience: float) -> None:
        """Send what waits, until the farewell.

        Raises `TimeoutError` when the client took nothing for `patience` seconds.
        """
        while not self._ended:
            await self._wake.wait()
            self._wake.clear()
            while (data := self._next()) is not None:
                self._sending = True
                try:
                    async with asyncio.timeout(patience):
                        await self._socket.send(data)
                finally:
                    self._sending = False

    def _next(self) -> bytes | str | None:
        if self._texts:
            return self._texts.popleft()
        if self._faces:
            return self._faces.popleft()
        if self._audio:
            return self._audio.popleft()
        if self._frames:
            if self.wish.set:
                frame = self._frames.popleft()
                return self._host.encoder.frame(frame, self.wish.set, self.wish.json)
            self._frames.clear()
        last, self._last = self._last, None
        self._ended |= last is not None
        return last

    # --- reading -------------------------------------------------------------------------------
    async def read(self) -> None:
        """Obey what the client sends until it leaves; raises `WireError` for rubbish."""
        async for data in self._socket:
            if isinstance(data, bytes):
                self._obey_binary(wire.parse(data))
            else:
                self._obey_text(wire.parse_text(data))

    def _obey_binary(self, message: wire.Message) -> None:
        if not isinstance(message.kind, wire.Kind):
            return  # unknown: from a newer client, to be skipped
        if message.kind is not wire.Kind.PCM:
            raise wire.WireError("unexpected", f"clients do not send {message.kind.name}")
        self.last_push = time.monotonic()
        samples = message.payload
        if message.flags & wire.Flag.INT16:
            samples = from_int16(samples)
        # What is refused comes again, so the resampler must not have heard it.
        resampler = copy.copy(self._resampler)
        error = self._host.take_audio(self, resampler.feed(mono(samples)))
        if error is None:
            self._resampler = resampler
        self._answer(error)

    def _obey_text(self, message: wire.Text | wire.Unknown) -> None:
        match message:
            case wire.Subscribe():
                self._subscribe(message)
            case wire.AudioFormat(rate):
                if not PUSH_RATES[0] <= rate <= PUSH_RATES[1]:
                    raise wire.WireError("field", "`sample_rate` must be 8000 to 192000")
                self._resampler = LiveResampler(rate)
            case wire.Interrupt():
                self._resampler.reset()
                self._host.interrupt()
            case wire.Style(name):
                self._answer(self._host.change_style(name))
            case wire.Guidance(audio, style):
                self._answer(self._host.change_guidance(audio, style))
            case wire.Ping(number):
                self.text(wire.Pong(number, time.time()))
            case wire.Unknown() | wire.Hello():
                pass
            case _:
                raise wire.WireError("unexpected", f"clients do not send `{message.TYPE}`")

    def _subscribe(self, wish: wire.Subscribe) -> None:
        if wish.set and not self._host.encoder.offers(wish.set):
            self._answer(wire.Error("no_such_set", "the hello's `channels` has the sets", False))
            return
        if wish.set == wire.VERTICES and self.wish.set != wire.VERTICES:
            self._faces.extend(self._host.encoder.faces())
        self.wish = wish
        self._wake.set()

    def _answer(self, error: wire.Error | None) -> None:
        if error is not None:
            self.text(error)
