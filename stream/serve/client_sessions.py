"""Which client has which session of its own: opens and ends them, and hands on what they make.

Everything but the listener's four methods runs in the server's event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Concatenate, ParamSpec

import numpy as np
from numpy.typing import NDArray

from head.model import Head
from stream.frames import SAMPLE_RATE, Frame
from stream.run.other_heads import OtherHead
from stream.run.push.factory import SessionFactory
from stream.run.push.resumed import Past
from stream.run.push.session import ClientSession
from stream.serve.broadcast import Broadcast
from stream.serve.client.connection import Connection
from stream.serve.frame_encoder import EasingEncoder, Encoder
from stream.serve.limits import Limits
from stream.serve.server_counts import ServerCounts
from stream.serve.tickets import Signer, Ticket, TicketError
from stream.wire import messages, session_messages

Floats = NDArray[np.float32]
P = ParamSpec("P")

MOST_VALUE = 100.0
"""Of a frame that is eased from: weights, radians, metres."""


class ClientSessions:
    """The clients that have a session of their own.

    Args:
        factory: opens them; None: there are none to be had.
        head, encoder: the server's.
        broadcast: has the hello: what the server tells newcomers now.
        counts: where to count.
        post: does something in the event loop, in order; may be called from any thread.
        worker: poses and solves beside the event loop.

    Attributes:
        most_new: sessions at which newcomers are refused; None: as many as the factory can.
        retry_seconds: when who is refused may try again, where that is known.
        signer: writes tickets for those who ask, and reads those of others; None: there are none.
        ticket_seconds: how long one holds.
    """

    def __init__(
        self,
        factory: SessionFactory | None,
        head: Head,
        encoder: Encoder,
        broadcast: Broadcast,
        counts: ServerCounts,
        post: Callable[[Callable[[], None]], None],
        worker: Executor | None = None,
    ) -> None:
        self.factory = factory
        self._head, self._encoder, self._broadcast = head, encoder, broadcast
        self._counts, self._post, self._worker = counts, post, worker
        self._clients: dict[ClientSession, Connection] = {}
        self._broken = 0  # outputs, of sessions that have ended
        self.most_new: int | None = None
        self.signer: Signer | None = None
        self.ticket_seconds = Limits().session_seconds
        self._tickets: dict[ClientSession, Ticket] = {}
        self.retry_seconds: float | None = None

    def __len__(self) -> int:
        return len(self._clients)

    @property
    def broken_outputs(self) -> int:
        """Outputs of the model for all of them so far that were no motion; from any thread."""
        now = (opened.session.broken_outputs for opened in tuple(self._clients))
        return self._broken + sum(now)

    def open(self, client: Connection, request: session_messages.Open) -> messages.Error | None:
        """Give a client a session of its own; it is told, or the error is for it."""
        if self.factory is None:
            return messages.Error("capacity", "this server has no sessions to give away", False)
        other = self.factory.heads.get(request.head)
        if (
            other is not None
            and client.subscription.set
            and client.subscription.set not in other.hello.channels
        ):
            name = client.subscription.set
            sentence = f"the head {request.head!r} has no {name!r}: subscribe to another set first"
            return messages.Error("open", sentence, False)
        refused = self._make_room(client)
        if refused is None and self.most_new is not None and len(self) >= self.most_new:
            refused = self._full(f"all {self.most_new} sessions of this replica are taken")
        return refused or self._begin(client, request)

    def resume(
        self,
        client: Connection,
        request: session_messages.Resume,
        sound: Sequence[tuple[int, Floats]],
    ) -> messages.Error | None:
        """Give a client a session that goes on with the one of its ticket; as `open`."""
        if self.factory is None or self.signer is None:
            return messages.Error("ticket", "this server takes no tickets: open a session", False)
        try:
            ticket = self.signer.read(request.ticket, time.time())
        except TicketError as error:
            return messages.Error("ticket", str(error), False)
        if any(abs(value) > MOST_VALUE for value in request.values):
            return messages.Error("open", f"`values` are at most {MOST_VALUE:g}", False)
        past = Past(max(-1, request.sample), sound, time.time() - ticket.zero)
        values = np.array(request.values, np.float32)
        return self._make_room(client) or self._begin(
            client, ticket.request, ticket, past, (request.set, values)
        )

    def _make_room(self, client: Connection) -> messages.Error | None:
        """End what the client has; why its address has no room for another, or None."""
        self.close(client, "opened again")
        if client.peer.sessions >= client.peer.most_sessions:
            return messages.Error("capacity", "this address has its share of the sessions", False)
        return None

    def _begin(
        self,
        client: Connection,
        request: session_messages.Open,
        ticket: Ticket | None = None,
        past: Past | None = None,
        last: tuple[str, Floats] | None = None,
    ) -> messages.Error | None:
        """Begin a session; one with a past eases from the last frame, (set, values)."""
        assert self.factory is not None
        began, first = time.time(), 0
        if ticket is not None and past is not None:
            first = past.first
        try:
            opened = self.factory.open(request, self, past)
        except ValueError as error:
            return messages.Error("open", str(error), False)
        except RuntimeError as error:  # stream.run.scheduler.CapacityError
            return self._full(str(error))
        head = opened.head
        encoder = self._encoder_of(head, request, last, first)
        if ticket is None:
            until = began + self.ticket_seconds
            ticket = Ticket(request, began, until)
        if request.keep and self.signer is not None:
            self._tickets[opened] = ticket
        self._clients[opened] = client
        client.peer.sessions += 1
        self._counts.sessions = len(self)
        session = opened.session
        guidance = {"audio": session.audio_guidance, "style": session.style_guidance}
        told = session_messages.Opened(
            first,
            ticket.zero + first / SAMPLE_RATE,
            session.style_name,
            opened.lookahead,
            opened.hop,
            opened.capacity,
            guidance,
        )
        if opened in self._tickets:
            told = replace(told, ticket=self._ticket(opened))
        if head is not None:
            hello = head.hello
            told = replace(
                told,
                head=hello.head,
                channels=hello.channels,
                vertices=hello.vertices,
                faces=hello.faces,
            )
        client.switch(opened, encoder)
        client.text(told)
        return None

    def _encoder_of(
        self,
        head: OtherHead | None,
        request: session_messages.Open,
        last: tuple[str, Floats] | None,
        first: int,
    ) -> Encoder:
        """Of a session's frames."""
        model, hello = self._head, self._broadcast.hello
        if head is not None:
            model, hello = head.head, head.hello
        elif request.shape:
            hello = replace(hello, shape=request.shape)
        if last is not None and len(last[1]):
            return EasingEncoder(model, hello, self._worker, *last, first)
        if head is None and not request.shape:
            return self._encoder
        return Encoder(model, hello, self._worker)

    def keeps(self, opened: ClientSession) -> bool:
        """Whether a session has a ticket."""
        return opened in self._tickets

    def renew(self, client: Connection) -> None:
        """A client's session speaks otherwise by now: its ticket, if it has one, is another."""
        opened = client.session
        if opened is not None and opened in self._tickets:
            client.text(session_messages.TicketRenewed(self._ticket(opened)))

    def _ticket(self, opened: ClientSession) -> str:
        """The ticket of a session as it is now."""
        assert self.signer is not None
        ticket, session = self._tickets[opened], opened.session
        request = replace(ticket.request, **session.conditions.now)
        return self.signer.write(replace(ticket, request=request))

    def _full(self, sentence: str) -> messages.Error:
        return messages.Error("capacity", sentence, False, retry_after=self.retry_seconds)

    def close(self, client: Connection, reason: str) -> None:
        """End a client's session, if it has one; it is told, and sees the server's again."""
        opened = client.session
        if opened is None:
            return
        opened.close()
        self._tickets.pop(opened, None)
        if self._clients.pop(opened, None) is not None:
            client.peer.sessions -= 1
            self._broken += opened.session.broken_outputs
        self._counts.sessions = len(self)
        client.switch(None, self._encoder)
        client.text(session_messages.Closed(reason, opened.frames))
        # What holds for the server's own stream held all along; the client saw another's.
        hello = self._broadcast.hello
        for told in (kind.of_hello(hello) for kind in session_messages.CONDITIONS):
            if told is not None:
                client.text(told)
        if hello.start_time is not None:
            client.text(messages.ClockInfo(0, hello.start_time))

    def tick(self, longest: float) -> None:
        """Let time pass, and end sessions that have lasted `longest` seconds."""
        for opened, client in list(self._clients.items()):
            opened.pump()
            if opened.seconds > longest:
                self.close(client, "too long")

    def end(self) -> None:
        """End what runs the sessions."""
        if self.factory is not None:
            self.factory.close()

    # --- the listener: from any thread ---------------------------------------------------------
    def session_frames(self, opened: ClientSession, frames: list[Frame]) -> None:
        """Frames of a client's own session."""
        self._tell(opened, self._give, frames)

    def session_audio(
        self, opened: ClientSession, start: int, samples: NDArray[np.float32]
    ) -> None:
        """The audio that its frames belong to."""
        self._tell(opened, Connection.session_pcm, start, samples)

    def session_cut(self, opened: ClientSession, sample: int) -> None:
        """Its speech was cut."""
        self._tell(opened, Connection.cut, sample)

    def session_ended(self, opened: ClientSession, error: Exception | None) -> None:
        """It will make no more frames."""
        reason = "ended" if error is None else "failed"
        self._tell(opened, self.close, reason)

    def _give(self, client: Connection, frames: list[Frame]) -> None:
        for frame in frames:
            self._counts.dropped += client.motion(frame)
        self._counts.session_sent += len(frames)

    def _tell(
        self,
        opened: ClientSession,
        call: Callable[Concatenate[Connection, P], None],
        *args: P.args,
        **options: P.kwargs,
    ) -> None:
        """Call with its client, in the event loop, unless that has another session by then."""

        def act() -> None:
            client = self._clients.get(opened)
            if client is not None and client.session is opened:
                call(client, *args, **options)

        self._post(act)
