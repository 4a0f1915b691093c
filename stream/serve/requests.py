"""What clients may ask of a server: who may push sound, styles, strengths, silence, sessions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream.serve.broadcast import Broadcast
from stream.serve.client_sessions import ClientSessions
from stream.serve.connection import Connection
from stream.serve.frame_encoder import Encoder
from stream.serve.limits import Limits
from stream.wire import messages

FLOOR_SECONDS = 2.0  # without a push, another client may push audio


class StreamHooks(Protocol):
    """What the server's owner does for clients; None where there is nothing to be had."""

    on_audio: Callable[[NDArray[np.float32]], bool] | None
    on_interrupt: Callable[[], None] | None
    on_style: Callable[[str], None] | None
    on_guidance: Callable[[float | None, float | None], None] | None
    sends_early: bool


class ClientRequests:
    """Grants or refuses, and says why; the `Host` of connections, in the server's event loop.

    Args:
        hooks: of the server's own stream.
        sessions: of the clients.
        broadcast: has the hello.
        encoder: of the server's frames.
        limits: what it takes from a client.
    """

    def __init__(
        self,
        hooks: StreamHooks,
        sessions: ClientSessions,
        broadcast: Broadcast,
        encoder: Encoder,
        limits: Limits,
    ) -> None:
        self.encoder, self.limits = encoder, limits
        self._hooks, self._sessions, self._broadcast = hooks, sessions, broadcast
        self._floor: Connection | None = None  # whose pushed audio is taken

    def greeting(self) -> messages.Hello:
        """The hello, with what clients may ask for by now."""
        can = {
            "style": self._hooks.on_style,
            "guidance": self._hooks.on_guidance,
            "interrupt": self._hooks.on_interrupt,
            "audio": self._hooks.on_audio,
            "open": self._sessions.factory,
            "ahead": self._hooks.sends_early or None,
        }
        accepts = [name for name, action in can.items() if action is not None]
        hello, factory = self._broadcast.hello, self._sessions.factory
        if factory is not None and factory.heads:
            hello = replace(hello, heads=[*factory.heads])
        return replace(hello, accepts=accepts) if accepts else hello

    def left(self, client: Connection) -> None:
        """A client has gone: its session ends, and others may push."""
        self.close_session(client, "")
        if self._floor is client:
            self._floor = None

    def take_audio(self, client: Connection, samples: NDArray[np.float32]) -> messages.Error | None:
        """Pass pushed audio on; the first client that pushes has the floor until it pauses."""
        on_audio, holder = self._hooks.on_audio, self._floor
        if on_audio is None:
            return messages.Error("audio_not_accepted", "this session hears another source", False)
        held = holder is not None and time.monotonic() - holder.last_push < FLOOR_SECONDS
        if held and holder is not client:
            return messages.Error("audio_busy", "another client is pushing audio", False)
        self._floor = client
        if not on_audio(samples):
            return messages.Error(
                "audio_full", "too much audio waits: push this again later", False
            )
        return None

    def open_session(self, client: Connection, wish: messages.Open) -> messages.Error | None:
        """Give a client a session of its own."""
        return self._sessions.open(client, wish)

    def close_session(self, client: Connection, reason: str) -> None:
        """End a client's own session, tell it, and show it the server's again."""
        if client.session is not None:
            self._sessions.close(client, reason)
            self.catch_up(client)

    def catch_up(self, client: Connection) -> None:
        """Give a client what was made ahead before it wished for that."""
        if client.wish.ahead and self._hooks.sends_early:
            self._broadcast.catch_up(client)

    def change_style(self, name: str) -> messages.Error | None:
        """Pass a client's wish for a style on."""
        styles = ", ".join(self._broadcast.hello.styles)
        refused = messages.Error(
            "no_such_style", f"choose one of {styles}, or a mix of them", False
        )
        if self._hooks.on_style is None:
            return refused
        try:
            self._hooks.on_style(name)
        except ValueError:
            return refused
        return None

    def change_guidance(self, audio: float | None, style: float | None) -> messages.Error | None:
        """Pass a client's wish for strengths on."""
        if self._hooks.on_guidance is None:
            return messages.Error("guidance", "the strengths are fixed here", False)
        try:
            self._hooks.on_guidance(audio, style)
        except ValueError as error:
            return messages.Error("guidance", str(error), False)
        return None

    def interrupt(self) -> None:
        """Pass a client's wish for silence on."""
        if self._hooks.on_interrupt is not None:
            self._hooks.on_interrupt()
