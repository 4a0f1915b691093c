"""Live Link Face: every byte against the published layout."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from sender_readers import PUBLISHED_ORDER, read_livelink, rotation_of

from head.channels import ARKIT_52
from stream.frames import Frame
from stream.senders.livelink import NAMES, LiveLinkEncoder, face_values, packet

DEVICE = "0C9A1B6E-5F33-4B0D-9A57-1B3F9E5C7D11"


def test_the_packet_is_the_published_one_byte_for_byte() -> None:
    values = np.arange(61, dtype=np.float32) / 64
    data = packet(values, device=DEVICE, subject="iPhone", frame=1_500_000, part=0.25, fps=60)
    expected = (
        b"\x06"
        + b"\x00\x00\x00\x24"
        + DEVICE.encode("ascii")
        + b"\x00\x00\x00\x06"
        + b"iPhone"
        + b"\x00\x16\xe3\x60"
        + b"\x3e\x80\x00\x00"
        + b"\x00\x00\x00\x3c"
        + b"\x00\x00\x00\x01"
        + b"\x3d"
        + b"".join(struct.pack(">f", value / 64) for value in range(61))
    )
    assert data == expected
    assert len(data) == 312  # as real packets with this subject were found to be


def test_a_packet_is_refused_rather_than_sent_wrong() -> None:
    for values in (np.zeros(60, np.float32), np.full(61, np.nan, np.float32)):
        with pytest.raises(ValueError, match="61 finite values"):
            packet(values, device=DEVICE, subject="x", frame=0)


def test_the_61_values_are_in_the_engine_s_order() -> None:
    assert list(NAMES) == PUBLISHED_ORDER
    weights = np.linspace(0.01, 0.52, 52).astype("f4")
    values = dict(zip(NAMES, face_values(weights, rotation_of(1, 0.3)), strict=True))
    for name, weight in zip(ARKIT_52, weights, strict=True):
        assert values[name[0].upper() + name[1:]] == pytest.approx(weight)
    assert values["HeadYaw"] == pytest.approx(0.3, abs=1e-6)
    assert values["HeadPitch"] == pytest.approx(0, abs=1e-6)
    assert values["HeadRoll"] == pytest.approx(0, abs=1e-6)


def test_eyes_look_where_the_weights_say() -> None:
    weights = np.zeros(52, np.float32)
    weights[ARKIT_52.index("eyeLookOutLeft")] = 1  # both eyes to the head's left, and down
    weights[ARKIT_52.index("eyeLookInRight")] = 1
    weights[ARKIT_52.index("eyeLookDownLeft")] = 0.5
    values = dict(zip(NAMES, face_values(weights, np.zeros(3, np.float32)), strict=True))
    assert values["LeftEyeYaw"] == values["RightEyeYaw"] < -0.4
    assert values["LeftEyePitch"] > 0.2 and values["RightEyePitch"] == 0
    assert values["LeftEyeRoll"] == values["RightEyeRoll"] == 0


def test_frame_times_go_on_through_midnight() -> None:
    encode = LiveLinkEncoder("me", DEVICE)
    seconds_left = 0.1
    import time

    midnight = time.mktime((2026, 3, 3, 0, 0, 0, 0, 0, -1))
    captured = midnight - seconds_left
    still = np.zeros(55, np.float32)
    frames = [
        read_livelink(encode(Frame(k, 640 * k, np.zeros(54, "f4")), still, captured)[0])
        for k in range(5)
    ]
    numbers = [frame["frame"] for frame in frames]
    assert numbers[0] == 24 * 3600 * 25 - 3
    assert numbers[1:] == [24 * 3600 * 25 - 2, 24 * 3600 * 25 - 1, 0, 1]
    assert {frame["rate"] for frame in frames} == {25}
    assert {frame["subject"] for frame in frames} == {"me"}
