"""One client of the server: what it sees, and what waits for it.

Knows no websocket library: it is handed something that sends, iterates and can be held.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stream.frames import Frame
from stream.serve.client.host import Host, Socket
from stream.serve.client.incoming import Incoming
from stream.serve.client.outbox import Outbox
from stream.serve.door.auth import Role
from stream.serve.door.peers import Peer
from stream.serve.frame_encoder import Data, Encoder, Sound
from stream.wire import codec, messages

if TYPE_CHECKING:
    from stream.run.push.session import ClientSession

SENT_AT_ONCE = 8  # messages, before the event loop may do something else


class Connection:
    """One client.  Everything here runs in the server's event loop.

    Attributes:
        subscription: what it subscribed to; FLAME parameters until it says otherwise.
        session: its own, if it has one; then that is what it sees, hears and steers.
        encoder: of its frames.
        outbox: what waits for it.
        host: the server.
        peer, role: where it comes from, and what it may do.
        greeted: whether it has its hello; until then nothing else is for it.
    """

    def __init__(self, socket: Socket, host: Host, peer: Peer, role: Role = Role.VIEWER) -> None:
        self._socket, self.host = socket, host
        self.peer, self.role = peer, role
        self.subscription = messages.Subscribe()
        self.session: ClientSession | None = None
        self.encoder = host.encoder
        self.outbox = Outbox()
        self.greeted = False
        self._ended = False
        self._sending = False
        self._wake = asyncio.Event()
        self._incoming = Incoming(self, socket)
        self._audio_sequence = 0

    # --- what the server hands over, without waiting -------------------------------------------
    def text(self, message: codec.Text) -> None:
        """Queue a control message; it overtakes audio and frames."""
        self.tell(codec.serialise_text(message))

    def tell(self, text: str) -> None:
        """Queue a control message that was serialised for many."""
        self.outbox.texts.put(text)
        self._wake.set()

    def sound(self, sound: Sound) -> None:
        """Queue audio, if it is asked for."""
        if self.subscription.audio:
            self.outbox.audio.put(sound)
            self._wake.set()

    def motion(self, frame: Frame) -> int:
        """Queue a frame, if motion is asked for; returns how many older ones had to go."""
        wanted = self.subscription
        if not wanted.set or not self.encoder.sends(frame, wanted.set, wanted.json):
            return 0
        gone = self.outbox.frames.put(frame)
        self._wake.set()
        return gone

    def session_pcm(self, start: int, samples: NDArray[np.float32]) -> None:
        """Queue audio of its own session, or ahead of time, if it is asked for."""
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
        self.begin()

    def begin(self) -> None:
        """Forget what waits: from here on other frames come."""
        self.outbox.begin(early=self.session is not None or bool(self.subscription.ahead))
        self._audio_sequence = 0

    def subscribe(self, wanted: messages.Subscribe) -> None:
        """From now on send this, as far as nothing has to be asked of the server for it."""
        before, self.subscription = self.subscription, wanted
        draws = wanted.set == messages.VERTICES
        if draws and before.set != messages.VERTICES and not self.outbox.faces:
            self.outbox.show(self.encoder.faces)
        self._wake.set()

    def cut(self, sample: int, told: str | None = None) -> None:
        """Frames and audio from `sample` on were taken back: do not send what waits of them."""
        self.outbox.cut(sample)
        self.tell(told or codec.serialise_text(messages.Interrupted(sample)))

    def close_with(self, message: codec.Text, at_once: bool = False) -> None:
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
                        self.host.sent(data)
                finally:
                    self._sending = False
                sent += 1
                if sent % SENT_AT_ONCE == 0:
                    await asyncio.sleep(0)

    async def _next(self) -> Data | None:
        """The next message; None: what waited is not asked for any more."""
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
        """Obey what the client sends until it leaves; raises as `Incoming.read`."""
        await self._incoming.read()
