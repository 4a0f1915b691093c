"""What clients may ask of a server: who may push sound, styles, strengths, silence, sessions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stream.audio import SAMPLE_RATE
from stream.run.presets import PRESETS
from stream.run.push.session import ClientSession
from stream.serve.broadcast import Broadcast
from stream.serve.client.connection import Connection
from stream.serve.client.incoming import AUDIO_FULL
from stream.serve.client.pushed_audio import Filters
from stream.serve.client_sessions import ClientSessions
from stream.serve.controls import StreamControls
from stream.serve.door.auth import Role
from stream.serve.frame_encoder import Data, Encoder
from stream.serve.limits import FAN_OUT, Limits, mix_fault
from stream.serve.metrics import Health
from stream.wire import codec, messages, session_messages

PAUSE_SECONDS = 2.0  # without a push, another client may push audio


class ClientRequests:
    """Grants or refuses, and says why; the `Host` of connections, in the server's event loop.

    Args:
        controls: of the server's own stream.
        sessions: of the clients.
        broadcast: has the hello.
        encoder: of the server's frames.
        limits: what it takes from a client.
        health: of the server: what was sent, and whether what it hears is lost.
        filters: of clients' sample rates.
    """

    def __init__(
        self,
        controls: StreamControls,
        sessions: ClientSessions,
        broadcast: Broadcast,
        encoder: Encoder,
        limits: Limits,
        health: Health,
        filters: Filters,
    ) -> None:
        self.encoder, self.limits, self.filters = encoder, limits, filters
        self._controls, self._sessions, self._broadcast = controls, sessions, broadcast
        self._health, self._counts = health, health.counts
        self._active_pusher: Connection | None = None  # whose pushed audio is taken
        self._last_push = self._spoken_until = 0.0  # seconds, monotonic
        self._greeted: tuple[messages.Hello, str] | None = None

    @property
    def styles(self) -> list[str]:
        """That there are."""
        return self._broadcast.hello.styles

    def sent(self, data: Data) -> None:
        """A message went out."""
        self._counts.bytes_out += len(data)

    def declined(self, code: str) -> None:
        """A client did not get what it asked for."""
        self._counts.declined[code] += 1

    def greet(self, client: Connection) -> None:
        """Say hello, and what else there is to know."""
        client.tell(self._greeting())
        client.greeted = True
        if self._health.source:
            client.text(messages.Source("lost", self._health.source))
        if self._broadcast.level is not None:
            client.text(self._broadcast.level)

    def _greeting(self) -> str:
        """The hello as text, serialised once for all who come until it changes."""
        hello = self._hello()
        if self._greeted is None or self._greeted[0] != hello:
            self._greeted = hello, codec.serialise_text(hello)
        return self._greeted[1]

    def _hello(self) -> messages.Hello:
        """The hello, with what clients may ask for by now."""
        can = {kind.TYPE: self._controls.change for kind in session_messages.CONDITIONS} | {
            "interrupt": self._controls.interrupt,
            "audio": self._controls.push,
            "open": self._sessions.factory,
            "ahead": self._controls.sends_early or None,
        }
        accepts = [name for name, action in can.items() if action is not None]
        hello, factory = self._broadcast.hello, self._sessions.factory
        if factory is not None:
            hello = replace(hello, presets=[*PRESETS], preset=factory.preset)
            if factory.heads:
                hello = replace(hello, heads=[*factory.heads])
        return replace(hello, accepts=accepts) if accepts else hello

    def left(self, client: Connection) -> None:
        """A client has gone: its session ends, and others may push."""
        self.close_session(client, "")
        if self._active_pusher is client:
            self._active_pusher = None

    def refuse_audio(self, client: Connection, count: int) -> messages.Error | None:
        """Why pushed audio would not be taken now; the first that pushes goes on until it pauses.

        Args:
            count: samples at 16 kHz.
        """
        pusher, fits = self._active_pusher, self._controls.fits
        if self._controls.push is None:
            return messages.Error("audio_not_accepted", "this session hears another source", False)
        held = pusher is not None and time.monotonic() - self._last_push < PAUSE_SECONDS
        if held and pusher is not client:
            return messages.Error("audio_busy", "another client is pushing audio", False)
        return None if fits is None or fits(count) else AUDIO_FULL

    def take_audio(self, client: Connection, samples: NDArray[np.float32]) -> messages.Error | None:
        """Pass pushed audio on."""
        refused = self.refuse_audio(client, len(samples))
        push = self._controls.push
        if refused is not None or push is None:
            return refused
        now = time.monotonic()
        if client is not self._active_pusher:
            self._spoken_until = now
        self._active_pusher, self._last_push = client, now
        if not push(samples):
            return AUDIO_FULL
        self._spoken_until = max(self._spoken_until, now) + len(samples) / SAMPLE_RATE
        return None

    def open_session(
        self, client: Connection, request: session_messages.Open
    ) -> messages.Error | None:
        """Give a client a session of its own."""
        fault = mix_fault(request.style, len(self.styles))
        if fault is not None:
            return messages.Error("open", fault, False)
        return self._sessions.open(client, request)

    def resume_session(
        self,
        client: Connection,
        request: session_messages.Resume,
        sound: Sequence[tuple[int, NDArray[np.float32]]],
    ) -> messages.Error | None:
        """Give a client a session that goes on with the one of its ticket."""
        return self._sessions.resume(client, request, sound)

    def keeps(self, session: ClientSession) -> bool:
        """Whether a session has a ticket: then its client is told where its sound is placed."""
        return self._sessions.keeps(session)

    def renew_ticket(self, client: Connection) -> None:
        """A client's session speaks otherwise by now."""
        self._sessions.renew(client)

    def close_session(self, client: Connection, reason: str) -> None:
        """End a client's own session, tell it, and show it the server's again."""
        if client.session is not None:
            self._sessions.close(client, reason)
            self.catch_up(client)

    def catch_up(self, client: Connection) -> None:
        """Give a client what was made ahead before it asked for that."""
        if client.subscription.ahead and self._controls.sends_early:
            self._broadcast.catch_up(client)

    def catch_up_cost(self, client: Connection) -> float:
        """What `catch_up` would cost."""
        return self._broadcast.catch_up_cost() if self._controls.sends_early else 0.0

    def fan_out_cost(self) -> float:
        """What it costs to tell every viewer something."""
        return FAN_OUT * self._counts.clients

    def change(self, request: session_messages.Condition) -> messages.Error | None:
        """Pass a client's request for a condition on."""
        if self._controls.change is None:
            return messages.Error(request.REFUSED, "how it speaks is fixed here", False)
        try:
            self._controls.change(request)
        except ValueError as error:
            names = ", ".join(self.styles)
            known = f"choose one of {names}, or a mix of them"
            sentence = known if isinstance(request, session_messages.Style) else str(error)
            return messages.Error(request.REFUSED, sentence, False)
        return None

    def interrupt(self, client: Connection) -> messages.Error | None:
        """Pass a client's request for silence on: not while another's speech is being spoken."""
        pusher = self._active_pusher
        spoken = pusher is not None and time.monotonic() < max(
            self._spoken_until, self._last_push + PAUSE_SECONDS
        )
        if spoken and pusher is not client and client.role is not Role.OPERATOR:
            return messages.Error("not_yours", "another client is speaking: only it may cut", False)
        if self._controls.interrupt is not None:
            self._spoken_until = 0.0
            self._controls.interrupt()
        return None
