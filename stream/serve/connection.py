"""One client of the server: what it sees, what waits for it, what it asks for and pays for.

Knows no websocket library: it is handed something that sends, iterates and can be held.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from head.errors import PosetalkError
from stream.core.conditions import ConditionChange
from stream.frames import SAMPLE_RATE, Frame
from stream.run.resumed_session import MOST_AHEAD
from stream.serve.door.auth import Role
from stream.serve.door.peers import Peer
from stream.serve.frame_encoder import Data, Encoder, Sound
from stream.serve.limits import (
    CONTROL,
    FACES,
    INTERRUPT,
    MOST_TEXT,
    OPEN,
    REFUSED,
    TEXT_BYTES_A_UNIT,
    Budget,
    Limits,
    mix_fault,
)
from stream.serve.outbox import Outbox
from stream.serve.pushed_audio import Filters, PushedAudio
from stream.wire import codec, messages

if TYPE_CHECKING:
    from stream.run.push_session import ClientSession

MOST_PIECES = 2_000  # of sound that may be brought with a ticket
SENT_AT_ONCE, TAKEN_AT_ONCE = 8, 4  # messages, before the event loop may do something else


class GoneError(PosetalkError):
    """The client has gone while it was to pay."""


class Socket(Protocol):
    """What a connection needs of a websocket."""

    budget: Budget

    async def send(self, message: str | bytes) -> None: ...
    def hold_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    async def wait_closed(self) -> None: ...
    def __aiter__(self) -> AsyncIterator[str | bytes]: ...


class Host(Protocol):
    """What a client may ask of the server; an error that is returned is told to the client."""

    encoder: Encoder
    limits: Limits
    filters: Filters

    @property
    def styles(self) -> list[str]: ...
    def sent(self, data: Data) -> None: ...
    def declined(self, code: str) -> None: ...
    def open_session(self, client: Connection, wish: messages.Open) -> messages.Error | None: ...
    def resume_session(
        self,
        client: Connection,
        wish: messages.Resume,
        sound: Sequence[tuple[int, NDArray[np.float32]]],
    ) -> messages.Error | None: ...
    def keeps(self, session: ClientSession) -> bool: ...
    def renew_ticket(self, client: Connection) -> None: ...
    def close_session(self, client: Connection, reason: str) -> None: ...
    def catch_up_cost(self, client: Connection) -> float: ...
    def fan_out_cost(self) -> float: ...
    def catch_up(self, client: Connection) -> None: ...
    def refuse_audio(self, client: Connection, count: int) -> messages.Error | None: ...
    def take_audio(
        self, client: Connection, samples: NDArray[np.float32]
    ) -> messages.Error | None: ...
    def change(self, wish: messages.Condition) -> messages.Error | None: ...
    def interrupt(self, client: Connection) -> messages.Error | None: ...


class Connection:
    """One client.  Everything here runs in the server's event loop.

    Attributes:
        subscription: what it subscribed to; FLAME parameters until it says otherwise.
        session: its own, if it has one; then that is what it sees, hears and steers.
        encoder: of its frames.
        outbox: what waits for it.
        peer, role: where it comes from, and what it may do.
        greeted: whether it has its hello; until then nothing else is for it.
    """

    def __init__(self, socket: Socket, host: Host, peer: Peer, role: Role = Role.VIEWER) -> None:
        self._socket, self._host = socket, host
        self.peer, self.role = peer, role
        self.subscription = messages.Subscribe()
        self.session: ClientSession | None = None
        self.encoder = host.encoder
        self.outbox = Outbox()
        self.greeted = False
        self._ended = False
        self._sending = False
        self._wake = asyncio.Event()
        self._pushed = PushedAudio(host.filters)
        self._audio_sequence = 0
        self._resuming: messages.Resume | None = None
        self._brought: list[tuple[int, NDArray[np.float32]]] = []  # sound of what it resumes

    # --- what the server hands over, without waiting -------------------------------------------
    def text(self, message: messages.Text) -> None:
        """Queue a control message; it overtakes audio and frames."""
        self.tell(codec.serialise_text(message))

    def tell(self, text: str) -> None:
        """Queue a control message that was serialised for many."""
        self.outbox.texts.put(text)
        self._wake.set()

    def sound(self, sound: Sound) -> None:
        """Queue audio, if it is wished for."""
        if self.subscription.audio:
            self.outbox.audio.put(sound)
            self._wake.set()

    def motion(self, frame: Frame) -> int:
        """Queue a frame, if motion is wished for; returns how many older ones had to go."""
        wanted = self.subscription
        if not wanted.set or not self.encoder.sends(frame, wanted.set, wanted.json):
            return 0
        gone = self.outbox.frames.put(frame)
        self._wake.set()
        return gone

    def session_pcm(self, start: int, samples: NDArray[np.float32]) -> None:
        """Queue audio of its own session, or ahead of time, if it is wished for."""
        if self.subscription.audio:
            number, self._audio_sequence = self._audio_sequence, self._audio_sequence + 1
            self.sound(Sound(number, start, samples))

    def switch(self, session: ClientSession | None, encoder: Encoder) -> None:
        """From now on show its own session, or the server's again: what waits is of the other.

        On another head its faces come anew, if it draws vertices.
        """
        other_head = encoder.head is not self.encoder.head
        self.session, self.encoder = session, encoder
        if other_head and (self.subscription.set == messages.VERTICES or self.outbox.faces):
            self.outbox.show(encoder.faces)
        self._begin()

    def _begin(self) -> None:
        """Forget what waits: from here on other frames come."""
        self.outbox.begin(early=self.session is not None or bool(self.subscription.ahead))
        self._audio_sequence = 0

    def cut(self, sample: int, told: str | None = None) -> None:
        """Frames and audio from `sample` on were taken back: do not send what waits of them."""
        self.outbox.cut(sample)
        self.tell(told or codec.serialise_text(messages.Interrupted(sample)))

    def close_with(self, message: messages.Text, at_once: bool = False) -> None:
        """Say this last: after what waits, or instead of it."""
        if at_once:
            self.outbox.clear()
        self.outbox.last = codec.serialise_text(message)
        self._wake.set()

    @property
    def has_work(self) -> bool:
        """Whether something waits to be sent, or is being sent."""
        return self._sending or bool(self.outbox)

    # --- writing -------------------------------------------------------------------------------
    async def write(self, read_timeout: float) -> None:
        """Send what waits, until its last message.

        Raises `TimeoutError` when the client took nothing for `read_timeout` seconds.
        """
        while not self._ended:
            await self._wake.wait()
            self._wake.clear()
            sent = 0
            while self.outbox:
                self._sending = True
                try:
                    data = await self._next()
                    if data is not None:
                        async with asyncio.timeout(read_timeout):
                            await self._socket.send(data)
                        self._host.sent(data)
                finally:
                    self._sending = False
                sent += 1
                if sent % SENT_AT_ONCE == 0:
                    await asyncio.sleep(0)

    async def _next(self) -> Data | None:
        """The next message; None: what waited is not wished for any more."""
        batch = self.outbox.take()
        if batch is None:
            last, self.outbox.last = self.outbox.last, None
            self._ended = True
            return last
        if batch.frame is None:
            return batch.data
        wanted = self.subscription
        if not wanted.set or not self.encoder.sends(batch.frame, wanted.set, wanted.json):
            return None
        return await self.encoder.encoded(batch.frame, wanted.set, wanted.json)

    # --- reading -------------------------------------------------------------------------------
    async def read(self) -> None:
        """Obey what the client sends until it leaves; raises `WireError` for rubbish.

        Everything is paid for before it is done: who asks for more than the limits allow is read
        more slowly.
        """
        taken = 0
        async for data in self._socket:
            taken += 1
            if taken % TAKEN_AT_ONCE == 0:
                await asyncio.sleep(0)
            match data:
                case str(text):
                    if len(text) > MOST_TEXT:
                        raise codec.WireError(
                            "too_long", f"a text message is at most {MOST_TEXT} characters"
                        )
                    await self._pay(len(text) / TEXT_BYTES_A_UNIT)
                    await self._obey(self._parse_text(text))
                case binary:
                    await self._hear(codec.parse(binary))

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
                self._pushed.forget_format()
            self._host.declined("field")
            self.text(messages.Error("field", str(error), False, request=error.request))
            return messages.Unknown(error.kind)

    async def _pay(self, cost: float) -> None:
        """Pay for work that is about to be done: its client waits until it can.

        Raises `GoneError` where it leaves meanwhile.
        """
        wait = self._socket.budget.take(cost, time.monotonic()) if cost else 0.0
        if wait:
            self._socket.hold_reading()
            try:
                async with asyncio.timeout(wait):
                    await self._socket.wait_closed()
                raise GoneError  # nothing is done for it any more
            except TimeoutError:
                pass
            finally:
                self._socket.resume_reading()

    async def _hear(self, message: codec.Message) -> None:
        if message.kind not in codec.KINDS:
            return  # unknown: from a newer client, to be skipped
        if message.kind != codec.Kind.PCM:
            raise codec.WireError(
                "unexpected", f"clients do not send {codec.Kind(message.kind).name}"
            )
        session = self.session
        error = self._pushed.judge(message)
        if self._resuming is not None:
            await self._bring(message, error)
            return
        if error is None:
            error = self._refuse_audio(self._pushed.count(message))
        if error is None:
            await self._pay(self._pushed.cost(message))
            heard = await self._pushed.heard(message)
            if self.session is not session:
                return  # it ended meanwhile
            error = self._push(heard.samples)
            if error is None:
                self._pushed.took(heard)
                if self.session is not None and self._host.keeps(self.session):
                    self.text(messages.Placed(message.sequence, self.session.placed))
        if error is not None:
            await self._pay(REFUSED)
        self._answer(error, message)

    async def _bring(self, message: codec.Message, error: messages.Error | None) -> None:
        """Sound of the session that it resumes came; after the last piece that begins."""
        samples = np.zeros(0, np.float32)
        if error is None:
            await self._pay(self._pushed.cost(message))
            heard = await self._pushed.heard(message)
            self._pushed.took(heard)
            samples = heard.samples
        self._answer(error, message)
        self._brought.append((message.sample, samples))
        if sum(len(piece) for _, piece in self._brought) > MOST_AHEAD:
            self._resuming, self._brought = None, []
            sentence = f"at most {MOST_AHEAD // SAMPLE_RATE} s of a session may be brought"
            self._answer(messages.Error("open", sentence, False), message)
        await self._resume()

    async def _resume(self) -> None:
        """Go on with its session, once all of its sound is here."""
        wish = self._resuming
        if wish is None or len(self._brought) < wish.pieces:
            return
        sound, self._brought, self._resuming = self._brought, [], None
        self._answer(self._host.resume_session(self, wish, sound), wish)
        self._pushed.reset()

    def _refuse_audio(self, count: int) -> messages.Error | None:
        """Why so many samples would not be taken, before any work is done for them."""
        if self.session is None:
            return self._host.refuse_audio(self, count)
        return None if self.session.fits(count) else AUDIO_FULL

    def _push(self, samples: NDArray[np.float32]) -> messages.Error | None:
        if self.session is None:
            return self._host.take_audio(self, samples)
        return None if self.session.push(samples) else AUDIO_FULL

    async def _obey(self, message: messages.Text | messages.Unknown) -> None:
        """Pay for what it asks, and do it."""
        match message:
            case messages.Subscribe():
                await self._subscribe(message)
            case messages.AudioFormat(rate, channels):
                await self._pay(self._pushed.rate_cost(rate))
                error = await self._pushed.set_format(rate, 1 if channels is None else channels)
                self._answer(error, message)
            case messages.Interrupt(at):
                await self._pay(INTERRUPT)
                self._answer(self._interrupt(at), message)
            case messages.ConditionMessage():
                await self._pay(CONTROL + self._fan_out())
                self._answer(self._change(message), message)
            case messages.Open():
                await self._pay(OPEN)
                self._answer(self._host.open_session(self, message), message)
                self._pushed.reset()
            case messages.Resume():
                await self._pay(OPEN)
                if not 0 <= message.pieces <= MOST_PIECES:
                    sentence = f"at most {MOST_PIECES} pieces of sound may be brought"
                    self._answer(messages.Error("open", sentence, False), message)
                    return
                self._pushed.reset()
                self._resuming, self._brought = message, []
                await self._resume()
            case messages.Close() | messages.Flush() if self.session is None:
                self._answer(
                    messages.Error("no_session", "there is no session to do that to", False),
                    message,
                )
            case messages.Close():
                await self._pay(CONTROL)
                self._host.close_session(self, "closed")
            case messages.Flush():
                await self._pay(CONTROL)
                if self.session is not None:
                    self.session.flush()
            case messages.Ping(number):
                self.text(messages.Pong(number, time.time()))
            case messages.Unknown() | messages.Hello():
                pass
            case _:
                raise codec.WireError("unexpected", f"clients do not send `{message.TYPE}`")

    def _fan_out(self) -> float:
        return self._host.fan_out_cost() if self.session is None else 0.0

    def _interrupt(self, at: int | None) -> messages.Error | None:
        self._pushed.reset()
        if self.session is None:
            return self._host.interrupt(self)
        self.session.interrupt(at)
        return None

    def _change(self, wish: messages.Condition) -> messages.Error | None:
        if isinstance(wish, messages.Style):
            fault = mix_fault(wish.name, len(self._host.styles))
            if fault is not None:
                return messages.Error(wish.REFUSED, fault, False)
        if self.session is None:
            return self._host.change(wish)
        try:
            self.session.change(ConditionChange(**wish.asked()))
        except ValueError as error:
            return messages.Error(wish.REFUSED, str(error), False)
        self.text(wish.of(self.session.session.conditions.now))
        self._host.renew_ticket(self)
        return None

    async def _subscribe(self, wanted: messages.Subscribe) -> None:
        cost = FACES if wanted.set == messages.VERTICES else 0.0
        if self.session is None and (wanted.ahead or self.subscription.ahead):
            cost += self._host.catch_up_cost(self)
        await self._pay(cost)
        if wanted.set and not self.encoder.offers(wanted.set):
            self._answer(
                messages.Error("no_such_set", "the hello's `channels` has the sets", False), wanted
            )
            return
        before, self.subscription = self.subscription, wanted
        draws = wanted.set == messages.VERTICES
        if draws and before.set != messages.VERTICES and not self.outbox.faces:
            self.outbox.show(self.encoder.faces)
        if self.session is None and (wanted.ahead or before.ahead):
            self._begin()
            self._host.catch_up(self)
        self._wake.set()

    def _answer(self, error: messages.Error | None, to: messages.Text | codec.Message) -> None:
        """Tell the client, with the number that it gave what this answers."""
        if error is None:
            return
        self._host.declined(error.code)
        match to:
            case codec.Message():
                self.text(replace(error, sequence=to.sequence))
            case _:
                self.text(replace(error, request=getattr(to, "request", None)))


AUDIO_FULL = messages.Error("audio_full", "too much audio waits: push this again later", False)
