"""Readers of what senders send, written from the published layouts alone."""

from __future__ import annotations

import struct

import numpy as np
from pythonosc.osc_packet import OscPacket

from head.rig import builtin_head

HEAD = builtin_head()


PUBLISHED_ORDER = [
    "EyeBlinkLeft",
    "EyeLookDownLeft",
    "EyeLookInLeft",
    "EyeLookOutLeft",
    "EyeLookUpLeft",
    "EyeSquintLeft",
    "EyeWideLeft",
    "EyeBlinkRight",
    "EyeLookDownRight",
    "EyeLookInRight",
    "EyeLookOutRight",
    "EyeLookUpRight",
    "EyeSquintRight",
    "EyeWideRight",
    "JawForward",
    "JawLeft",
    "JawRight",
    "JawOpen",
    "MouthClose",
    "MouthFunnel",
    "MouthPucker",
    "MouthLeft",
    "MouthRight",
    "MouthSmileLeft",
    "MouthSmileRight",
    "MouthFrownLeft",
    "MouthFrownRight",
    "MouthDimpleLeft",
    "MouthDimpleRight",
    "MouthStretchLeft",
    "MouthStretchRight",
    "MouthRollLower",
    "MouthRollUpper",
    "MouthShrugLower",
    "MouthShrugUpper",
    "MouthPressLeft",
    "MouthPressRight",
    "MouthLowerDownLeft",
    "MouthLowerDownRight",
    "MouthUpperUpLeft",
    "MouthUpperUpRight",
    "BrowDownLeft",
    "BrowDownRight",
    "BrowInnerUp",
    "BrowOuterUpLeft",
    "BrowOuterUpRight",
    "CheekPuff",
    "CheekSquintLeft",
    "CheekSquintRight",
    "NoseSneerLeft",
    "NoseSneerRight",
    "TongueOut",
    "HeadYaw",
    "HeadPitch",
    "HeadRoll",
    "LeftEyeYaw",
    "LeftEyePitch",
    "LeftEyeRoll",
    "RightEyeYaw",
    "RightEyePitch",
    "RightEyeRoll",
]
"""The engine's enumeration of face shapes, 0 to 60."""


def rotation_of(axis: int, angle: float) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[axis] * np.float32(angle)


def read_livelink(data: bytes) -> dict[str, object]:
    """A reader of our own, from the published layout and nothing of the sender."""
    at = 0

    def take(form: str) -> tuple:
        nonlocal at
        values = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
        return values

    version = take(">B")[0]
    texts = []
    for _ in range(2):
        length = take(">i")[0]
        texts.append(take(f">{length}s")[0].decode())
    frame, part, rate, denominator = take(">ifii")
    count = take(">B")[0]
    values = take(f">{count}f")
    assert at == len(data), "bytes are left over"
    return {
        "version": version,
        "device": texts[0],
        "subject": texts[1],
        "frame": frame,
        "part": part,
        "rate": rate / denominator,
        "values": dict(zip(PUBLISHED_ORDER, values, strict=True)),
    }


def read_osc(datagrams: list[bytes]) -> list[tuple[str, list[object]]]:
    """All messages in order, read by a reader of our own, from OSC 1.0; python-osc must agree."""
    messages = [message for data in datagrams for message in read_bundle(data)]
    assert messages == [
        (timed.message.address, list(timed.message.params))
        for data in datagrams
        for timed in OscPacket(data).messages
    ]
    return messages


def read_bundle(data: bytes) -> list[tuple[str, list[object]]]:
    def text(at: int) -> tuple[str, int]:
        end = data.index(b"\0", at)
        after = at + (end - at) // 4 * 4 + 4  # one zero at least, up to a multiple of four
        assert not data[end:after].strip(b"\0")
        return data[at:end].decode("ascii"), after

    assert data[:16] == b"#bundle\0" + bytes(7) + b"\1", "a bundle that is to be obeyed at once"
    at, messages = 16, []
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at)
        assert size % 4 == 0
        end = at + 4 + size
        address, at = text(at + 4)
        tags, at = text(at)
        values: list[object] = []
        for tag in tags.removeprefix(","):
            if tag == "s":
                value, at = text(at)
                values.append(value)
                continue
            values += struct.unpack_from({"i": ">i", "f": ">f"}[tag], data, at)
            at += 4
        assert at == end
        messages.append((address, values))
    return messages
