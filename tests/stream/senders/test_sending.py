"""Where datagrams go and when, and what `serve` sends."""

from __future__ import annotations

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
from sender_readers import HEAD, read_livelink, read_osc

from stream.clock import FakeClock
from stream.frames import Frame
from stream.run.sinks import FrameTiming
from stream.senders import SenderError, open_senders, parse_target
from stream.senders.livelink import LiveLinkEncoder
from stream.senders.udp import UdpSender


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
