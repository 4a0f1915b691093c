"""Rubbish in quantity at the real parser and the real socket: nothing breaks, nothing grows."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import pytest
from fuzzing import Fuzzer
from patience import PATIENCE
from websockets.sync.client import connect

from head.rig import builtin_head
from stream.backends.fake import FakeBackend
from stream.core.session import Session
from stream.run.push.factory import SessionFactory
from stream.run.push.loop import PushLoop
from stream.run.scheduler import Scheduler
from stream.serve.limits import Bucket, Limits
from stream.serve.server import Server
from stream.wire import codec, messages, session_messages
from stream.wire.channels import make_hello

HEAD = builtin_head()
AT_ONCE = 8  # rude clients
MOST_GROWTH = 40e6  # bytes that a server may be larger after any amount of rubbish


@pytest.mark.parametrize("count", [20_000, pytest.param(400_000, marks=pytest.mark.slow)])
def test_the_parser_knows_but_one_way_to_fail(count: int) -> None:
    fuzzer, refused = Fuzzer(seed=1), 0
    for _ in range(count):
        message = fuzzer.message()
        try:
            if isinstance(message, bytes):
                codec.parse(message)
            else:
                codec.parse_text(message)
        except codec.WireError as error:
            refused += 1
            assert error.code and "\n" not in str(error) and len(str(error)) < 300
    assert refused > count / 4


class Judged:
    """Counts what the server has judged: messages after a fatal one are never read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.messages = self.refused = 0
        for name in ("parse", "parse_text"):
            monkeypatch.setattr(codec, name, self._counting(getattr(codec, name)))

    def _counting(self, judge: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def counting(data: Any) -> Any:
            self.messages += 1
            try:
                return judge(data)
            except codec.WireError as error:
                self.refused += error.code != "field"  # that is answered, and nobody is closed
                raise

        return counting


async def rude_client(port: int, fuzzer: Fuzzer, judged: Judged, until: int) -> None:
    """Send rubbish, over as many connections as it takes, until so much was judged."""
    while judged.messages < until:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            writer.write(_handshake(port))
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"".join(_frame(fuzzer.message()) for _ in range(8)))
            writer.write(b"\x88\x80\0\0\0\0")  # goodbye
            async with asyncio.timeout(5):
                await reader.read()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _frame(message: bytes | str) -> bytes:
    """A websocket frame as clients send them, masked with zeros."""
    data = message.encode() if isinstance(message, str) else message
    kind = 0x81 if isinstance(message, str) else 0x82
    if len(data) < 126:
        head = struct.pack(">BB", kind, 0x80 | len(data))
    elif len(data) < 65536:
        head = struct.pack(">BBH", kind, 0x80 | 126, len(data))
    else:
        head = struct.pack(">BBQ", kind, 0x80 | 127, len(data))
    return head + b"\0\0\0\0" + data


@pytest.mark.parametrize(
    "count", [800, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(3000)])]
)
def test_a_server_lives_through_rude_clients(
    count: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = Judged(monkeypatch)
    backend = FakeBackend()
    backend.styles = {name: np.zeros(0, "f4") for name in ("neutral", "calm", "lively")}
    hello = make_hello(HEAD, style="neutral", styles=list(backend.styles))
    sessions = SessionFactory(lambda: Scheduler(backend, 4), backend, style="neutral")
    stop = threading.Event()
    process = psutil.Process(os.getpid())
    # All of them come from one address, which may spend what it likes here.
    limits = Limits(peer_rate=1e9, peer_burst=1e9, server_rate=1e9, server_burst=1e9)
    with Server(HEAD, hello, port=0, sessions=sessions, limits=limits) as server:
        loop = PushLoop(Session(backend), [server], early=server)
        server.controls.push, server.controls.interrupt, server.controls.sends_early = (
            loop.push,
            loop.interrupt,
            True,
        )
        threading.Thread(target=loop.run, kwargs={"stop": stop}, daemon=True).start()
        server.controls.change = lambda _: None
        logging.getLogger("stream.serve.listener.websockets").setLevel(logging.ERROR)

        async def attack(until: int, seed: int) -> None:
            fuzzers = (Fuzzer(seed + k) for k in range(AT_ONCE))
            await asyncio.gather(*(rude_client(server.port, f, judged, until) for f in fuzzers))

        asyncio.run(attack(count // 5, 10_000))  # what is loaded once is loaded now
        gc.collect()
        before = process.memory_info().rss
        asyncio.run(attack(count // 5 + count, 1))
        gc.collect()
        grown = process.memory_info().rss - before
        assert judged.messages >= count and judged.refused > count / 4
        assert server.counts.refused >= judged.refused  # and those that found the house full
        assert grown < MOST_GROWTH, f"{grown / 1e6:.0f} MB more"
        deadline = time.monotonic() + PATIENCE
        while server.counts.clients or server.counts.sessions:
            assert time.monotonic() < deadline, "somebody was not let go"
            time.sleep(0.05)
        # And an honest client is served as if nothing had been.
        with connect(server.url, compression=None, close_timeout=0.5) as link:
            greeting = codec.parse_text(link.recv(timeout=PATIENCE))
            assert isinstance(greeting, messages.Hello) and greeting.head == HEAD.id
            link.send('{"type":"open"}')
            frames = 0
            while frames < 5:
                data = link.recv(timeout=PATIENCE)
                frames += isinstance(data, bytes)
            link.send('{"type":"close"}')
            while session_messages.Closed.TYPE not in str(link.recv(timeout=PATIENCE)):
                pass
            link.send('{"type":"ping"}')
            frames = 0
            while frames < 5:  # of the stream that everybody sees
                frames += isinstance(link.recv(timeout=PATIENCE), bytes)
        stop.set()
    broken = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert not [text for text in broken if "opening handshake" not in text], broken[:3]


def test_bytes_that_are_no_websocket_frames_end_their_connection_only() -> None:
    random_bytes = random.Random(4)
    with Server(HEAD, make_hello(HEAD), port=0) as server:
        logging.getLogger("stream.serve.listener.websockets").setLevel(logging.CRITICAL)
        for turn in range(150):
            with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as link:
                if turn % 3:
                    link.sendall(_handshake(server.port))
                    assert link.recv(4096).startswith(b"HTTP/1.1 101")
                data = random_bytes.randbytes(random_bytes.randrange(1, 400))
                if turn % 3 == 2:  # masked frames of all kinds, lengths that are not meant
                    head = bytes([random_bytes.randrange(256), 0x80 | random_bytes.randrange(128)])
                    data = head + data
                link.sendall(data)
        deadline = time.monotonic() + PATIENCE
        while server.counts.clients:
            assert time.monotonic() < deadline, "somebody was not let go"
            time.sleep(0.05)
        with connect(server.url, compression=None, close_timeout=0.5) as good:
            assert isinstance(codec.parse_text(good.recv(timeout=PATIENCE)), messages.Hello)


def test_no_more_connections_than_there_may_be_and_the_oldest_go_first() -> None:
    limits = Limits(clients=3, handshakes=8, peer_handshakes=5)
    with Server(HEAD, make_hello(HEAD), port=0, limits=limits) as server:
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(12)]
        try:
            deadline = time.monotonic() + PATIENCE
            while server.counts.refusals["handshakes"] < 7:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            gone = [_is_closed(link) for link in idle]
            assert gone == [True] * 7 + [False] * 5
            with connect(server.url, compression=None, close_timeout=0.5) as good:
                assert isinstance(codec.parse_text(good.recv(timeout=PATIENCE)), messages.Hello)
        finally:
            for link in idle:
                link.close()


def _is_closed(link: socket.socket) -> bool:
    link.settimeout(0.3)
    try:
        return link.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def test_who_sends_too_much_is_read_more_slowly() -> None:
    bucket = Bucket(rate=10, size=5)
    assert [bucket.take(1, 0.0) for _ in range(5)] == [0.0] * 5
    assert bucket.take(1, 0.0) == pytest.approx(0.1)
    assert bucket.take(1, 0.1) == pytest.approx(0.1)
    assert bucket.take(1, 100.0) == 0.0
    assert bucket.take(54, 100.0) == pytest.approx(5.0)


def _handshake(port: int) -> bytes:
    return (
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
