"""Which client has which session of its own: opens and ends them, and hands on what they make.

Everything but the listener's four methods runs in the server's event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import Concatenate, ParamSpec

import numpy as np
from numpy.typing import NDArray

from head.model import Head
from stream.frames import Frame
from stream.run.push_session import ClientSession, SessionFactory
from stream.serve.connection import Connection
from stream.serve.frame_encoder import Encoder
from stream.serve.server_counts import ServerCounts
from stream.wire import messages

P = ParamSpec("P")


class ClientSessions:
    """The clients that have a session of their own.

    Args:
        factory: opens them; None: there are none to be had.
        head, encoder: the server's.
        hello: what the server tells newcomers now.
        counts: where to count.
        post: does something in the event loop, in order; may be called from any thread.
        worker: poses and solves beside the event loop.
    """

    def __init__(
        self,
        factory: SessionFactory | None,
        head: Head,
        encoder: Encoder,
        hello: Callable[[], messages.Hello],
        counts: ServerCounts,
        post: Callable[[Callable[[], None]], None],
        worker: Executor | None = None,
    ) -> None:
        self.factory = factory
        self._head, self._encoder, self._hello = head, encoder, hello
        self._counts, self._post, self._worker = counts, post, worker
        self._clients: dict[ClientSession, Connection] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def open(self, client: Connection, wish: messages.Open) -> messages.Error | None:
        """Give a client a session of its own; it is told, or the error is for it."""
        if self.factory is None:
            return messages.Error("capacity", "this server has no sessions to give away", False)
        other = self.factory.heads.get(wish.head)
        if (
            other is not None
            and client.subscription.set
            and client.subscription.set not in other.hello.channels
        ):
            name = client.subscription.set
            sentence = f"the head {wish.head!r} has no {name!r}: subscribe to another set first"
            return messages.Error("open", sentence, False)
        self.close(client, "opened again")
        if client.peer.sessions >= client.peer.most_sessions:
            return messages.Error("capacity", "this address has its share of the sessions", False)
        began = time.time()
        try:
            opened = self.factory.open(wish, self)
        except ValueError as error:
            return messages.Error("open", str(error), False)
        except RuntimeError as error:  # stream.run.scheduler.CapacityError
            return messages.Error("capacity", str(error), False)
        encoder, head = self._encoder, opened.head
        if head is not None:
            encoder = Encoder(head.head, head.hello, self._worker)
        elif wish.shape:
            encoder = Encoder(self._head, replace(self._hello(), shape=wish.shape), self._worker)
        self._clients[opened] = client
        client.peer.sessions += 1
        self._counts.sessions = len(self)
        session = opened.session
        guidance = {"audio": session.audio_guidance, "style": session.style_guidance}
        told = messages.Opened(
            0, began, session.style_name, opened.lookahead, opened.hop, opened.capacity, guidance
        )
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

    def close(self, client: Connection, reason: str) -> None:
        """End a client's session, if it has one; it is told, and sees the server's again."""
        opened = client.session
        if opened is None:
            return
        opened.close()
        if self._clients.pop(opened, None) is not None:
            client.peer.sessions -= 1
        self._counts.sessions = len(self)
        client.switch(None, self._encoder)
        client.text(messages.Closed(reason, opened.frames))
        # What holds for the server's own stream held all along; the client saw another's.
        hello = self._hello()
        client.text(messages.Style(hello.style))
        if hello.guidance is not None:
            client.text(messages.Guidance(hello.guidance["audio"], hello.guidance["style"]))
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
