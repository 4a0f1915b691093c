"""The control messages of the wire as values: what client and server say as JSON text.

`docs/protocol.md` is the page, `stream.wire.codec` the text itself.  `request` of what clients send
is a number of their choice, which comes back in the error that answers it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self, TypeAlias, get_args

PROTOCOL = 1
FLAME, ARKIT52, VERTICES = "flame", "arkit52", "vertices"

ACCEPTS = ("style", "guidance", "life", "interrupt", "audio", "open", "ahead")
"""What a client may ask of a server that says so in its hello."""


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
    gaze: float | None = None  # how much it looks around now, see `Life`
    still: bool | None = None  # whether it is still now
    sound: bool | None = None  # its sound is worth playing: no microphone in the room
    presets: list[str] | None = None  # how soon a session of one's own may speak, by name
    preset: str | None = None  # the one that sessions have which name none


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


OPEN_CONDITIONS = ("audio_guidance", "style_guidance", "gaze", "still")
"""What `Open` may ask for of them, by the names of `stream.core.conditions.ConditionChange`."""


class ConditionMessage:
    """Client: speak like this from now on; server: it is so.

    One class for each thing that speech is conditioned on; what is here holds for one whose fields
    are called as those of `stream.core.conditions.ConditionChange`.
    """

    TYPE: ClassVar[str]
    REFUSED: ClassVar[str]  # the code of the error where it cannot be

    def asked(self) -> dict[str, Any]:
        """What it asks for, by the names of `ConditionChange`."""
        names = [each.name for each in fields(self) if each.name != "request"]  # type: ignore[arg-type]
        return {name: getattr(self, name) for name in names}

    @classmethod
    def of(cls, now: Mapping[str, Any]) -> Self:
        """What the server says, where these are the conditions."""
        known = [each.name for each in fields(cls) if each.name in now]  # type: ignore[arg-type]
        return cls(**{name: now[name] for name in known})

    def in_hello(self) -> dict[str, Any]:
        """The fields of later hellos that say the same."""
        return {}

    @classmethod
    def of_hello(cls, hello: Hello) -> Self | None:
        """What a hello says of it; None: nothing."""
        return None


@dataclass(frozen=True)
class Style(ConditionMessage):
    """Client: speak in another of the hello's `styles`; server: the style changed."""

    TYPE: ClassVar[str] = "style"
    REFUSED: ClassVar[str] = "no_such_style"
    name: str = ""
    request: int | None = None

    def asked(self) -> dict[str, Any]:
        return {"style": self.name}

    @classmethod
    def of(cls, now: Mapping[str, Any]) -> Self:
        return cls(now["style"])

    def in_hello(self) -> dict[str, Any]:
        return {"style": self.name}

    @classmethod
    def of_hello(cls, hello: Hello) -> Self | None:
        return cls(hello.style)


@dataclass(frozen=True)
class Guidance(ConditionMessage):
    """Client: follow the voice and the style that much; server: it changed.  1 is as trained."""

    TYPE: ClassVar[str] = "guidance"
    REFUSED: ClassVar[str] = "guidance"
    audio_guidance: float | None = None  # None leaves it
    style_guidance: float | None = None
    request: int | None = None

    def in_hello(self) -> dict[str, Any]:
        return {"guidance": {"audio": self.audio_guidance, "style": self.style_guidance}}

    @classmethod
    def of_hello(cls, hello: Hello) -> Self | None:
        told = hello.guidance
        return None if told is None else cls(told["audio"], told["style"])


@dataclass(frozen=True)
class Life(ConditionMessage):
    """Client: look around that much, and be still or not; server: it changed.

    `gaze` goes from 0, eyes that stay on who watches, to 1, those of people; with `still` head,
    eyes and brows rest, while lips speak and lids blink.
    """

    TYPE: ClassVar[str] = "life"
    REFUSED: ClassVar[str] = "life"
    gaze: float | None = None  # None leaves it
    still: bool | None = None
    request: int | None = None

    def in_hello(self) -> dict[str, Any]:
        return {"gaze": self.gaze, "still": self.still}

    @classmethod
    def of_hello(cls, hello: Hello) -> Self | None:
        return None if hello.gaze is None else cls(hello.gaze, hello.still)


@dataclass(frozen=True)
class Open:
    """Client: give me a session of my own: my audio, my style, my seed.

    `pace` "fast" makes frames as soon as there is audio, "live" at the pace of time.  Without
    `alive`, silence is not animated for long.
    """

    TYPE: ClassVar[str] = "open"
    style: str = ""  # "": the server's
    seed: int = 0
    head: str = ""  # "": the server's
    shape: list[float] = field(default_factory=list)  # identity; empty: the server's
    pace: str = "fast"
    alive: bool = True
    audio_guidance: float | None = None
    style_guidance: float | None = None
    preset: str | None = None  # of the hello's; None: the server's settings
    gaze: float | None = None
    still: bool | None = None
    protocol: int = PROTOCOL
    keep: bool | None = None  # give me a ticket, and tell where my sound is placed
    request: int | None = None

    @property
    def asked(self) -> dict[str, Any]:
        """The conditions that it asks for besides style and shape, by their names."""
        asked = {name: getattr(self, name) for name in OPEN_CONDITIONS}
        return {name: value for name, value in asked.items() if value is not None}


@dataclass(frozen=True)
class Resume:
    """Client: go on with the session of this ticket, which another server had.

    `sample` and `values` are of the last frame that I have, in the set `set`; without any, -1. So
    many messages of pushed sound follow as `pieces` says, each with its own `sample`: what I pushed
    since two seconds before that frame. `opened` answers with the sample that comes next.
    """

    TYPE: ClassVar[str] = "resume"
    ticket: str
    sample: int = -1
    set: str = ""
    values: list[float] = field(default_factory=list)
    pieces: int = 0
    protocol: int = PROTOCOL
    request: int | None = None


@dataclass(frozen=True)
class Placed:
    """Server: the pushed sound of this number lies at `sample` of your session."""

    TYPE: ClassVar[str] = "placed"
    sequence: int = 0
    sample: int = 0


@dataclass(frozen=True)
class TicketRenewed:
    """Server: your session is another by now; this ticket is of it as it is."""

    TYPE: ClassVar[str] = "ticket"
    ticket: str = ""


@dataclass(frozen=True)
class Opened:
    """Server: your session begins with this sample; from now on only its frames come.

    On another head than the hello's it says which, and what the hello says of its own.
    """

    TYPE: ClassVar[str] = "opened"
    sample: int = 0
    time: float = 0.0  # Unix seconds of `sample`
    style: str = ""
    lookahead: int = 0  # samples of audio that must follow a frame before it is made
    hop: int = 0  # samples between two bursts of frames
    ahead: int = 0  # samples that may be pushed ahead of time
    guidance: dict[str, float] | None = None
    head: str | None = None
    channels: dict[str, list[str]] | None = None
    vertices: int | None = None
    faces: int | None = None
    ticket: str | None = None  # brings the session to another server, see `Resume`


@dataclass(frozen=True)
class Flush:
    """Client: my utterance is over: make its last frames now, without waiting for silence."""

    TYPE: ClassVar[str] = "flush"
    request: int | None = None


@dataclass(frozen=True)
class Close:
    """Client: end my own session; show me the server's again."""

    TYPE: ClassVar[str] = "close"
    request: int | None = None


@dataclass(frozen=True)
class Closed:
    """Server: your own session is over, after so many frames."""

    TYPE: ClassVar[str] = "closed"
    reason: str = ""
    frames: int = 0


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


Text: TypeAlias = (
    Hello
    | Subscribe
    | AudioFormat
    | Interrupt
    | Interrupted
    | Style
    | Guidance
    | Life
    | Open
    | Resume
    | Placed
    | TicketRenewed
    | Opened
    | Flush
    | Close
    | Closed
    | Ping
    | Pong
    | ClockInfo
    | Source
    | Level
    | TextFrame
    | Error
    | End
)

Condition: TypeAlias = Style | Guidance | Life
CONDITIONS = get_args(Condition)
"""The messages that say how to speak."""
