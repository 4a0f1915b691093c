"""Places at the door: who gets one, who goes, and what they leave behind."""

from __future__ import annotations

import gc
import socket
import struct
import time
import weakref
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pytest
from door_requests import ask, upgrade
from patience import PATIENCE
from wire_clients import HEAD, HELLO, client, frame, settled, until

from stream.serve.door.arrivals import Arrivals
from stream.serve.door.sweeper import SWEEP_AFTER, Sweeper, give_back
from stream.serve.limits import Bucket, Limits
from stream.serve.server import Server
from stream.wire import codec, messages


def test_an_address_has_its_share_of_the_places() -> None:
    with Server(HEAD, HELLO, port=0, limits=Limits(clients=4, peer_clients=2)) as server:
        held, links = [], []
        for _ in range(3):
            link = socket.create_connection(
                ("127.0.0.1", server.port), source_address=("127.0.0.9", 0), timeout=PATIENCE
            )
            links.append(link)
            link.sendall(upgrade(server.port))
            held.append(link.recv(200)[9:12])
        assert held == [b"101", b"101", b"503"]
        with client(server) as own:
            settled(own)
        assert server.counts.refusals["peer_full"] == 1
        for link in links:
            link.close()


def test_unfinished_handshakes_go_in_time() -> None:
    limits = Limits(handshake_seconds=0.3)
    with Server(HEAD, HELLO, port=0, limits=limits) as server:
        silent = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        half = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        half.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        assert _end_of(silent) and _end_of(half)
        assert server.counts.refusals["handshake_timeout"] == 2


def test_of_too_many_arrivals_the_oldest_goes_of_whom_has_most() -> None:
    now, gone, refused = [0.0], [], []
    limits = Limits(handshakes=4, peer_handshakes=3)
    arrivals = Arrivals(limits, refused.append, lambda: now[0])

    def come(host: str, port: int) -> None:
        raw = socket.socket()
        arrivals.came((host, port), raw, lambda: (gone.append((host, port)), raw.close()))

    for port in range(4):
        come("10.0.0.1", port)
    assert gone == [("10.0.0.1", 0)]
    come("10.0.0.2", 0)
    assert len(arrivals) == 4
    come("10.0.0.3", 0)
    assert gone == [("10.0.0.1", 0), ("10.0.0.1", 1)]
    now[0] = 10.0
    arrivals.tick()
    assert len(arrivals) == 0 and refused.count("handshake_timeout") == 4


def test_a_source_that_is_lost_is_told_to_those_who_are_here_and_who_come() -> None:
    with Server(HEAD, HELLO, port=0) as server, client(server) as connection:
        settled(connection)
        server.source_changed("the microphone is gone")
        assert until(connection, messages.Source) == messages.Source(
            "lost", "the microphone is gone"
        )
        with client(server) as late:
            assert until(late, messages.Source).state == "lost"
        assert b"the microphone is gone" in ask(server, "/healthz")[2]
        server.source_changed("")
        assert until(connection, messages.Source).state == "ok"


def test_the_level_of_what_is_heard_is_told_to_those_who_are_here_and_who_come() -> None:
    with Server(HEAD, HELLO, port=0) as server, client(server) as connection:
        settled(connection)
        level = messages.Level(-31.0, "ok")
        server.level_changed(level)
        assert until(connection, messages.Level) == level
        with client(server) as late:
            assert until(late, messages.Level) == level


def test_stopping_takes_no_longer_for_clients_that_hang() -> None:
    with Server(HEAD, HELLO, port=0) as server:
        hung = []
        for _ in range(5):
            link = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            link.sendall(upgrade(server.port))
            hung.append(link)
        deadline = time.monotonic() + PATIENCE
        while server.counts.clients < 5:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for number in range(100):
            server.on_frame(frame(number))
        server.close()
        assert server._loop.join(0.0)
        for link in hung:
            link.close()


def _end_of(link: socket.socket) -> bool:
    with link:
        try:
            while link.recv(4096):
                pass
        except ConnectionError:
            pass
        return True


def test_golden_source_is_read() -> None:
    assert codec.parse_text('{"type":"source","state":"ok","message":""}') == messages.Source()


def test_memory_is_given_back_while_many_are_turned_away_and_once_after() -> None:
    refused, now, given = 0, 0.0, []

    class Beside(Executor):
        def submit(self, work: Any, /, *_: Any, **__: Any) -> Any:
            given.append((now, work))

    sweeper = Sweeper(lambda: refused, Beside(), lambda: now)
    for _ in range(2_000):  # twenty seconds
        now += 0.01
        refused += 5 if 4 <= now < 10 else 0
        sweeper.tick()
    times = [at for at, _ in given]
    assert 3 <= len(times) <= 4 and 4 <= times[0] < 5 and 12 < times[-1] < 14
    assert {work for _, work in given} == {give_back}


def test_who_goes_while_waiting_at_the_door_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bucket, "take", lambda *_: 0.3)
    with Server(HEAD, HELLO, port=0) as server:
        asked = (
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        ).encode()
        for _ in range(4):
            with socket.create_connection(("127.0.0.1", server.port)) as link:
                link.sendall(asked)
                time.sleep(0.45)  # it has paid for its bytes, and waits for its request
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(2.0)
        assert server._listener._places.taken == 0


def test_memory_goes_back_after_a_single_client_has_gone() -> None:
    now, ended, given = 0.0, 0, []

    class Beside(Executor):
        def submit(self, work: Any, /, *_: Any, **__: Any) -> Any:
            given.append(now)

    sweeper = Sweeper(lambda: ended, Beside(), lambda: now)
    for _ in range(2_000):  # twenty seconds
        now += 0.01
        ended = int(now > 6.0)
        sweeper.tick()
    assert 1 <= len(given) <= 2 and 8 < given[0] < 10, "what it left takes a moment to be freed"


def test_what_a_handshake_that_failed_has_left_is_collected() -> None:
    class Ring:
        pass

    ring = Ring()
    ring.itself = ring  # type: ignore[attr-defined]
    left = weakref.ref(ring)
    for _ in range(3):
        gc.collect()  # it has grown old
    del ring
    assert left() is not None
    with ThreadPoolExecutor(1) as worker:
        Sweeper(lambda: SWEEP_AFTER, worker).tick()
    assert left() is None
