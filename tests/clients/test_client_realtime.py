"""The example for realtime speech, against a socket that speaks the service's events."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE
from websockets.asyncio.server import ServerConnection, serve

import posetalk
from head.rig import builtin_head
from posetalk.client import ClientSound
from stream.backends.registry import load_backend
from stream.core.session import Session
from stream.run.push.loop import PushLoop
from stream.serve.server import Server
from stream.wire.channels import make_hello

HEAD = builtin_head()

PATH = Path(__file__).resolve().parents[2] / "clients/realtime/realtime_face.py"
TONE = (8000 * np.sin(np.arange(19200) * 2 * np.pi * 300 / 24000)).astype("<i2")


@pytest.fixture
def avatar() -> Iterator[Server]:
    """A face that says what clients push, as `serve --source push` has it."""
    stop = threading.Event()
    with Server(HEAD, make_hello(HEAD), port=0) as server:
        loop = PushLoop(Session(load_backend("fake")), [server], early=server)
        server.controls.push, server.controls.fits = loop.push, loop.fits
        server.controls.interrupt = loop.interrupt
        worker = threading.Thread(target=loop.run, kwargs={"stop": stop})
        worker.start()
        yield server
        stop.set()
        worker.join(PATIENCE)


def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("realtime_face", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def delta(samples: np.ndarray[Any, Any], kind: str) -> dict[str, str]:
    return {"type": kind, "delta": base64.b64encode(samples.tobytes()).decode()}


class Service:
    """A realtime service that says what it was given once it was asked."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self.events = events
        self.asked: list[Any] = []
        self.authorization = ""

    async def answer(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.authorization = socket.request.headers.get("Authorization", "")
        await socket.send(json.dumps({"type": "session.created", "session": {}}))
        self.asked.append(json.loads(await socket.recv()))
        for event in self.events:
            await asyncio.sleep(event.get("wait", 0.0))
            await socket.send(json.dumps(event))
        await socket.close()


async def heard_of(server: Server, service: Service) -> np.ndarray[Any, Any]:
    """What a viewer of the face hears within 1.4 seconds from its first sound on."""
    async with serve(service.answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with posetalk.AsyncClient(server.url, set="flame", audio=True) as viewer:
            speaking = asyncio.create_task(
                example().speak(f"ws://127.0.0.1:{port}", server.url, "hi")
            )
            blocks = [each async for each in sounds(viewer, 1.4)]
            await speaking
    return np.concatenate(blocks)


async def sounds(viewer: posetalk.AsyncClient, seconds: float) -> AsyncIterator[Any]:
    taken = 0
    async for event in viewer.events():
        if isinstance(event, ClientSound):
            loud = taken or np.abs(event.samples).max() > 0.01
            if loud:
                taken += len(event.samples)
                yield event.samples
            if taken > seconds * 16000:
                return


@pytest.mark.parametrize("kind", ["response.output_audio.delta", "response.audio.delta"])
def test_deltas_are_spoken(avatar: Server, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    service = Service(*(delta(TONE[at : at + 3600], kind) for at in range(0, len(TONE), 3600)))
    heard = asyncio.run(heard_of(avatar, service))
    assert service.authorization == "Bearer k" and service.asked[0]["type"] == "response.create"
    loud = np.abs(heard) > 0.05
    assert loud[:12000].mean() > 0.6 and not loud[15500:].any(), "0.8 s, and then silence"


def test_the_user_cuts_the_face(avatar: Server) -> None:
    kind = "response.output_audio.delta"
    long = np.tile(TONE, 20)
    service = Service(delta(long, kind), {"type": "input_audio_buffer.speech_started", "wait": 0.3})
    heard = asyncio.run(heard_of(avatar, service))
    assert not (np.abs(heard[-5000:]) > 0.05).any(), "of twenty seconds"


def test_an_error_ends_it_with_its_words(avatar: Server) -> None:
    service = Service({"type": "error", "error": {"message": "no such model"}})

    async def run(url: str) -> None:
        async with serve(service.answer, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            await example().speak(f"ws://127.0.0.1:{port}", url)

    with pytest.raises(SystemExit, match="no such model"):
        asyncio.run(run(avatar.url))
