"""Whatever a client sends: nobody gets a frame that is no motion, and neighbours miss none."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from any_client import requests
from any_client.witness import Witness
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from patience import PATIENCE
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from head.rig import load_head
from stream.core.conditions import ConditionChange
from stream.core.session import Session
from stream.run.push.factory import SessionFactory
from stream.run.push.loop import PushLoop
from stream.run.scheduler import Scheduler
from stream.serve.limits import Limits
from stream.serve.server import Server
from stream.wire import codec, messages, session_messages
from stream.wire.channels import make_hello

# Websockets draw their pings from `random`, in other threads, while hypothesis draws.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
FREE = Limits(rate=1e9, burst=1e9, peer_rate=1e9, peer_burst=1e9, server_rate=1e9, server_burst=1e9)


class Neighbour:
    """Watches on a thread of its own, and judges what comes."""

    def __init__(self, url: str, session: bool) -> None:
        self.frames, self.faults = 0, []  # type: int, list[str]
        self._closing = contextlib.ExitStack()
        options: dict[str, Any] = {"compression": None, "max_size": None, "close_timeout": 0.5}
        self._link = self._closing.enter_context(connect(url, **options))
        if session:
            self._link.send('{"type":"open","seed":5}')
        self._last: int | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            for data in self._link:
                if isinstance(data, str):
                    if codec.parse_text(data).__class__ is session_messages.Opened:
                        self._last = None
                    continue
                message = codec.parse(data)
                if message.kind != codec.Kind.FLAME:
                    continue
                if self._last is not None and message.sequence != self._last + 1:
                    self.faults.append(f"{self._last} is followed by {message.sequence}")
                if not np.isfinite(message.payload).all():
                    self.faults.append(f"{message.sequence} is no motion")
                self._last = message.sequence
                self.frames += 1

    def close(self) -> None:
        self._closing.close()
        self._thread.join(PATIENCE)


class Place:
    """A server with the starter, and two neighbours: one watches, one has a session."""

    def __init__(self) -> None:
        backend: Any = Witness()
        self.bad = backend.bad
        head = load_head(backend.head_id)
        sessions = SessionFactory(lambda: Scheduler(backend, 4), backend)
        self.session = Session(backend)
        hello = make_hello(head, styles=list(backend.styles))
        self.server = Server(head, hello, port=0, sessions=sessions, limits=FREE)
        self._stop = threading.Event()

    def __enter__(self) -> Place:
        server = self.server
        server.start()
        loop = PushLoop(self.session, [server], early=server)
        controls = server.controls
        controls.push, controls.interrupt, controls.sends_early = loop.push, loop.interrupt, True
        controls.change = lambda request: loop.change(ConditionChange(**request.asked()))
        self._worker = threading.Thread(target=loop.run, kwargs={"stop": self._stop}, daemon=True)
        self._worker.start()
        self.neighbours = [Neighbour(server.url, False), Neighbour(server.url, True)]
        return self

    def __exit__(self, *_: object) -> None:
        for neighbour in self.neighbours:
            neighbour.close()
        self._stop.set()
        self._worker.join(PATIENCE)
        self.server.close()


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with Place() as made:
        yield made


def _speak(link: ClientConnection, sent: Sequence[str | bytes]) -> list[codec.Message]:
    """Everything that comes until all was judged; a client that is cut off has said enough."""
    came: list[codec.Message] = []
    with contextlib.suppress(ConnectionClosed):
        for message in sent:
            link.send(message)
        link.send('{"type":"ping","id":9}')
        while True:
            data = link.recv(timeout=PATIENCE)
            if isinstance(data, bytes):
                came.append(codec.parse(data))  # raises for what is no number
            elif getattr(codec.parse_text(data), "TYPE", "") == messages.Pong.TYPE:
                break
    return came


def _hold(place: Place, sent: Sequence[str | bytes]) -> None:
    """The property."""
    before = [neighbour.frames for neighbour in place.neighbours]
    with connect(place.server.url, compression=None, max_size=None, close_timeout=0.5) as link:
        came = _speak(link, sent)
    assert all(np.isfinite(m.payload).all() for m in came if m.payload.dtype.kind == "f")
    assert not place.bad
    assert np.isfinite(place.session.state.motion).all()
    deadline = time.monotonic() + PATIENCE
    while any(n.frames <= b for n, b in zip(place.neighbours, before, strict=True)):
        assert time.monotonic() < deadline, "a neighbour gets no frames any more"
        time.sleep(0.01)
    assert [neighbour.faults for neighbour in place.neighbours] == [[], []]


_drawn = given(sent=st.lists(requests.messages, min_size=3, max_size=12))
_checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture]


@settings(max_examples=12, derandomize=True, suppress_health_check=_checks)
@_drawn
def test_whatever_is_sent_only_motion_is_seen(place: Place, sent: list[str | bytes]) -> None:
    _hold(place, sent)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@settings(max_examples=600, suppress_health_check=_checks)
@_drawn
def test_whatever_is_sent_only_motion_is_seen_for_long(
    place: Place, sent: list[str | bytes]
) -> None:
    _hold(place, sent)
