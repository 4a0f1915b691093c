"""Clients that must not come in, or send rubbish, or do not read."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from certificates import make_certificate
from patience import PATIENCE
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from wire_clients import HEAD, HELLO, client, frame, settled, until

from stream.serve.door.auth import Gate, is_loopback
from stream.serve.server import Server, ServerError
from stream.wire import codec, messages
from stream.wire.codec import Kind


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(HEAD, HELLO, port=0) as running:
        yield running


# --- bad clients -------------------------------------------------------------------------------
RUBBISH: dict[str, tuple[bytes | str, str]] = {
    "short": (b"PTK", "truncated"),
    "magic": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n....", "magic"),
    "version": (b"PTK1\x09" + bytes(40), "version"),
    "length": (b"PTK1\x01\x10" + bytes(17) + b"\x01" + b"abc", "length"),
    "own kind": (codec.serialise(codec.Message(Kind.FLAME, 0, 0, np.zeros(56))), "unexpected"),
    "json": ("{", "json"),
    "own text": (codec.serialise_text(messages.End()), "unexpected"),
    "text version": ('{"type":"subscribe","protocol":2}', "version"),
}


@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_gets_a_typed_error_and_closes_that_client_only(server: Server, name: str) -> None:
    data, code = RUBBISH[name]
    with client(server) as good, client(server) as bad:
        bad.send(data)
        error = until(bad, messages.Error)
        assert (error.code, error.fatal) == (code, True)
        with pytest.raises(ConnectionClosed) as closed:
            bad.recv(timeout=PATIENCE)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, code)
        settled(good)
        server.on_frame(frame(0))
        assert until(good, Kind.FLAME).sequence == 0
    assert server.counts.refused == 1


def test_unknown_types_are_skipped(server: Server) -> None:
    with client(server) as connection:
        connection.send(codec.serialise(codec.Message(200, 0, 0, np.zeros(3))))
        connection.send('{"type":"weather","sun":[1,{"a":null}]}')
        settled(connection)


def test_random_bytes_never_hurt_the_server(server: Server, capfd: Any) -> None:
    rng = random.Random(3)
    for _ in range(30):
        with client(server) as connection:
            data = rng.randbytes(rng.randrange(200))
            if rng.random() < 0.5:
                data = b"PTK1\x01" + bytes([rng.choice([1, 16, 16, 99])]) + data
            with contextlib.suppress(ConnectionClosed):
                connection.send(data)
                connection.send(data.decode("latin1"))
                while True:  # until the server has judged it
                    connection.recv(timeout=PATIENCE)
    for _ in range(10):  # below the websocket layer, and during the handshake
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(rng.randbytes(300))
    with client(server) as connection:
        connection.socket.sendall(rng.randbytes(500))
    with client(server) as connection, contextlib.suppress(ConnectionClosed):
        connection.send(bytes(codec.MAX_MESSAGE_BYTES + 1))
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=PATIENCE)
    with client(server) as good:
        settled(good)
        server.on_frame(frame(0))
        assert until(good, Kind.FLAME).sequence == 0
    assert capfd.readouterr() == ("", "")


def test_a_viewer_that_stops_reading_is_let_go_and_nobody_waits_for_it() -> None:
    with (
        Server(HEAD, HELLO, port=0, read_timeout=1.0) as server,
        socket.create_connection(("127.0.0.1", server.port)) as stuck,
        client(server) as good,
    ):
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.sendall(
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        key = b'{"type":"subscribe","set":"vertices"}'
        stuck.sendall(bytes([0x81, 0x80 | len(key), 0, 0, 0, 0]) + key)
        settled(good)
        deadline = time.monotonic() + PATIENCE
        while server.counts.clients < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        sent = received = 0
        while server.counts.clients == 2 and time.monotonic() < deadline:
            before = time.perf_counter()
            server.on_frame(frame(sent))
            assert time.perf_counter() - before < 0.5
            assert until(good, Kind.FLAME).sequence == sent
            sent, received = sent + 1, received + 1
            assert max(len(c.outbox.frames) for c in server._listener.attendance.clients) <= 64
            time.sleep(0.002)
        assert server.counts.let_go == 1
        assert server.counts.clients == 1
        assert received == sent > 10
        assert server.counts.dropped > 0  # newest won


def test_a_port_in_use_is_one_line(server: Server) -> None:
    with pytest.raises(ServerError, match=rf"^port {server.port} on 127.0.0.1 is in use.*--port$"):
        Server(HEAD, HELLO, port=server.port).start()


def test_a_host_of_another_machine_is_one_line() -> None:
    with pytest.raises(ServerError, match=r"^cannot serve on 192\.0\.2\.1:0"):
        Server(HEAD, HELLO, "192.0.2.1", 0, token="x" * 16).start()


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_cannot_be_is_one_line(port: int) -> None:
    with pytest.raises(ServerError, match="choose 0 to 65535"):
        Server(HEAD, HELLO, port=port)


def test_a_host_that_cannot_be_is_one_line() -> None:
    with pytest.raises(ServerError, match=r"^cannot serve on a\.\.b:0") as raised:
        Server(HEAD, HELLO, "a..b", 0, token="x" * 16).start()
    assert "\n" not in str(raised.value)


# --- who may come in ---------------------------------------------------------------------------
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.7", "example.org"])
def test_serving_others_needs_a_token(host: str) -> None:
    with pytest.raises(ServerError, match="--token"):
        Server(HEAD, HELLO, host, 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


def test_the_token_is_asked_for() -> None:
    with Server(HEAD, HELLO, "0.0.0.0", 0, token="s3cret-of-sixteen") as server:
        url = f"ws://127.0.0.1:{server.port}"
        for bad in (url, f"{url}/?token=s3cre", f"{url}/?token="):
            with pytest.raises(InvalidStatus, match="401"):
                connect(bad)
        with connect(f"{url}/?token=s3cret-of-sixteen") as connection:
            connection.recv(timeout=PATIENCE)
        with connect(
            url, additional_headers={"Authorization": "Bearer s3cret-of-sixteen"}
        ) as connection:
            connection.recv(timeout=PATIENCE)


def test_tls(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with Server(HEAD, HELLO, port=0, ssl=context) as server:
        assert server.url.startswith("wss://")
        with client(server, ssl=trusting) as connection:
            settled(connection)
            server.on_frame(frame(3))
            assert until(connection, Kind.FLAME).sequence == 3


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:5173", True),
        ("http://127.0.0.1", True),
        ("https://good.example", True),
        ("https://evil.example", False),
        ("null", False),
        ("http://localhost.evil.example", False),
    ],
)
def test_web_pages_of_others_stay_out(origin: str, allowed: bool) -> None:
    with Server(HEAD, HELLO, port=0, origins=["https://good.example"]) as server:
        if allowed:
            with connect(server.url, origin=origin) as connection:  # type: ignore[arg-type]
                connection.recv(timeout=PATIENCE)
        else:
            with pytest.raises(InvalidStatus, match="403"):
                connect(server.url, origin=origin)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("https://good.example/", "https://good.example"),
        ("HTTPS://Good.Example", "https://good.example"),
        ("https://good.example:443", "https://good.example"),
        ("https://good.example", "https://GOOD.example:443"),
        ("http://good.example:8080/", "http://good.example:8080"),
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
        ("http://[2001:DB8::1]:80", "http://[2001:db8::1]"),
        ("null", "null"),
        ("*", "app://anything"),
    ],
)
def test_origins_are_compared_as_browsers_send_them(written: str, sent: str) -> None:
    gate = Gate(origins=[written])
    assert gate.refusal("/", sent, None) is None
    for other in ("http://good.example:81", "https://good.example.evil", "https://evil/", ""):
        assert written == "*" or gate.refusal("/", other, None) is not None


@pytest.mark.parametrize(
    "written",
    ["", "good.example", "https://", "https://x/page", "https://x?y", "https://u:p@x", "http://["],
)
def test_what_is_no_origin_is_said_at_once(written: str) -> None:
    with pytest.raises(ServerError, match="no web page's origin"):
        Server(HEAD, HELLO, port=0, origins=[written])


@pytest.mark.parametrize("everybody", ["*", "null", "NULL"])
def test_pages_of_every_site_need_a_token(everybody: str) -> None:
    with pytest.raises(ServerError, match="give a token"):
        Server(HEAD, HELLO, port=0, origins=["https://good.example", everybody])
    Server(HEAD, HELLO, port=0, origins=[everybody], token="s3cret-of-sixteen").close()


def test_a_page_that_is_refused_is_told_with_its_origin(caplog: pytest.LogCaptureFixture) -> None:
    origins = ["https://evil.example/", "null", "x" * 500, *["https://again.example"] * 20]
    with Server(HEAD, HELLO, port=0) as server, caplog.at_level("INFO", "stream"):
        for origin in origins:
            with pytest.raises(InvalidStatus, match="403"):
                connect(server.url, origin=origin)  # type: ignore[arg-type]
    told = [r for r in caplog.records if "of origin" in r.getMessage()]
    assert len(told) == len(origins)  # each of them, for who collects logs
    assert 10 <= sum(r.levelname == "WARNING" for r in told) < 13  # and a few, for a person
    assert "'https://evil.example/': name it with --origin" in told[0].getMessage()
    assert all(len(r.getMessage()) < 200 for r in told)


def test_the_gate_survives_any_handshake() -> None:
    gate = Gate("s3cret-of-sixteen")
    for origin in ("http://[", "http://[::1", "//", "http://\u2100"):
        refusal = gate.refusal("/?token=s3cret-of-sixteen", origin, None)
        assert refusal is not None and refusal[0] == 403
    for path in ("", "//", "/?token", "/?token=%ff%00", "/?token=s3cret-of-sixteen%0a", "/?\ud800"):
        refusal = gate.refusal(path, None, "Basic s3cret-of-sixteen")
        assert refusal is not None and refusal[0] == 401
    assert gate.refusal("/?a=b&token=s3cret-of-sixteen", "http://localhost:1", None) is None
