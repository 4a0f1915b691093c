"""A replica behind an ASGI server, without Ray: websockets, pages, refusals, places."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus

import numpy as np
import pytest
import uvicorn
from patience import PATIENCE
from websockets.sync.client import connect

import posetalk
from posetalk.app.settings.address import AddressSettings
from posetalk.app.settings.model import ModelSettings
from posetalk.client import RequestError
from posetalk.corpus.worker import Expected, bundle_hash
from posetalk.deploy.asgi import ReplicaApp
from posetalk.deploy.pages import PageDesk
from posetalk.deploy.replica import Replica, ReplicaError
from posetalk.deploy.settings import DeploySettings, ReplicaSettings, ticket_key
from stream.serve.door.http_pages import Answer
from viewer.client.errors import Busy, ClientError, Refused

pytestmark = pytest.mark.extra("ray")

TOKEN = "a token of sixteen and more"
SPEECH = (0.3 * np.sin(np.arange(16000) / 12)).astype(np.float32)


def settings(sessions: int = 2, **deployment: object) -> ReplicaSettings:
    """Of a replica with a fake model."""
    wanted = DeploySettings(model=ModelSettings(backend="fake"), **deployment)  # type: ignore[arg-type]
    version = Expected("").posetalk
    return ReplicaSettings(wanted, sessions, ticket_key(None), version, bundle_hash("starter"))


@contextlib.contextmanager
def running(told: ReplicaSettings) -> Iterator[tuple[str, Replica]]:
    """A replica and its page behind uvicorn, as Ray Serve's proxy has them behind itself."""
    replica, desk = Replica(told), PageDesk(told)

    async def page(method, target, headers, address):  # type: ignore[no-untyped-def]
        desk.note("one", replica.note())
        return desk.answer(method, target, headers, address)

    direct = replica.url if told.deployment.direct else None
    has_token = told.deployment.address.token is not None
    app = ReplicaApp(replica.server, page, direct, has_token=has_token)
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="critical", ws="websockets-sansio")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"127.0.0.1:{port}", replica
    finally:
        server.should_exit = True
        replica.close()
        thread.join(PATIENCE)


def read(url: str) -> tuple[int, bytes]:
    """A page."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def spoken(client: posetalk.Client, frames: int) -> list[int]:
    """Samples of the frames of a second of speech in a session of its own."""
    client.push(SPEECH)
    client.flush()
    found = []
    for frame in client.frames():
        found.append(frame.sample)
        if len(found) == frames:
            break
    return found


def test_a_client_has_its_session_as_of_serve() -> None:
    with running(settings()) as (place, replica), posetalk.Client(f"ws://{place}") as client:
        assert client.hello.accepts == ["open"]
        client.open(seed=3)
        assert spoken(client, 20) == [640 * number for number in range(20)]
        assert replica.note().sessions == 1
        client.close_session()
        with pytest.raises(RequestError):
            client.push(SPEECH)


def test_pages_and_probes() -> None:
    with running(settings(sessions=1)) as (place, _):
        status, body = read(f"http://{place}/")
        assert status == 200 and b"<html" in body.lower()
        assert read(f"http://{place}/healthz")[0] == 200
        assert read(f"http://{place}/readyz")[0] == 200
        assert b"posetalk_session_places 1" in read(f"http://{place}/metrics")[1]
        assert read(f"http://{place}/nothing")[0] == 404
        with posetalk.Client(f"ws://{place}") as client:
            client.open()
            status, body = read(f"http://{place}/readyz")
            assert (status, json.loads(body)["status"]) == (503, "full")


def test_who_finds_no_session_is_told_when_to_try_again() -> None:
    with running(settings(sessions=4, replicas=2)) as (place, _):
        clients = [posetalk.Client(f"ws://{place}").connect() for _ in range(3)]
        for client in clients[:2]:
            client.open()
        with pytest.raises(RequestError, match="all 2 sessions of this replica are taken") as full:
            clients[2].open()
        assert full.value.code == "capacity" and full.value.retry_after == 5.0
        clients[0].close()
        clients[2].open()
        for client in clients:
            client.close()


def test_the_door_is_that_of_serve() -> None:
    told = settings(address=AddressSettings(token=TOKEN))
    with running(told) as (place, replica):
        with pytest.raises(Refused, match="wants a token"):
            posetalk.Client(f"ws://{place}").connect()
        with posetalk.Client(f"ws://{place}", token=TOKEN) as client:
            client.open()
        assert read(f"http://{place}/readyz")[0] == 401
        replica.server.let_in(0, 2, 5.0)
        with pytest.raises(Busy, match="too many clients"):
            posetalk.Client(f"ws://{place}", token=TOKEN).connect()
    with running(settings()) as (place, replica):
        with connect(f"ws://{place}", compression=None) as socket:
            socket.recv()
            socket.send("no JSON")
            assert json.loads(socket.recv())["code"] == "json"
        with connect(f"ws://{place}", compression=None) as socket:
            socket.recv()
            socket.send(bytes(2 << 20))  # more than a message may have
            with pytest.raises(Exception, match="1009"):
                socket.recv()
        for _ in range(200):
            if replica.note().clients == 0:
                break
            threading.Event().wait(0.05)
        assert replica.note().clients == 0, "who has gone has no place any more"


def test_without_a_token_only_this_machine_is_served() -> None:
    """Whatever address Ray's proxy listens on."""
    replica = Replica(settings())

    async def ask(kind: str, client: tuple[str, int]) -> list[dict[str, object]]:
        sent: list[dict[str, object]] = []

        async def receive() -> dict[str, object]:
            return {"type": "websocket.connect" if len(sent) == 0 else "websocket.disconnect"}

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        async def page(*_: object) -> Answer:
            return Answer(HTTPStatus.OK, {}, b"")

        scope = {"type": kind, "path": "/", "headers": [], "client": client, "method": "GET"}
        await ReplicaApp(replica.server, page)(scope, receive, send)  # type: ignore[arg-type]
        return sent

    try:
        assert asyncio.run(ask("http", ("10.0.0.7", 1)))[0]["status"] == 403
        assert asyncio.run(ask("http", ("127.0.0.1", 1)))[0]["status"] == 200
        assert asyncio.run(ask("websocket", ("10.0.0.7", 1)))[0]["type"] == "websocket.close"
        assert asyncio.run(ask("websocket", ("127.0.0.1", 1)))[0]["type"] == "websocket.accept"
    finally:
        replica.close()


def test_a_direct_address_is_told_and_its_place_held() -> None:
    with (
        running(settings(direct=True)) as (place, replica),
        connect(f"ws://{place}/direct", compression=None) as held,
    ):
        told = json.loads(held.recv())
        assert told == {"type": "direct", "url": replica.url}
        with posetalk.Client(told["url"]) as client:
            client.open()
            assert len(spoken(client, 5)) == 5
    with (
        running(settings(direct=True)) as (place, replica),
        posetalk.Client(f"ws://{place}", direct=True) as client,
    ):
        client.open(resume=True)
        assert len(spoken(client, 5)) == 5
        assert replica.note().clients == 1
    with running(settings()) as (place, _):
        with posetalk.Client(f"ws://{place}/direct") as client:
            client.open()  # there is none: the session is here
        with pytest.raises(ClientError, match="no direct addresses: start it with --direct"):
            posetalk.Client(f"ws://{place}", direct=True).connect()


@pytest.mark.parametrize(
    ("listens", "told"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "10.0.0.7"), ("::1", "[::1]")]
)
def test_the_address_that_is_told_can_be_reached(listens: str, told: str) -> None:
    """A replica that listens on this machine alone names it, not the node's address."""
    address = AddressSettings(host=listens, token=TOKEN)
    replica = Replica(settings(direct=True, address=address), "10.0.0.7")
    replica.close()
    assert replica.url.rpartition(":")[0] == f"ws://{told}"


def test_a_node_that_is_not_alike_says_so() -> None:
    told = settings()
    with pytest.raises(ReplicaError, match=r"node \S+: posetalk \S+ is installed there, 0\.0\.1"):
        Replica(replace(told, posetalk="0.0.1"))
    with pytest.raises(ReplicaError, match="the bundle starter is another one there"):
        Replica(replace(told, bundle="another"))
    nowhere = replace(told.deployment, model=ModelSettings(bundle="/nowhere/at/all"))
    with pytest.raises(ReplicaError, match="/nowhere/at/all"):
        Replica(replace(told, deployment=nowhere))
