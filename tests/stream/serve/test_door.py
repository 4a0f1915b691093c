"""The door: tokens, cookies, the brake, methods, shares, and what is told to those who watch."""

from __future__ import annotations

import asyncio
import gc
import http.client
import socket
import struct
import threading
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from wire_clients import HEAD, HELLO, client, frame, settled, until

from stream.backends.fake import FakeBackend
from stream.backends.protocol import FloatArray, SamplerCall
from stream.run.metrics import LiveStatistics
from stream.run.push.factory import SessionFactory
from stream.run.scheduler import Scheduler
from stream.run.sinks import FrameTiming
from stream.serve.door.arrivals import Arrivals
from stream.serve.door.auth import Gate, Role, check_token, credentials
from stream.serve.door.http_pages import Page
from stream.serve.door.sweeper import SWEEP_AFTER, Sweeper, give_back
from stream.serve.limits import Bucket, Limits
from stream.serve.server import Server, ServerError
from stream.wire import codec, messages
from stream.wire.codec import Kind

TOKEN = "a-secret-of-sixteen"
PAGES = {
    "/index.html": Page(b"<p>", "text/html"),
    "/head.bin": Page(b"head", "application/octet-stream", private=True),
}


def ask(
    server: Server, path: str, method: str = "GET", **fields: str
) -> tuple[int, dict[str, str], bytes]:
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        link.request(method, path, headers={k.replace("_", "-"): v for k, v in fields.items()})
        answer = link.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        link.close()


# --- tokens ------------------------------------------------------------------------------------
@pytest.mark.parametrize("token", ["", "short", "x" * 15])
def test_a_token_that_does_not_protect_is_an_error(token: str) -> None:
    with pytest.raises(ServerError, match=r"the token (is empty|has \d+ characters)"):
        Server(HEAD, HELLO, port=0, token=token)
    with pytest.raises(ValueError, match="operator"):
        check_token(token, "operator's token")
    check_token(None)
    check_token("x" * 16)


def test_a_token_in_the_address_becomes_a_cookie_and_leaves_it() -> None:
    with Server(HEAD, HELLO, port=0, token=TOKEN, pages=PAGES) as server:
        status, fields, _ = ask(server, f"/?token={TOKEN}")
        assert (status, fields["location"]) == (303, "/")
        flags = fields["set-cookie"]
        assert "HttpOnly" in flags and "SameSite=Strict" in flags and TOKEN not in flags
        cookie = flags.partition(";")[0]
        assert ask(server, "/head.bin")[0] == 401
        assert ask(server, "/head.bin", Cookie=cookie)[0] == 200
        assert ask(server, "/head.bin", Cookie=cookie[:-1] + "x")[0] == 401
        own = f"http://127.0.0.1:{server.port}"
        headers = {"Cookie": cookie}
        with connect(server.url, origin=own, additional_headers=headers) as link:  # type: ignore[arg-type]
            link.recv(timeout=PATIENCE)
        for origin in ("http://127.0.0.1:1", "http://localhost:5173"):
            with pytest.raises(InvalidStatus, match="401"):
                connect(server.url, origin=origin, additional_headers=headers)  # type: ignore[arg-type]
        status, fields, _ = ask(server, "/?token=wrong-wrong-wrong-wrong")
        assert status == 200 and "set-cookie" not in fields
        assert "set-cookie" in ask(server, "/head.bin", Authorization=f"Bearer {TOKEN}")[1]


def test_guesses_are_braked_for_the_address_they_come_from() -> None:
    limits = Limits(wrong_tokens=3, wrong_token_seconds=1000)
    with Server(HEAD, HELLO, port=0, token=TOKEN, pages=PAGES, limits=limits) as server:
        for path in ("/head.bin", "/", "/metrics"):
            ask(server, path, Authorization="Bearer wrong-wrong-wrong")
        for path in ("/head.bin", "/", "/metrics"):
            assert ask(server, path, Authorization=f"Bearer {TOKEN}")[0] == 429
        with pytest.raises(InvalidStatus, match="429"):
            connect(f"{server.url}/?token={TOKEN}")
        # From another address there is none to feel.
        link = socket.create_connection(
            ("127.0.0.1", server.port), source_address=("127.0.0.2", 0), timeout=PATIENCE
        )
        with link:
            wanted = f"GET /head.bin HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
            link.sendall(wanted.encode())
            assert link.recv(4096).startswith(b"HTTP/1.1 200")


def test_what_each_token_opens() -> None:
    gate = Gate(TOKEN, operator_token="an-operators-secret")
    assert gate.role(credentials(f"/?token={TOKEN}", None)) is Role.VIEWER
    assert gate.role(credentials("/", "Bearer an-operators-secret")) is Role.OPERATOR
    assert gate.role(credentials("/", "Basic an-operators-secret")) is None
    assert gate.role(credentials("/?token=", None)) is None
    assert Gate().role(credentials("/", None)) is Role.VIEWER
    assert Gate(operator_token=TOKEN).role(credentials("/", f"Bearer {TOKEN}")) is Role.OPERATOR


# --- HTTP --------------------------------------------------------------------------------------
def test_other_methods_are_refused_and_a_head_has_no_body() -> None:
    with Server(HEAD, HELLO, port=0, pages=PAGES) as server:
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            status, fields, _ = ask(server, "/", method)
            assert (status, fields["allow"]) == (405, "GET, HEAD")
        status, fields, body = ask(server, "/", "HEAD")
        assert (status, fields["content-length"], body) == (200, "3", b"")
        for extra in ("Content-Length: 5", "Transfer-Encoding: chunked"):
            said = _raw(server, f"POST / HTTP/1.1\r\nHost: x\r\n{extra}\r\n\r\n5\r\nhello")
            assert said.startswith(b"HTTP/1.1 405") and b"Allow: GET, HEAD" in said
        assert server.counts.refusals == {"http_405": 6}


def test_a_header_that_comes_twice_is_no_other_servers_fault() -> None:
    own = "Host: 127.0.0.1\r\n"
    with Server(HEAD, HELLO, port=0, token=TOKEN, pages=PAGES) as server:
        twice = f"Authorization: Bearer {TOKEN}\r\n" * 2
        assert _raw(server, f"GET /head.bin HTTP/1.1\r\n{own}{twice}\r\n")[9:12] == b"401"
    with Server(HEAD, HELLO, port=0, pages=PAGES) as server:
        assert _raw(server, f"GET / HTTP/1.1\r\n{own}Host: evil\r\n\r\n")[9:12] == b"403"
        opening = _upgrade(server.port).decode().removesuffix("\r\n")
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as link:
            link.sendall(f"{opening}{twice}\r\n".encode())
            assert b" 101 " in link.recv(200) and b'"hello"' in link.recv(4096)
        for foreign in (1, 2):
            origin = "Origin: http://evil.example\r\n" * foreign
            assert _raw(server, f"{opening}{origin}\r\n")[9:12] == b"403"


def test_requests_that_cannot_be_read_are_counted() -> None:
    with Server(HEAD, HELLO, port=0, pages=PAGES) as server:
        for bad in ("GET / HTTP/9\r\n\r\n", f"GET /{'x' * 9000} HTTP/1.1\r\n\r\n", "\0\r\n\r\n"):
            _raw(server, bad)
        _raw(server, "GET / HTTP/1.1\r\nHost: x", ends=True)  # it left, and asked for nothing
        assert server.counts.refusals == {"bad_request": 3}


def test_health_is_told_behind_the_same_door() -> None:
    with Server(HEAD, HELLO, port=0, token=TOKEN, limits=Limits(clients=1)) as server:
        bearer = f"Bearer {TOKEN}"
        for path in ("/healthz", "/readyz", "/metrics"):
            assert ask(server, path)[0] == 401
            assert ask(server, path, Authorization=bearer)[0] == 200
        with client(server, additional_headers={"Authorization": bearer}):
            assert ask(server, "/readyz", Authorization=bearer)[0] == 503
            assert ask(server, "/healthz", Authorization=bearer)[0] == 200
    with Server(HEAD, HELLO, port=0) as server:
        assert ask(server, "/metrics", Host="evil.example")[0] == 403


def test_a_server_is_ready_between_its_beginning_and_its_end() -> None:
    server = Server(HEAD, HELLO, port=0)
    server.hold()
    with server:
        assert ask(server, "/readyz")[0] == 503 and b"starting" in ask(server, "/readyz")[2]
        server.welcome()
        assert ask(server, "/readyz")[0] == 200
        hung = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        hung.sendall(_upgrade(server.port))
        assert b" 101 " in hung.recv(129)
        held = threading.Event()  # by whoever does not read
        server._listener.drain = lambda until: _until_set(held)  # type: ignore[method-assign]
        ending = threading.Thread(target=server.close, args=(PATIENCE,))
        ending.start()
        while (answer := ask(server, "/readyz"))[0] == 200:
            time.sleep(0.01)
        assert answer[0] == 503 and b"draining" in answer[2]
        assert ask(server, "/healthz")[0] == 200
        held.set()
        hung.close()
        ending.join(PATIENCE)
        assert not ending.is_alive()


async def _until_set(event: threading.Event) -> None:
    while not event.is_set():
        await asyncio.sleep(0.01)


def test_metrics_are_what_prometheus_reads() -> None:
    statistics = LiveStatistics()
    statistics.add(FrameTiming(0.0, 0.1, 0.12, 0.13, 0.15), 0.2, late=True)
    with Server(HEAD, HELLO, port=0) as server, client(server) as connection:
        server.health.statistics, server.health.session_places = statistics, 8
        settled(connection)
        server.on_frame(frame(0))
        until(connection, Kind.FLAME)
        with pytest.raises(InvalidStatus):
            connect(server.url, origin="http://evil.example")  # type: ignore[arg-type]
        connection.send(codec.serialise_text(messages.Open()))
        assert until(connection, messages.Error).code == "capacity"
        status, fields, body = ask(server, "/metrics")
        assert status == 200 and fields["content-type"].startswith("text/plain")
        samples = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }
    assert samples["posetalk_clients",] == 1 and samples["posetalk_session_places",] == 8
    assert samples["posetalk_frames_sent_total",] == 1
    assert samples["posetalk_refused_total", "origin"] == 1
    assert samples["posetalk_requests_refused_total", "capacity"] == 1
    assert samples["posetalk_frame_age_seconds", "0.99"] == pytest.approx(0.2)
    assert samples["posetalk_model_seconds", "0.5"] == pytest.approx(0.02)
    assert samples["posetalk_frames_late_total",] == 1
    assert samples["posetalk_received_bytes_total",] > 0 < samples["posetalk_sent_bytes_total",]


class Broken(FakeBackend):
    """Its first output is no motion."""

    calls = 0

    def sample_many(self, calls: Sequence[SamplerCall]) -> list[FloatArray]:
        made = super().sample_many(calls)
        if not self.calls:
            made[0] = np.full_like(made[0], np.nan)
        self.calls += 1
        return made


def test_what_the_model_broke_for_a_client_is_counted_while_it_is_here_and_after() -> None:
    backend = Broken()
    sessions = SessionFactory(lambda: Scheduler(backend, 1, workers=1), backend)
    with Server(HEAD, HELLO, port=0, sessions=sessions) as server, client(server) as connection:
        backend.calls = 0  # it was warmed up, perhaps
        connection.send(codec.serialise_text(messages.Open()))
        until(connection, messages.Opened)
        for _ in range(3):
            assert np.isfinite(until(connection, Kind.FLAME).payload).all()
        told = b"posetalk_broken_outputs_total 1.0"
        assert told in ask(server, "/metrics")[2]
        connection.send(codec.serialise_text(messages.Close()))
        until(connection, messages.Closed)
        assert told in ask(server, "/metrics")[2]


# --- places ------------------------------------------------------------------------------------
def test_an_address_has_its_share_of_the_places() -> None:
    with Server(HEAD, HELLO, port=0, limits=Limits(clients=4, peer_clients=2)) as server:
        held, links = [], []
        for _ in range(3):
            link = socket.create_connection(
                ("127.0.0.1", server.port), source_address=("127.0.0.9", 0), timeout=PATIENCE
            )
            links.append(link)
            link.sendall(_upgrade(server.port))
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
            link.sendall(_upgrade(server.port))
            hung.append(link)
        deadline = time.monotonic() + PATIENCE
        while server.counts.clients < 5:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for number in range(100):
            server.on_frame(frame(number))
        server.close()
        assert not server._thread.is_alive()
        for link in hung:
            link.close()


def _upgrade(port: int) -> bytes:
    return (
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def _raw(server: Server, request: str, *, ends: bool = False) -> bytes:
    """All that comes back for these bytes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as link:
        link.sendall(request.encode())
        if ends:
            link.shutdown(socket.SHUT_WR)
        said = b""
        try:
            while data := link.recv(4096):
                said += data
        except ConnectionError:
            pass
        return said


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
