"""Live Link Face and VMC: every byte against the published layouts, and what `serve` sends."""

from __future__ import annotations

import math
import re
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cli import call, finish, start
from patience import PATIENCE
from pythonosc.osc_packet import OscPacket

from head.channels import ARKIT_52, CHANNELS
from head.rig import builtin_head
from stream.clock import FakeClock
from stream.frames import Frame
from stream.run.sinks import FrameTiming
from stream.senders import SenderError, open_senders, parse_target
from stream.senders.angles import eye_angles, quaternion, yaw_pitch_roll
from stream.senders.livelink import NAMES, LiveLinkEncoder, face_values, packet
from stream.senders.udp import UdpSender
from stream.senders.vmc import VmcEncoder, unity_rotation

HEAD = builtin_head()
DEVICE = "0C9A1B6E-5F33-4B0D-9A57-1B3F9E5C7D11"

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


# --- angles ----------------------------------------------------------------------------------
@pytest.mark.parametrize(("axis", "place"), [(1, 0), (0, 1), (2, 2)])
def test_yaw_pitch_roll_are_turns_about_y_x_z(axis: int, place: int) -> None:
    angles = yaw_pitch_roll(rotation_of(axis, 0.4))
    expected = np.zeros(3)
    expected[place] = 0.4
    np.testing.assert_allclose(angles, expected, atol=1e-6)


def test_yaw_pitch_roll_rebuild_any_turn() -> None:
    def about(axis: int, angle: float) -> np.ndarray:
        c, s = math.cos(angle), math.sin(angle)
        matrix = np.eye(3)
        i, j = [(1, 2), (2, 0), (0, 1)][axis]
        matrix[i, i] = matrix[j, j] = c
        matrix[i, j], matrix[j, i] = -s, s
        return matrix

    from head.skinning import rotation_matrices

    turns = np.random.default_rng(0).normal(0, 0.5, (50, 3)).astype("f4")
    for turn, (yaw, pitch, roll) in zip(turns, yaw_pitch_roll(turns), strict=True):
        rebuilt = about(1, yaw) @ about(0, pitch) @ about(2, roll)
        np.testing.assert_allclose(rebuilt, rotation_matrices(turn.astype(float)), atol=1e-5)


def test_eyes_turn_as_the_head_s_own_joints() -> None:
    """What tools are told is what the built-in head's eyes do."""
    joints = HEAD.pose_from_expression.reshape(len(HEAD.joint_names), 3, -1)
    for name in [n for n in CHANNELS if n.startswith("eyeLook")]:
        weights = np.zeros(52, np.float32)
        weights[ARKIT_52.index(name)] = 1
        side = 0 if name.endswith("Left") else 1
        joint = joints[HEAD.joint_names.index(("eye_left", "eye_right")[side])]
        x, y, _ = joint[:, HEAD.expression_names.index(name)]
        np.testing.assert_allclose(eye_angles(weights)[side], [y, x], atol=1e-6)
        np.testing.assert_allclose(eye_angles(weights)[1 - side], 0, atol=1e-6)


# --- Live Link Face --------------------------------------------------------------------------
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


# --- VMC -------------------------------------------------------------------------------------
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


def test_a_frame_in_vmc() -> None:
    weights = np.linspace(0, 0.51, 52).astype("f4")
    values = np.concatenate([weights, rotation_of(0, 0.2)])
    encode = VmcEncoder("arkit")
    encode(Frame(7, 4480, np.zeros(54, "f4")), values, 0.0)
    datagrams = encode(Frame(8, 5120, np.zeros(54, "f4")), values, 0.0)
    assert all(len(data) <= 1500 for data in datagrams)
    messages = read_osc(datagrams)
    assert messages[0] == ("/VMC/Ext/OK", [1, 3, 0, 1])
    assert messages[1][0] == "/VMC/Ext/T" and messages[1][1] == [pytest.approx(0.04)]
    assert messages[-1] == ("/VMC/Ext/Blend/Apply", [])
    shapes = {v[0]: v[1] for address, v in messages if address == "/VMC/Ext/Blend/Val"}
    assert {name.lower() for name in shapes} == {name.lower() for name in ARKIT_52}
    for name, weight in zip(ARKIT_52, weights, strict=True):
        assert shapes[name[0].upper() + name[1:]] == pytest.approx(weight)
    bones = {v[0]: v[1:] for address, v in messages if address == "/VMC/Ext/Bone/Pos"}
    assert set(bones) == {"Head", "LeftEye", "RightEye"}
    # 0.2 rad about the axis through the ears: nodding down is positive about x in Unity too.
    np.testing.assert_allclose(bones["Head"][:3], 0)
    np.testing.assert_allclose(bones["Head"][3:], [math.sin(0.1), 0, 0, math.cos(0.1)], atol=1e-6)


def test_rotations_are_mirrored_into_unity_s_axes() -> None:
    """Turning a vector and mirroring it is mirroring it and turning by the mirrored rotation."""
    from head.skinning import rotation_matrices

    def turned(q: np.ndarray, v: np.ndarray) -> np.ndarray:
        x, y, z, w = q
        u = np.array([x, y, z])
        return v + 2 * np.cross(u, np.cross(u, v) + w * v)

    mirror = np.array([-1, 1, 1])
    for turn in np.random.default_rng(1).normal(0, 0.7, (20, 3)).astype("f4"):
        vector = np.array([0.3, -0.5, 0.8])
        ours = rotation_matrices(turn.astype(float)) @ vector
        np.testing.assert_allclose(turned(quaternion(turn), vector), ours, atol=1e-5)
        np.testing.assert_allclose(
            turned(unity_rotation(turn), mirror * vector), mirror * ours, atol=1e-5
        )


# --- sending ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1", ("127.0.0.1", 9)),
        ("127.0.0.1:39540", ("127.0.0.1", 39540)),
        ("localhost:1", ("127.0.0.1", 1)),
        ("[::1]:5", ("::1", 5)),
    ],
)
def test_targets(text: str, expected: tuple[str, int]) -> None:
    assert parse_target(text, 9) == expected


@pytest.mark.parametrize("text", ["127.0.0.1:0", "127.0.0.1:70000", "127.0.0.1:x", "no such.host"])
def test_targets_that_cannot_be(text: str) -> None:
    with pytest.raises(SenderError):
        parse_target(text, 9)


def test_a_burst_is_spread_over_time_in_order() -> None:
    """Two frames of one hop, computed at one moment, leave 40 ms apart."""
    clock = FakeClock(100.0)
    left: list[tuple[int, float]] = []
    done = threading.Event()

    def encode(frame: Frame, values: object, captured: float) -> list[bytes]:
        left.append((frame.sequence, clock.now()))
        if len(left) == 6:
            done.set()
        return []

    sender = UdpSender(HEAD, encode, ("127.0.0.1", 9), clock=clock)
    try:
        for hop in range(3):
            now = clock.now()
            for late, number in ((0.18, 2 * hop), (0.14, 2 * hop + 1)):
                captured = now - late
                timing = FrameTiming(captured, now, now, now, now)
                sender.on_frame(Frame(number, 640 * number, np.zeros(54, "f4")), timing)
            while len(left) < 2 * hop + 2 and not done.wait(0.001):
                pass
            clock.advance(0.04)
        assert done.wait(PATIENCE)
    finally:
        sender.close()
    assert [number for number, _ in left] == list(range(6))
    assert sender.delay == pytest.approx(0.18)
    for first, second in zip(left[::2], left[1::2], strict=True):
        assert second[1] - first[1] == pytest.approx(0.04, abs=1e-6)
    assert sender.sent == 6


def test_sixty_a_second_lie_evenly_between_the_frames() -> None:
    """Motion is interpolated; a gap in it begins anew."""
    left: list[tuple[int, float, float]] = []

    def encode(frame: Frame, values: np.ndarray, captured: float) -> list[bytes]:
        left.append((frame.sample, float(frame.motion[53]), captured))
        return []

    clock = FakeClock(100.0)
    sender = UdpSender(HEAD, encode, ("127.0.0.1", 9), fps=60, clock=clock)
    for number in (0, 1, 2, 3, 4, 5, 20, 21, 22, 23, 24):
        motion = np.zeros(54, "f4")
        motion[53] = number / 100
        captured = 90 + number / 25
        sender.on_frame(
            Frame(number, 640 * number, motion), FrameTiming(captured, *[clock.now()] * 4)
        )
    sender.close()
    assert sender.sent == len(left) == 13 + 10 and sender.dropped == 0
    samples, jaws, _ = map(np.array, zip(*left, strict=True))
    assert np.allclose(jaws, samples / 64000, atol=1e-4)
    assert np.allclose(np.diff(samples[:13]), 16000 / 60, atol=1)
    encoded = LiveLinkEncoder(fps=60)
    values = np.zeros(55, "f4")
    numbers = []
    for k in (0, 1, 2):
        [data] = encoded(Frame(k, k * 16000 // 60, np.zeros(54, "f4")), values, 0.0)
        at = data.index(b"posetalk") + len(b"posetalk")
        number, _, rate, _ = struct.unpack_from(">ifii", data, at)
        numbers.append(number)
        assert rate == 60
    assert np.diff(numbers).tolist() == [1, 1]


def test_a_head_without_arkit_is_refused() -> None:
    from dataclasses import replace

    names = tuple(f"e{i}" for i in range(50))
    other = replace(HEAD, id="plain", expression_names=names, landmarks={}, regions={})
    with pytest.raises(SenderError, match="plain"):
        open_senders(other, livelink="127.0.0.1")
    assert not open_senders(other)


@pytest.fixture
def receivers() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two UDP sockets on ports of their own."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        for it in (one, two):
            it.bind(("127.0.0.1", 0))
            it.settimeout(20)
            it.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        yield one, two


def test_serve_moves_a_metahuman_and_a_vtuber(
    receivers: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    """The command, as a user types it; the jaw follows the demo speech in both protocols."""
    livelink, vmc = receivers
    process = start(
        "serve",
        "--source",
        "demo",
        "--backend",
        "fake",
        "--port",
        "0",
        "--seconds",
        "2",
        "--livelink",
        f"127.0.0.1:{livelink.getsockname()[1]}",
        "--vmc",
        f"127.0.0.1:{vmc.getsockname()[1]}",
        cwd=tmp_path,
    )
    packets = [read_livelink(livelink.recv(2048)) for _ in range(50)]
    code, _, messages = finish(process)
    assert code == 0
    assert "sending Live Link Face to 127.0.0.1" in messages
    assert re.search(r"VMC: 50 frames, \d+ ms after their sound\n", messages)
    frames = [p["frame"] for p in packets]
    assert frames == list(range(frames[0], frames[0] + 50))
    jaws = np.array([p["values"]["JawOpen"] for p in packets])
    assert jaws.max() > 0.2 and jaws.min() < 0.1
    vmc.settimeout(0.2)
    datagrams = []
    try:
        while True:
            datagrams.append(vmc.recv(2048))
    except TimeoutError:
        pass
    heard = read_osc(datagrams)
    assert sum(address == "/VMC/Ext/Blend/Apply" for address, _ in heard) == 50
    spoken = [v[1] for address, v in heard if v and v[0] == "JawOpen"]
    np.testing.assert_allclose(spoken, jaws, atol=1e-6)
    assert [v[0] for a, v in heard if a == "/VMC/Ext/T"] == pytest.approx(np.arange(50) * 0.04)


def test_a_wrong_address_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["serve", "--source", "demo", "--backend", "fake", "--port", "0"]
    code, _, messages = call([*command, "--vmc", "127.0.0.1:0"], capsys)
    assert code == 1
    assert "port of 1 to 65535" in messages
