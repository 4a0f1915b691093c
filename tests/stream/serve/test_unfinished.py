"""Messages that are never finished share a bounded room; who has hung up is noticed unread."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import Any

import numpy as np
from patience import PATIENCE
from wire_clients import HEAD, HELLO, client, settled

from stream.serve.door.hang_ups import TURN, HangUps, Tap
from stream.serve.door.unfinished import Unfinished
from stream.serve.limits import Limits
from stream.serve.server import Server
from stream.wire import codec
from stream.wire.codec import Kind

LIMITS = Limits(unfinished_bytes=100, unfinished_free=10, unfinished_seconds=5.0)


def _nothing() -> None:
    pass


def test_the_first_bytes_of_each_are_free_and_the_rest_share_a_room() -> None:
    room = Unfinished(LIMITS, lambda _: None, lambda: 0.0)
    for number in range(50):
        assert room.fits(number, 10)
        room.holds(number, "a", 10, _nothing)
    assert room.bytes == 0
    room.holds("long", "a", 110, _nothing)
    assert room.bytes == 100 and room.fits("other", 10) and not room.fits("other", 11)
    room.holds("long", "a", 4, _nothing)  # it is whole, and another has begun
    assert room.bytes == 0 and room.fits("other", 110) and not room.fits("other", 111)
    room.left("long")
    room.left("long")
    assert room.bytes == 0


def test_who_waits_goes_on_when_others_finish_the_poorest_address_first() -> None:
    room = Unfinished(LIMITS, lambda _: None, lambda: 0.0)
    went: list[str] = []
    room.holds("rich", "a", 90, _nothing)
    room.holds("more", "a", 20, _nothing)
    room.holds("poor", "b", 20, _nothing)
    room.wait("more", 50, lambda: went.append("more"))
    room.wait("poor", 50, lambda: went.append("poor"))
    room.holds("rich", "a", 70, _nothing)  # it has begun another
    assert went == ["poor"]
    room.left("rich")
    assert went == ["poor", "more"] and room.bytes == 20


def test_what_takes_too_long_goes_while_somebody_waits() -> None:
    now, gone, refused = [0.0], [], []  # type: list[float], list[str], list[str]
    room = Unfinished(LIMITS, refused.append, lambda: now[0])
    for name in ("old", "small", "young"):
        size = 8 if name == "small" else 60
        room.holds(name, "a", size, lambda name=name: gone.append(name))  # type: ignore[misc]
        now[0] += 3.0
    room.tick()
    assert gone == []  # nobody waits
    room.wait("young", 50, lambda: gone.append("young goes on"))
    room.tick()
    assert gone == ["young goes on", "old"] and refused == ["unfinished"]


def test_unfinished_messages_take_no_more_than_their_room_and_a_whole_one_comes_through() -> None:
    limits = Limits(unfinished_bytes=1 << 20, unfinished_free=1 << 14, unfinished_seconds=4.0)
    pcm = codec.serialise(codec.Message(Kind.PCM, 0, 0, np.zeros(200_000, np.float32)))
    taken: list[int] = []
    with Server(HEAD, HELLO, port=0, limits=limits) as server, contextlib.ExitStack() as stack:
        server.controls.push = lambda samples: not taken.append(len(samples))
        bad = [stack.enter_context(client(server)) for _ in range(6)]
        threads = [threading.Thread(target=_begin, args=(link,), daemon=True) for link in bad]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + PATIENCE
        while server._listener._unfinished.bytes < 800_000:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with client(server) as good:
            good.send(pcm)
            settled(good)
        assert taken == [200_000]
        assert server._listener._unfinished.bytes <= 1 << 20
        assert server.counts.refusals["unfinished"] >= 1
        for link in bad:
            with contextlib.suppress(OSError):
                link.socket.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(PATIENCE)


def _begin(link: Any) -> None:
    """A message of a megabyte, but for its end."""
    with contextlib.suppress(OSError):
        link.socket.sendall(
            struct.pack(">BBQ", 0x82, 0xFF, 1_000_000) + b"\0\0\0\0" + bytes(999_000)
        )


def test_who_hangs_up_while_nobody_reads_is_noticed() -> None:
    class Transport:
        aborted = 0

        def __init__(self, raw: socket.socket) -> None:
            self.raw = raw

        def get_extra_info(self, _: str) -> socket.socket:
            return self.raw

        def pause_reading(self) -> None:
            pass

        def resume_reading(self) -> None:
            pass

        def is_closing(self) -> bool:
            return False

        def abort(self) -> None:
            self.aborted += 1

    now = [0.0]
    hang_ups = HangUps(lambda: now[0])
    here, there = socket.socketpair()
    with here, there:
        transport = Transport(here)
        tap = Tap(transport, hang_ups)
        tap.hold("debt")
        tap.hold(TURN)
        there.sendall(b"unread")
        now[0] = 1.0
        hang_ups.tick()
        assert transport.aborted == 0
        tap.let_go("debt")
        there.close()
        now[0] = 2.0
        hang_ups.tick()
        assert transport.aborted == 0, "what it has sent is about to be read"
        tap.hold("debt")
        hang_ups.tick()
        assert transport.aborted == 0, "not more often than it looks"
        now[0] = 3.0
        hang_ups.tick()
        assert transport.aborted == 1
        tap.let_go("debt")
        tap.let_go(TURN)
        assert not hang_ups.held
