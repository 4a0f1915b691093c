"""The control messages of the wire as values: what client and server say as JSON text.

Those about sessions are in `stream.wire.session_messages`.  `docs/protocol.md` is the page,
`stream.wire.codec` the text itself.  `request` of what clients send is a number of their choice,
which comes back in the error that answers it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

PROTOCOL = 1
FLAME, ARKIT52, VERTICES = "flame", "arkit52", "vertices"

ACCEPTS = ("style", "guidance", "life", "interrupt", "audio", "open", "ahead")
"""What a client may ask of a server that says so in its hello."""

SOURCES = ("microphone", "demo", "file", "stream", "push", "none")
"""What may drive a server's face: its own microphone, the demo speech, a file, its standard input,
speech that clients push, or nothing but in sessions of their own."""


@dataclass(frozen=True)
class Hello:
    """First message of a server: all a client needs to read the frames that follow."""

    TYPE: ClassVar[str] = "hello"
    head: str
    channels: dict[str, list[str]]  # set -> channel names in payload order; vertices: empty
    style: str = ""
    styles: list[str] = field(default_factory=list)
    shape: list[float] = field(default_factory=list)
    vertices: int = 0
    faces: int = 0
    fps: int = 25
    sample_rate: int = 16000
    synthetic: bool = True
    start_time: float | None = None  # Unix seconds at which sample 0 was captured, once known
    protocol: int = PROTOCOL
    accepts: list[str] | None = None  # what this server lets clients ask for, see `ACCEPTS`
    guidance: dict[str, float] | None = None  # strengths now: "audio", "style"
    heads: list[str] | None = None  # other heads that a session of one's own may move
    gaze: float | None = None  # how much it looks around now, see `session_messages.Life`
    still: bool | None = None  # whether it is still now
    sound: bool | None = None  # its sound is worth playing: no microphone in the room
    presets: list[str] | None = None  # how soon a session of one's own may speak, by name
    preset: str | None = None  # the one that sessions have which name none
    source: str | None = None  # what drives its face, see `SOURCES`


@dataclass(frozen=True)
class Subscribe:
    """Client: what to send me.  A second one replaces the first; an empty set pauses motion."""

    TYPE: ClassVar[str] = "subscribe"
    set: str = FLAME
    audio: bool = False
    json: bool = False  # motion as readable text, for debugging
    protocol: int = PROTOCOL
    ahead: bool | None = None  # frames as they are made, where speech is pushed ahead of time
    request: int | None = None


@dataclass(frozen=True)
class AudioFormat:
    """Client: the PCM I shall push: 8000 to 192000 Hz, mono, or interleaved channels, which are
    mixed.
    """

    TYPE: ClassVar[str] = "audio_format"
    sample_rate: int = 16000
    channels: int | None = None  # absent: 1
    request: int | None = None


@dataclass(frozen=True)
class Interrupt:
    """Client: forget the audio that has not been animated yet.

    `at` is the sample that a client with a session of its own is playing now: everything from
    there on is taken back.
    """

    TYPE: ClassVar[str] = "interrupt"
    at: int | None = None
    request: int | None = None


@dataclass(frozen=True)
class Interrupted:
    """Server: speech was cut; from `sample` on there is silence until new audio comes."""

    TYPE: ClassVar[str] = "interrupted"
    sample: int = 0


@dataclass(frozen=True)
class Ping:
    """Client: answer me; `id` comes back."""

    TYPE: ClassVar[str] = "ping"
    id: int = 0


@dataclass(frozen=True)
class Pong:
    """Server: `time` is the server's Unix time, to estimate the offset of two clocks."""

    TYPE: ClassVar[str] = "pong"
    id: int = 0
    time: float = 0.0


@dataclass(frozen=True)
class ClockInfo:
    """Server: sample `sample` was captured at Unix time `time`."""

    TYPE: ClassVar[str] = "clock"
    sample: int = 0
    time: float = 0.0


@dataclass(frozen=True)
class Source:
    """Server: what it hears is "lost", and there is silence until it is "ok" again."""

    TYPE: ClassVar[str] = "source"
    state: str = "ok"
    message: str = ""


@dataclass(frozen=True)
class Level:
    """Server: the level of the speech that it hears, in decibels of full scale, and how that is.

    `state` is "ok", "low", "clips", or "silent" before there was enough speech to tell.
    """

    TYPE: ClassVar[str] = "level"
    decibels: float | None = None
    state: str = "silent"


@dataclass(frozen=True)
class TextFrame:
    """Server: one frame of motion in JSON text mode, `values` by channel name."""

    TYPE: ClassVar[str] = "frame"
    set: str
    sequence: int
    sample: int
    values: dict[str, float]


@dataclass(frozen=True)
class Error:
    """Server: what was wrong, as a code and as a sentence; if `fatal`, the socket closes next.

    `request` is the number that the client gave the message that this answers, `sequence` that of
    the pushed sound that it answers; `retry_after` seconds from now there may be room.
    """

    TYPE: ClassVar[str] = "error"
    code: str
    message: str
    fatal: bool = True
    request: int | None = None
    sequence: int | None = None
    retry_after: float | None = None


@dataclass(frozen=True)
class End:
    """Server: the last frame has been sent."""

    TYPE: ClassVar[str] = "end"
    frames: int = 0


@dataclass(frozen=True)
class Unknown:
    """A text message of a type unknown here, to be skipped."""

    type: str
