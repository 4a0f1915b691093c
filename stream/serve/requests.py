"""What clients may ask of a server: who may push sound, styles, strengths, silence, sessions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stream.serve.broadcast import Broadcast
from stream.serve.client_sessions import ClientSessions
from stream.serve.connection import Connection
from stream.serve.frame_encoder import Encoder
from stream.serve.limits import Limits
from stream.wire import messages

FLOOR_SECONDS = 2.0  # without a push, another client may push audio


@dataclass
class StreamControls:
    """What clients may do to the server's own stream; None where that is not to be had.

    Attributes:
        push: takes (n,) float32 at 16 kHz, returns False if it does not fit.
        interrupt: cuts the speech.
        set_style: takes a name or a mix; raises ValueError for one that is not there.
        set_guidance: takes the strengths of voice and style, None leaves one; raises ValueError
            for a number that cannot be.
        sends_early: whether frames come before their time, to those that subscribe to that.
    """

    push: Callable[[NDArray[np.float32]], bool] | None = None
    interrupt: Callable[[], None] | None = None
    set_style: Callable[[str], None] | None = None
    set_guidance: Callable[[float | None, float | None], None] | None = None
    sends_early: bool = False


class ClientRequests:
    """Grants or refuses, and says why; the `Host` of connections, in the server's event loop.

    Args:
        controls: of the server's own stream.
        sessions: of the clients.
        broadcast: has the hello.
        encoder: of the server's frames.
        limits: what it takes from a client.
    """

    def __init__(
        self,
        controls: StreamControls,
        sessions: ClientSessions,
        broadcast: Broadcast,
        encoder: Encoder,
        limits: Limits,
    ) -> None:
        self.encoder, self.limits = encoder, limits
        self._controls, self._sessions, self._broadcast = controls, sessions, broadcast
        self._floor: Connection | None = None  # whose pushed audio is taken

    def greeting(self) -> messages.Hello:
        """The hello, with what clients may ask for by now."""
        can = {
            "style": self._controls.set_style,
            "guidance": self._controls.set_guidance,
            "interrupt": self._controls.interrupt,
            "audio": self._controls.push,
            "open": self._sessions.factory,
            "ahead": self._controls.sends_early or None,
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
        push, holder = self._controls.push, self._floor
        if push is None:
            return messages.Error("audio_not_accepted", "this session hears another source", False)
        held = holder is not None and time.monotonic() - holder.last_push < FLOOR_SECONDS
        if held and holder is not client:
            return messages.Error("audio_busy", "another client is pushing audio", False)
        self._floor = client
        if not push(samples):
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
        if client.subscription.ahead and self._controls.sends_early:
            self._broadcast.catch_up(client)

    def change_style(self, name: str) -> messages.Error | None:
        """Pass a client's wish for a style on."""
        styles = ", ".join(self._broadcast.hello.styles)
        refused = messages.Error(
            "no_such_style", f"choose one of {styles}, or a mix of them", False
        )
        if self._controls.set_style is None:
            return refused
        try:
            self._controls.set_style(name)
        except ValueError:
            return refused
        return None

    def change_guidance(self, audio: float | None, style: float | None) -> messages.Error | None:
        """Pass a client's wish for strengths on."""
        if self._controls.set_guidance is None:
            return messages.Error("guidance", "the strengths are fixed here", False)
        try:
            self._controls.set_guidance(audio, style)
        except ValueError as error:
            return messages.Error("guidance", str(error), False)
        return None

    def interrupt(self) -> None:
        """Pass a client's wish for silence on."""
        if self._controls.interrupt is not None:
            self._controls.interrupt()
