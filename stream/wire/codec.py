"""The wire format as pure bytes and text: no sockets, no threads, no clock.

`docs/protocol.md` is the page, `tests/data/wire/` holds the golden bytes.  Everything a peer
sends is judged here: whatever is malformed raises `WireError` (one line, with a `code` for
machines) and nothing else; whatever is merely unknown is passed on to be skipped.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass, fields
from enum import IntEnum, IntFlag
from typing import Any, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from head.errors import PosetalkError
from stream.wire import messages, session_messages
from stream.wire.messages import ARKIT52, FLAME, PROTOCOL, VERTICES, Unknown

MAGIC = b"PTK1"
# magic, version, type, flags, sequence, sample, count; 24 bytes, so that payloads are aligned.
HEADER = struct.Struct("<4sBBHIqI")
MAX_MESSAGE_BYTES = 1 << 20
MOST_ITEMS = 4096
"""Of a list in a control message."""

Payload: TypeAlias = NDArray[Any]


class WireError(PosetalkError, ValueError):
    """What a peer sent is not the protocol; `code` is for machines, the text for people.

    `kind` and `request` are the type of the text message that it was found in, and the number that
    its sender gave it, where they are known.
    """

    def __init__(
        self, code: str, message: str, *, kind: str = "", request: int | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.kind, self.request = code, kind, request


class VersionError(WireError):
    """The peer speaks another protocol version; nothing else of its message was looked at."""

    def __init__(self, theirs: object) -> None:
        super().__init__(
            "version",
            f"the peer speaks protocol {repr(theirs)[:12]}, this side {PROTOCOL}: update the older",
        )


class Kind(IntEnum):
    """Types of binary messages; a receiver skips the ones it does not know."""

    FLAME = 1  # float32: expression 50, global rotation 3, jaw 3 (axis-angle, radians)
    ARKIT52 = 2  # float32: 52 weights, head rotation 3
    VERTICES = 3  # float32: V * 3, metres
    FACES = 4  # uint32: a run of triangle corners; `sample` is the index of the first
    PCM = 16  # float32 mono, or int16 with Flag.INT16


class Flag(IntFlag):
    """Bits of the header's `flags`; unknown bits are ignored."""

    NONE = 0
    INT16 = 1


KINDS = frozenset(int(kind) for kind in Kind)
"""Types that are known here."""
KIND_OF_SET = {FLAME: Kind.FLAME, ARKIT52: Kind.ARKIT52, VERTICES: Kind.VERTICES}


# --- binary messages ---------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class Message:
    """One binary message; `kind` is a `Kind`, or a plain int for a type unknown here.

    `sample` is the absolute index (16 kHz) of the first sample the payload belongs to.
    """

    kind: int
    sequence: int
    sample: int
    payload: Payload
    flags: int = 0


def element_type(kind: int, flags: int) -> np.dtype[Any]:
    """Type of one payload element of a message type (4 bytes, or 2 with `Flag.INT16`)."""
    if kind == Kind.PCM and flags & Flag.INT16:
        return np.dtype("<i2")
    return np.dtype("<u4") if kind == Kind.FACES else np.dtype("<f4")


def serialise(message: Message) -> bytes:
    """The bytes of one message; the payload is flattened and cast to its element type."""
    payload = np.ascontiguousarray(
        message.payload, dtype=element_type(message.kind, message.flags)
    ).ravel()
    header = HEADER.pack(
        MAGIC,
        PROTOCOL,
        message.kind,
        message.flags,
        message.sequence & 0xFFFFFFFF,
        message.sample,
        payload.size,
    )
    return header + payload.tobytes()


def parse(data: bytes) -> Message:
    """The message in `data`; of an unknown type, the payload as raw bytes (uint8).

    Raises `VersionError` before anything else is judged, `WireError` for all other faults.
    """
    if len(data) < HEADER.size:
        raise WireError("truncated", f"{len(data)} bytes are shorter than the 24-byte header")
    magic, version, kind, flags, sequence, sample, count = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise WireError("magic", "the message does not start with PTK1")
    if version != PROTOCOL:
        raise VersionError(version)
    body = memoryview(data)[HEADER.size :]
    if kind not in KINDS:
        return Message(kind, sequence, sample, np.frombuffer(body, np.uint8), flags)
    dtype = element_type(kind, flags)
    if count * dtype.itemsize != len(body):
        raise WireError(
            "length", f"the header announces {count} elements, {len(body)} bytes follow"
        )
    payload = np.frombuffer(body, dtype)
    if dtype.kind == "f" and kind != Kind.PCM and not np.isfinite(payload).all():
        raise WireError("not_finite", "the payload holds numbers that are not finite")
    return Message(Kind(kind), sequence, sample, payload, flags)


# --- text messages -----------------------------------------------------------------------------
Text: TypeAlias = (
    messages.Hello
    | messages.Subscribe
    | messages.AudioFormat
    | messages.Interrupt
    | messages.Interrupted
    | session_messages.Condition
    | session_messages.Open
    | session_messages.Resume
    | session_messages.Placed
    | session_messages.TicketRenewed
    | session_messages.Opened
    | session_messages.Flush
    | session_messages.Close
    | session_messages.Closed
    | messages.Ping
    | messages.Pong
    | messages.ClockInfo
    | messages.Source
    | messages.Level
    | messages.TextFrame
    | messages.Error
    | messages.End
)
"""Every control message."""
_TEXTS: dict[str, type[Any]] = {cls.TYPE: cls for cls in get_args(Text)}
_LEFT_OUT_WHEN_NONE = frozenset(
    {
        "accepts",
        "guidance",
        "audio_guidance",
        "style_guidance",
        "gaze",
        "still",
        "at",
        "ahead",
        "heads",
        "sound",
        "presets",
        "preset",
        "source",
        "head",
        "channels",
        "vertices",
        "faces",
        "request",
        "sequence",
        "retry_after",
        "keep",
        "ticket",
    }
)
"""Fields that came after protocol 1 was first written down: absent on the wire unless set."""


def serialise_text(message: Text) -> str:
    """The JSON text of one control message (numbers finite, ASCII only)."""
    values = {"type": message.TYPE} | {
        name: value
        for name, value in asdict(message).items()
        if value is not None or name not in _LEFT_OUT_WHEN_NONE
    }
    return json.dumps(values, separators=(",", ":"), allow_nan=False)


def parse_text(text: str) -> Text | Unknown:
    """The control message in `text`; unknown types give `Unknown`, unknown keys are ignored.

    Raises `VersionError` first where a type known here names another `protocol`, else `WireError`.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise WireError("json", "the text message is not JSON") from None
    if not isinstance(values, dict) or not isinstance(values.get("type"), str):
        raise WireError("json", "a text message is a JSON object with a string `type`")
    cls = _TEXTS.get(values["type"])
    if cls is None:
        return Unknown(values["type"])
    if values.get("protocol", PROTOCOL) != PROTOCOL:
        raise VersionError(values["protocol"])
    names = {f.name: str(f.type) for f in fields(cls)}
    known = {name: values[name] for name in names if name in values}
    for name, value in list(known.items()):
        if not _fits(value, names[name]):
            raise WireError(
                "field",
                f"`{name}` of `{cls.TYPE}` must be {_in_words(names[name])}",
                kind=cls.TYPE,
                request=request_of(values),
            )
        if isinstance(value, float) and "int" in names[name]:
            known[name] = int(value)  # 24000.0, as programs write that have one kind of number
    try:
        message: Text = cls(**known)
    except TypeError:
        raise WireError(
            "field", f"`{cls.TYPE}` lacks a field", kind=cls.TYPE, request=request_of(values)
        ) from None
    return message


def _in_words(annotation: str) -> str:
    """What a field takes, for people who write clients in any language."""
    kind = annotation.removesuffix(" | None")
    if kind.startswith(("list[", "tuple[")):
        return (
            f"a list, at most {MOST_ITEMS} long, each {_in_words(kind[kind.index('[') + 1 : -1])}"
        )
    if kind.startswith("dict[str, "):
        return f"an object, each value {_in_words(kind[10:-1])}"
    words = {"bool": "true or false", "int": "a whole number", "float": "a finite number"}
    return words.get(kind, "text")


def request_of(values: dict[str, Any]) -> int | None:
    """The number that a client gave its message, if it is one."""
    number = values.get("request")
    return int(number) if number is not None and _fits(number, "int") else None


def _fits(value: object, annotation: str) -> bool:
    """Whether a JSON value has the annotated type; integers count as float, booleans do not."""
    if annotation.endswith(" | None"):
        return value is None or _fits(value, annotation.removesuffix(" | None"))
    if annotation.startswith("list["):
        if not isinstance(value, list) or len(value) > MOST_ITEMS:
            return False
        return all(_fits(v, annotation[5:-1]) for v in value)
    if annotation.startswith("dict[str, "):
        inner = annotation[10:-1]
        return isinstance(value, dict) and all(_fits(v, inner) for v in value.values())
    if isinstance(value, bool) or annotation == "bool":
        return isinstance(value, bool) and annotation == "bool"
    if annotation == "float":
        return isinstance(value, int | float) and abs(value) < 1e300  # so is no infinity, no nan
    if annotation == "int":
        if isinstance(value, float):  # one without a fraction; no infinity, no nan
            return abs(value) < 2**53 and value == int(value)
        return isinstance(value, int) and abs(value) < 2**63
    return isinstance(value, str)
