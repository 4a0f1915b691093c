"""What is answered over HTTP: pages, health, metrics, and requests that are none."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from door_requests import PAGES, TOKEN, ask, upgrade
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
from stream.serve.door.http_pages import LatePage
from stream.serve.limits import Limits
from stream.serve.server import Server
from stream.wire import codec, messages, session_messages
from stream.wire.codec import Kind


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


def test_a_page_that_is_yet_to_be_made_holds_nobody_up() -> None:
    asked, go, made = threading.Event(), threading.Event(), []

    def make() -> bytes:
        asked.set()
        assert go.wait(PATIENCE)
        made.append(1)
        return b"late"

    pages = {**PAGES, "/late.bin": LatePage(make, "text/plain")}
    with Server(HEAD, HELLO, port=0, pages=pages) as server, ThreadPoolExecutor(3) as people:
        try:
            answers = [people.submit(ask, server, "/late.bin") for _ in range(3)]
            assert asked.wait(PATIENCE)
            assert ask(server, "/")[0] == 200
            with connect(server.url) as viewer:
                assert "hello" in str(viewer.recv(timeout=PATIENCE))
        finally:
            go.set()
        assert [answer.result(PATIENCE)[2] for answer in answers] == [b"late"] * 3
    assert made == [1]


def test_a_header_that_comes_twice_is_no_other_servers_fault() -> None:
    own = "Host: 127.0.0.1\r\n"
    with Server(HEAD, HELLO, port=0, token=TOKEN, pages=PAGES) as server:
        twice = f"Authorization: Bearer {TOKEN}\r\n" * 2
        assert _raw(server, f"GET /head.bin HTTP/1.1\r\n{own}{twice}\r\n")[9:12] == b"401"
    with Server(HEAD, HELLO, port=0, pages=PAGES) as server:
        assert _raw(server, f"GET / HTTP/1.1\r\n{own}Host: evil\r\n\r\n")[9:12] == b"403"
        opening = upgrade(server.port).decode().removesuffix("\r\n")
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as link:
            link.sendall(f"{opening}{twice}\r\n".encode())
            came = link.recv(4096)
            while b'"hello"' not in came:  # with the answer, or after it
                more = link.recv(4096)
                assert more, came
                came += more
            assert b" 101 " in came
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
        hung.sendall(upgrade(server.port))
        assert b" 101 " in hung.recv(129)
        held = threading.Event()  # by whoever does not read
        server._listener.attendance.drain = lambda until: _until_set(held)  # type: ignore[method-assign]
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
        connection.send(codec.serialise_text(session_messages.Open()))
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
        connection.send(codec.serialise_text(session_messages.Open()))
        until(connection, session_messages.Opened)
        for _ in range(3):
            assert np.isfinite(until(connection, Kind.FLAME).payload).all()
        told = b"posetalk_broken_outputs_total 1.0"
        assert told in ask(server, "/metrics")[2]
        connection.send(codec.serialise_text(session_messages.Close()))
        until(connection, session_messages.Closed)
        assert told in ask(server, "/metrics")[2]


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
