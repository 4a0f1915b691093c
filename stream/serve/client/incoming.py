"""What one client sends: each message is paid for, done, and answered where it cannot be."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stream.core.conditions import ConditionChange
from stream.serve.client.host import GoneError, Socket
from stream.serve.client.pushed_audio import PushedAudio
from stream.serve.client.resuming import MOST_PIECES, TOO_LONG, Resuming
from stream.serve.limits import (
    CONTROL,
    FACES,
    INTERRUPT,
    MOST_TEXT,
    OPEN,
    REFUSED,
    TEXT_BYTES_A_UNIT,
    mix_fault,
)
from stream.wire import codec, messages, session_messages

if TYPE_CHECKING:
    from stream.serve.client.connection import Connection

TAKEN_AT_ONCE = 4  # messages, before the event loop may do something else
AUDIO_FULL = messages.Error("audio_full", "too much audio waits: push this again later", False)


class Incoming:
    """Reads for one client.  Everything here runs in the server's event loop.

    Args:
        client: whose messages they are.
        socket: where they come from.
    """

    def __init__(self, client: Connection, socket: Socket) -> None:
        self._client, self._socket, self._host = client, socket, client.host
        self._pushed = PushedAudio(client.host.filters)
        self._resuming: Resuming | None = None

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

    def _parse_text(self, data: str) -> codec.Text | messages.Unknown:
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
            self._client.text(messages.Error("field", str(error), False, request=error.request))
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
        session = self._client.session
        error = self._pushed.judge(message)
        if self._resuming is not None:
            await self._bring(self._resuming, message, error)
            return
        if error is None:
            error = self._refuse_audio(self._pushed.count(message))
        if error is None:
            await self._pay(self._pushed.cost(message))
            heard = await self._pushed.heard(message)
            if self._client.session is not session:
                return  # it ended meanwhile
            error = self._push(heard.samples)
            if error is None:
                self._pushed.took(heard)
                if self._client.session is not None and self._host.keeps(self._client.session):
                    self._client.text(
                        session_messages.Placed(message.sequence, self._client.session.placed)
                    )
        if error is not None:
            await self._pay(REFUSED)
        self._answer(error, message)

    async def _bring(
        self, resuming: Resuming, message: codec.Message, error: messages.Error | None
    ) -> None:
        """Sound of the session that it resumes came; after the last piece that begins."""
        samples = np.zeros(0, np.float32)
        if error is None:
            await self._pay(self._pushed.cost(message))
            heard = await self._pushed.heard(message)
            self._pushed.took(heard)
            samples = heard.samples
        self._answer(error, message)
        if resuming.bring(message.sample, samples):
            self._resume(resuming)
            return
        self._resuming = None
        self._answer(TOO_LONG, message)

    def _resume(self, resuming: Resuming) -> None:
        """Go on with its session, once all of its sound is here."""
        if resuming.is_complete:
            self._resuming = None
            request, sound = resuming.request, resuming.sound
            self._answer(self._host.resume_session(self._client, request, sound), request)
            self._pushed.reset()

    def _refuse_audio(self, count: int) -> messages.Error | None:
        """Why so many samples would not be taken, before any work is done for them."""
        if self._client.session is None:
            return self._host.refuse_audio(self._client, count)
        return None if self._client.session.fits(count) else AUDIO_FULL

    def _push(self, samples: NDArray[np.float32]) -> messages.Error | None:
        if self._client.session is None:
            return self._host.take_audio(self._client, samples)
        return None if self._client.session.push(samples) else AUDIO_FULL

    async def _obey(self, message: codec.Text | messages.Unknown) -> None:
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
            case session_messages.ConditionMessage():
                await self._pay(CONTROL + self._fan_out())
                self._answer(self._change(message), message)
            case session_messages.Open():
                await self._pay(OPEN)
                self._answer(self._host.open_session(self._client, message), message)
                self._pushed.reset()
            case session_messages.Resume():
                await self._pay(OPEN)
                if not 0 <= message.pieces <= MOST_PIECES:
                    sentence = f"at most {MOST_PIECES} pieces of sound may be brought"
                    self._answer(messages.Error("open", sentence, False), message)
                    return
                self._pushed.reset()
                self._resuming = Resuming(message)
                self._resume(self._resuming)
            case session_messages.Close() | session_messages.Flush() if (
                self._client.session is None
            ):
                self._answer(
                    messages.Error("no_session", "there is no session to do that to", False),
                    message,
                )
            case session_messages.Close():
                await self._pay(CONTROL)
                self._host.close_session(self._client, "closed")
            case session_messages.Flush():
                await self._pay(CONTROL)
                if self._client.session is not None:
                    self._client.session.flush()
            case messages.Ping(number):
                self._client.text(messages.Pong(number, time.time()))
            case messages.Unknown() | messages.Hello():
                pass
            case _:
                raise codec.WireError("unexpected", f"clients do not send `{message.TYPE}`")

    def _fan_out(self) -> float:
        return self._host.fan_out_cost() if self._client.session is None else 0.0

    def _interrupt(self, at: int | None) -> messages.Error | None:
        self._pushed.reset()
        if self._client.session is None:
            return self._host.interrupt(self._client)
        self._client.session.interrupt(at)
        return None

    def _change(self, request: session_messages.Condition) -> messages.Error | None:
        if isinstance(request, session_messages.Style):
            fault = mix_fault(request.name, len(self._host.styles))
            if fault is not None:
                return messages.Error(request.REFUSED, fault, False)
        if self._client.session is None:
            return self._host.change(request)
        try:
            self._client.session.change(ConditionChange(**request.asked()))
        except ValueError as error:
            return messages.Error(request.REFUSED, str(error), False)
        self._client.text(request.of(self._client.session.session.conditions.now))
        self._host.renew_ticket(self._client)
        return None

    async def _subscribe(self, wanted: messages.Subscribe) -> None:
        client, before = self._client, self._client.subscription
        cost = FACES if wanted.set == messages.VERTICES else 0.0
        if client.session is None and (wanted.ahead or before.ahead):
            cost += self._host.catch_up_cost(client)
        await self._pay(cost)
        if wanted.set and not client.encoder.offers(wanted.set):
            self._answer(
                messages.Error("no_such_set", "the hello's `channels` has the sets", False), wanted
            )
            return
        client.subscribe(wanted)
        if client.session is None and (wanted.ahead or before.ahead):
            client.begin()
            self._host.catch_up(client)

    def _answer(self, error: messages.Error | None, to: codec.Text | codec.Message) -> None:
        """Tell the client, with the number that it gave what this answers."""
        if error is None:
            return
        self._host.declined(error.code)
        match to:
            case codec.Message():
                self._client.text(replace(error, sequence=to.sequence))
            case _:
                self._client.text(replace(error, request=getattr(to, "request", None)))
