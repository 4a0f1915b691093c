"""What a client can meet: errors, frames, sound; and the bytes they are read from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.frames import SAMPLE_RATE
from stream.sources.pcm import from_int16
from stream.wire import codec, messages, session_messages
from viewer.client.errors import ClientError
from viewer.client.link import Received


class RequestError(ClientError):
    """The server did not do what it was asked; `code` is for programs, see docs/protocol.md.

    `retry_after` seconds from then there may be room, where the server knows.
    """

    def __init__(self, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code, self.retry_after = code, retry_after


@dataclass(frozen=True, eq=False)
class ClientFrame:
    """One frame of motion as it arrived.

    Attributes:
        set: the channel set, `flame`, `arkit52` or `vertices`.
        sequence: counts the frames of the session.
        sample: index of its first sample of sound, at 16 kHz.
        values: (n,) in the order of `names`; vertices are (V, 3) metres.
        names: of the channels; none for vertices.
    """

    set: str
    sequence: int
    sample: int
    values: NDArray[np.float32]
    names: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """When it is shown, on the clock of the sound."""
        return self.sample / SAMPLE_RATE

    def __getitem__(self, name: str) -> float:
        """A channel's value by its name; raises KeyError."""
        try:
            return float(self.values[self.names.index(name)])
        except ValueError:
            raise KeyError(name) from None

    @cached_property
    def by_name(self) -> dict[str, float]:
        """All channels."""
        return dict(zip(self.names, map(float, self.values), strict=True)) if self.names else {}


@dataclass(frozen=True, eq=False)
class ClientSound:
    """Sound as it came back: (n,) mono samples in -1..1 at 16 kHz, the first at index `sample`."""

    sample: int
    samples: NDArray[np.float32]


ClientEvent: TypeAlias = ClientFrame | ClientSound | codec.Text
"""What `events` gives: frames, sound, and the server's messages (`stream.wire.messages`)."""

_SETS = {int(kind): name for name, kind in codec.KIND_OF_SET.items()}


@dataclass
class Reading:
    """What arrives, made into events; no sockets here.

    Attributes:
        hello: of the server.
        faces: (F, 3) triangles, once they were sent with `vertices`.
    """

    hello: messages.Hello
    _now: messages.Hello | None = None  # of the head that moves now, in a session on another one
    _corners: dict[int, NDArray[np.uint32]] = field(default_factory=dict)

    @property
    def faces(self) -> NDArray[np.uint32] | None:
        parts = [self._corners[at] for at in sorted(self._corners)]
        corners = np.concatenate(parts) if parts else np.zeros(0, np.uint32)
        whole = len(corners) == 3 * (self._now or self.hello).faces
        return corners.reshape(-1, 3) if whole else None

    def event(self, message: Received) -> ClientEvent | None:
        """The event in a message; None for what is to be skipped."""
        if not isinstance(message, codec.Message):
            if isinstance(message, session_messages.Opened | session_messages.Closed):
                self._turn_to(message)
            return None if isinstance(message, messages.Unknown) else message
        if message.kind == codec.Kind.PCM:
            int16 = message.flags & codec.Flag.INT16
            samples = from_int16(message.payload) if int16 else np.array(message.payload)
            return ClientSound(message.sample, samples)
        if message.kind == codec.Kind.FACES:
            self._corners[message.sample] = np.array(message.payload, np.uint32)
            return None
        name = _SETS.get(message.kind)
        if name is None:
            return None
        values = np.array(message.payload, np.float32)
        if name == messages.VERTICES:
            values = values.reshape(-1, 3)
        names = tuple((self._now or self.hello).channels.get(name, ()))
        return ClientFrame(name, message.sequence, message.sample, values, names)

    def _turn_to(self, message: session_messages.Opened | session_messages.Closed) -> None:
        """A session begins or ends: whose channels and faces hold from here on."""
        before, self._now = self._now, None
        if isinstance(message, session_messages.Opened) and message.channels is not None:
            self._now = replace(
                self.hello,
                head=message.head or self.hello.head,
                channels=message.channels,
                vertices=message.vertices or 0,
                faces=message.faces or 0,
            )
        if (before or self.hello).head != (self._now or self.hello).head:
            self._corners.clear()
