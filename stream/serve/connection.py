"""One client of the server: its wish, its bounded queues, its reading and writing.

Knows no websocket library: it is handed something that sends, iterates and can be cut off.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from stream.frames import Frame
from stream.serve.frame_encoder import Encoder
from stream.serve.limits import Bucket, Limits
from stream.sources.pcm import LOUDEST, LiveResampler, mono, scaled
from stream.wire import codec, messages

if TYPE_CHECKING:
    from stream.run.push_session import ClientSession

MOTION_QUEUE = 64  # frames, 2.6 s; newest wins
AUDIO_QUEUE = 200  # blocks of about 20 ms, 4 s; newest wins
EARLY_QUEUE = 2_000  # frames and blocks of a client's own session, which come ahead of time
TEXT_QUEUE = 64
PUSH_RATES = (8_000, 192_000)
MOST_CHANNELS = 8
RATE_STEP = 25  # Hz: every rate in use is a multiple; others would want huge filters
EXPENSIVE_COST = 50.0  # what a message that costs much work counts for
AT_ONCE = 32_000  # samples that are resampled in the event loop; more go into a thread


class Socket(Protocol):
    """What a connection needs of a websocket."""

    async def send(self, message: str | bytes) -> None: ...
    def __aiter__(self) -> AsyncIterator[str | bytes]: ...


class Host(Protocol):
    """What a client may ask of the server; an error that is returned is told to the client."""

    encoder: Encoder
    limits: Limits

    def open_session(self, client: Connection, wish: messages.Open) -> messages.Error | None: ...
    def close_session(self, client: Connection, reason: str) -> None: ...
    def catch_up(self, client: Connection) -> None: ...
    def take_audio(
        self, client: Connection, samples: NDArray[np.float32]
    ) -> messages.Error | None: ...
    def change_style(self, name: str) -> messages.Error | None: ...
    def change_guidance(
        self, audio: float | None, style: float | None
    ) -> messages.Error | None: ...
    def interrupt(self) -> None: ...


class Connection:
    """One client.  Everything here runs in the server's event loop.

    Attributes:
        subscription: what it subscribed to; FLAME parameters until it says otherwise.
        last_push: seconds (monotonic) at which it last pushed audio.
        session: its own, if it has one; then that is what it sees, hears and steers.
        encoder: of its frames.
    """

    def __init__(self, socket: Socket, host: Host) -> None:
        self._socket, self._host = socket, host
        self.subscription = messages.Subscribe()
        self.last_push = -np.inf
        self.session: ClientSession | None = None
        self.encoder = host.encoder
        self._texts: deque[str] = deque(maxlen=TEXT_QUEUE)
        self._faces: deque[bytes] = deque()
        self._audio: deque[bytes] = deque(maxlen=AUDIO_QUEUE)
        self._frames: deque[Frame] = deque(maxlen=MOTION_QUEUE)
        self._last: str | None = None
        self._ended = False
        self._sending = False
        self._wake = asyncio.Event()
        self._rate, self._channels = messages.Hello.sample_rate, 1
        self._format_is_known = True  # not after one that was refused
        self._resampler = LiveResampler(self._rate)
        self._audio_sequence = 0
        limits = host.limits
        self._messages = Bucket(limits.messages, limits.burst)
        self._bytes = Bucket(limits.bytes, limits.byte_burst)

    # --- what the server hands over, without waiting -------------------------------------------
    def text(self, message: messages.Text) -> None:
        """Queue a control message; it overtakes audio and frames."""
        self._texts.append(codec.serialise_text(message))
        self._wake.set()

    def pcm(self, data: bytes) -> None:
        """Queue audio, if it is wished for."""
        if self.subscription.audio:
            self._audio.append(data)
            self._wake.set()

    def motion(self, frame: Frame) -> bool:
        """Queue a frame, if motion is wished for; returns whether an older one had to go."""
        if not self.subscription.set:
            return False
        is_full = len(self._frames) == self._frames.maxlen
        self._frames.append(frame)
        self._wake.set()
        return is_full

    def session_pcm(self, start: int, samples: NDArray[np.float32]) -> None:
        """Queue audio of its own session, or ahead of time, if it is wished for."""
        if self.subscription.audio:
            number, self._audio_sequence = self._audio_sequence, self._audio_sequence + 1
            self._audio.append(
                codec.serialise(codec.Message(codec.Kind.PCM, number, start, samples))
            )
            self._wake.set()

    def switch(self, session: ClientSession | None, encoder: Encoder) -> None:
        """From now on show its own session, or the server's again: what waits is of the other.

        On another head its faces come anew, if it draws vertices.
        """
        other_head = encoder.head is not self.encoder.head
        self.session, self.encoder = session, encoder
        if other_head and (self.subscription.set == messages.VERTICES or self._faces):
            self._faces = deque(encoder.faces())
        self._empty()

    def _empty(self) -> None:
        """Forget what waits: from here on other frames come."""
        early = self.session is not None or bool(self.subscription.ahead)
        length = (EARLY_QUEUE, EARLY_QUEUE) if early else (MOTION_QUEUE, AUDIO_QUEUE)
        self._frames, self._audio = deque(maxlen=length[0]), deque(maxlen=length[1])
        self._audio_sequence = 0

    def cut(self, sample: int) -> None:
        """Frames and audio from `sample` on were taken back: do not send what waits of them."""
        kept = [frame for frame in self._frames if frame.sample < sample]
        self._frames = deque(kept, self._frames.maxlen)
        sounds = [data for data in self._audio if _starts_before(data, sample)]
        self._audio = deque(sounds, self._audio.maxlen)
        self.text(messages.Interrupted(sample))

    def close_with(self, message: messages.Text, at_once: bool = False) -> None:
        """Say this last: after what waits, or instead of it."""
        if at_once:
            for waiting in (self._texts, self._faces, self._audio, self._frames):
                waiting.clear()
        self._last = codec.serialise_text(message)
        self._wake.set()

    @property
    def has_work(self) -> bool:
        """Whether something waits to be sent, or is being sent."""
        waiting = self._texts or self._faces or self._audio or self._frames or self._last
        return self._sending or bool(waiting)

    # --- writing -------------------------------------------------------------------------------
    async def write(self, read_timeout: float) -> None:
        """Send what waits, until its last message.

        Raises `TimeoutError` when the client took nothing for `read_timeout` seconds.
        """
        while not self._ended:
            await self._wake.wait()
            self._wake.clear()
            while (data := self._next()) is not None:
                self._sending = True
                try:
                    async with asyncio.timeout(read_timeout):
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
            if self.subscription.set:
                frame = self._frames.popleft()
                return self.encoder.frame(frame, self.subscription.set, self.subscription.json)
            self._frames.clear()
        last, self._last = self._last, None
        self._ended |= last is not None
        return last

    # --- reading -------------------------------------------------------------------------------
    async def read(self) -> None:
        """Obey what the client sends until it leaves; raises `WireError` for rubbish.

        Who sends more than the limits allow is read more slowly.
        """
        async for data in self._socket:
            if isinstance(data, bytes):
                await self._obey_binary(codec.parse(data))
                expensive = False
            else:
                expensive = self._obey_text(self._parse_text(data))
            now = time.monotonic()
            wait = max(
                self._messages.take(EXPENSIVE_COST if expensive else 1.0, now),
                self._bytes.take(len(data), now),
            )
            if wait:
                await asyncio.sleep(wait)

    def _parse_text(self, data: str) -> messages.Text | messages.Unknown:
        """The message in `data`; one with a wrong value is answered, and skipped.

        Raises `WireError` for what is no message of this protocol at all.
        """
        try:
            return codec.parse_text(data)
        except codec.WireError as error:
            if error.code != "field":
                raise
            if error.kind == messages.AudioFormat.TYPE:
                self._format_is_known = False
            self.text(messages.Error("field", str(error), False, request=error.request))
            return messages.Unknown(error.kind)

    async def _obey_binary(self, message: codec.Message) -> None:
        if not isinstance(message.kind, codec.Kind):
            return  # unknown: from a newer client, to be skipped
        if message.kind is not codec.Kind.PCM:
            raise codec.WireError("unexpected", f"clients do not send {message.kind.name}")
        self.last_push = time.monotonic()
        error = self._judge(message)
        if error is not None:
            self._answer(error, message)
            return
        samples = scaled(message.payload).reshape(-1, self._channels)
        session = self.session
        if session is not None and not session.fits(
            len(samples) * messages.Hello.sample_rate // self._rate
        ):
            self._answer(_FULL, message)
            return
        # What is refused comes again, so the resampler must not have heard it.
        resampler = copy.copy(self._resampler)
        if len(samples) > AT_ONCE:
            heard = await asyncio.to_thread(lambda: resampler.feed(mono(samples)))
        else:
            heard = resampler.feed(mono(samples))
        if self.session is not session:
            return  # it ended meanwhile
        error = self._push(heard)
        if error is None:
            self._resampler = resampler
        self._answer(error, message)

    def _judge(self, message: codec.Message) -> messages.Error | None:
        """Whether pushed samples are sound in the format that was announced."""
        if not self._format_is_known:
            sentence = "the last `audio_format` was refused: send another one first"
            return messages.Error("audio_format", sentence, False)
        if message.payload.size % self._channels:
            sentence = f"{message.payload.size} samples are not whole ones of {self._channels}"
            return messages.Error("audio_samples", f"{sentence} channels", False)
        if message.payload.dtype.kind == "f":
            peak = np.abs(message.payload).max(initial=0.0)
            if not peak <= LOUDEST:  # nor where it is no number
                sentence = "samples are finite numbers in -1..1: these were not taken"
                return messages.Error("audio_samples", sentence, False)
        return None

    def _push(self, samples: NDArray[np.float32]) -> messages.Error | None:
        if self.session is None:
            return self._host.take_audio(self, samples)
        return None if self.session.push(samples) else _FULL

    def _obey_text(self, message: messages.Text | messages.Unknown) -> bool:
        """Do what it says; whether that was much work."""
        match message:
            case messages.Subscribe():
                self._subscribe(message)
                return message.set == messages.VERTICES
            case messages.AudioFormat(rate, channels):
                self._answer(self._set_format(rate, 1 if channels is None else channels), message)
                return True
            case messages.Interrupt(at):
                self._resampler.reset()
                if self.session is not None:
                    self.session.interrupt(at)
                else:
                    self._host.interrupt()
            case messages.Style(name):
                self._answer(self._set_style(name), message)
            case messages.Guidance(audio, style):
                self._answer(self._set_guidance(audio, style), message)
            case messages.Open():
                self._answer(self._host.open_session(self, message), message)
                self._resampler.reset()
                return True
            case messages.Close() | messages.Flush() if self.session is None:
                self._answer(
                    messages.Error("no_session", "there is no session to do that to", False),
                    message,
                )
            case messages.Close():
                self._host.close_session(self, "closed")
            case messages.Flush() if self.session is not None:
                self.session.flush()
            case messages.Ping(number):
                self.text(messages.Pong(number, time.time()))
            case messages.Unknown() | messages.Hello():
                pass
            case _:
                raise codec.WireError("unexpected", f"clients do not send `{message.TYPE}`")
        return False

    def _set_format(self, rate: int, channels: int) -> messages.Error | None:
        self._format_is_known = False
        if not PUSH_RATES[0] <= rate <= PUSH_RATES[1] or rate % RATE_STEP:
            sentence = "`sample_rate` must be 8000 to 192000, in whole multiples of 25"
            return messages.Error("audio_format", sentence, False)
        if not 1 <= channels <= MOST_CHANNELS:
            sentence = f"`channels` must be 1 to {MOST_CHANNELS}"
            return messages.Error("audio_format", sentence, False)
        self._format_is_known = True
        self._rate, self._channels = rate, channels
        self._resampler = LiveResampler(rate)
        return None

    def _set_style(self, name: str) -> messages.Error | None:
        if self.session is None:
            return self._host.change_style(name)
        try:
            self.session.set_style(name)
        except ValueError as error:
            return messages.Error("no_such_style", str(error), False)
        self.text(messages.Style(name))
        return None

    def _set_guidance(self, audio: float | None, style: float | None) -> messages.Error | None:
        if self.session is None:
            return self._host.change_guidance(audio, style)
        try:
            self.session.set_guidance(audio, style)
        except ValueError as error:
            return messages.Error("guidance", str(error), False)
        animated = self.session.session
        self.text(messages.Guidance(animated.audio_guidance, animated.style_guidance))
        return None

    def _subscribe(self, wanted: messages.Subscribe) -> None:
        if wanted.set and not self.encoder.offers(wanted.set):
            self._answer(
                messages.Error("no_such_set", "the hello's `channels` has the sets", False), wanted
            )
            return
        if (
            wanted.set == messages.VERTICES
            and self.subscription.set != messages.VERTICES
            and not self._faces
        ):
            self._faces.extend(self.encoder.faces())
        before, self.subscription = self.subscription, wanted
        if self.session is None and (wanted.ahead or before.ahead):
            self._empty()
            self._host.catch_up(self)
        self._wake.set()

    def _answer(self, error: messages.Error | None, to: messages.Text | codec.Message) -> None:
        """Tell the client, with the number that it gave what this answers."""
        if error is None:
            return
        if isinstance(to, codec.Message):
            self.text(replace(error, sequence=to.sequence))
        else:
            self.text(replace(error, request=getattr(to, "request", None)))


_FULL = messages.Error("audio_full", "too much audio waits: push this again later", False)


def _starts_before(data: bytes, sample: int) -> bool:
    return bool(codec.HEADER.unpack_from(data)[5] < sample)
