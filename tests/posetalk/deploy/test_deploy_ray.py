"""`posetalk deploy` on Ray itself: sessions, refusals, the page, a direct address, the end."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cli import finish, start, wait_for_line
from websockets.sync.client import connect

import posetalk
from posetalk.client import ClientError, RequestError

pytestmark = pytest.mark.extra("ray")

TOKEN = "a-token-of-sixteen-and-more"
SECONDS = 900.0
"""A machine that is busy starts Ray's many processes in minutes."""
SPEECH = (0.3 * np.sin(np.arange(48000) / 12)).astype(np.float32)


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def deployed(cwd: Path, *arguments: str, **environment: str) -> Iterator[str]:
    """The command itself; yields host and port."""
    port = free_port()
    process = start("deploy", "--port", str(port), *arguments, cwd=cwd, **environment)
    try:
        assert "sessions on" in wait_for_line(process, "replicas")
        yield f"127.0.0.1:{port}"
        process.send_signal(signal.SIGINT)
        code, _, messages = finish(process, SECONDS)
        assert code == 130, messages
        assert [line for line in messages.splitlines() if not line.startswith("posetalk: ")] == []
    finally:
        process.kill()
        process.communicate()


def read(url: str) -> int:
    """The status of a page."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def client(place: str) -> posetalk.Client:
    """A client that has patience."""
    return posetalk.Client(f"ws://{place}", token=TOKEN, timeout=60.0)


@pytest.mark.timeout(2400)
def test_sessions_through_serves_proxy(tmp_path: Path) -> None:
    options = ["--backend", "fake", "--replicas", "2", "--sessions", "2", "--direct"]
    with deployed(tmp_path, *options, POSETALK_TOKEN=TOKEN) as place:
        assert read(f"http://{place}/?token={TOKEN}") == 200
        assert read(f"http://{place}/readyz?token={TOKEN}") == 200
        assert read(f"http://{place}/readyz") == 401
        with pytest.raises(ClientError, match=r"token|does not let"):
            posetalk.Client(f"ws://{place}", timeout=60.0).connect()
        with client(place) as speaker:
            opened = speaker.open(seed=3)
            assert opened.sample == 0
            speaker.push(SPEECH)
            speaker.flush()
            samples = []
            for frame in speaker.frames():
                samples.append(frame.sample)
                if len(samples) == 75:
                    break
            assert samples == [640 * number for number in range(75)]
            # One session of each replica is kept free for those of a lost one.
            full = 0
            others = [client(place).connect() for _ in range(5)]
            for other in others:
                try:
                    other.open()
                except RequestError as error:
                    assert error.code == "capacity" and error.retry_after == 5.0
                    full += 1
            assert full == 4
            for other in others:
                other.close()
        with connect(
            f"ws://{place}/direct", additional_headers={"Authorization": f"Bearer {TOKEN}"}
        ) as held:
            told = json.loads(held.recv(timeout=60))
            assert told["type"] == "direct"
            port = told["url"].rpartition(":")[2]
            with client(f"127.0.0.1:{port}") as near:
                near.open()
                near.push(SPEECH)
                assert next(near.frames()).sample == 0


def test_what_cannot_be_deployed_is_one_line(tmp_path: Path) -> None:
    code, _, messages = finish(start("deploy", "--replicas", "0", cwd=tmp_path))
    assert code == 2 and "--replicas 0: at least 1" in messages
    environment = {"RAY_ADDRESS": "127.0.0.1:1"}
    process = start("deploy", "--backend", "fake", cwd=tmp_path, **environment)
    code, _, messages = finish(process, SECONDS)
    assert code == 1 and "no cluster answers at 127.0.0.1:1" in messages
    assert len(messages.strip().splitlines()) == 1
