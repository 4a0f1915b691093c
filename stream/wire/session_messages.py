"""The messages about a session: how it speaks, and one of a client's own from opening to closing.

For each thing that speech is conditioned on there is one `ConditionMessage`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self, TypeAlias, get_args

from stream.wire.messages import PROTOCOL, Hello

OPEN_CONDITIONS = ("audio_guidance", "style_guidance", "gaze", "still")
"""What `Open` may ask for of them, by the names of `stream.core.conditions.ConditionChange`."""


class ConditionMessage:
    """Client: speak like this from now on; server: it is so.

    What is here holds for one whose fields are called as those of
    `stream.core.conditions.ConditionChange`.
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


Condition: TypeAlias = Style | Guidance | Life
CONDITIONS = get_args(Condition)
"""The messages that say how to speak."""


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
