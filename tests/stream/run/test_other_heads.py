"""Sessions on heads of their own: one model, one batch, each client's frames for its own head."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from flame_files import flame_model, pickled
from patience import PATIENCE
from websockets.sync.client import connect
from wire_clients import until

from head.importing.flame import import_flame
from head.model import Head
from head.retarget import retarget
from head.rig import builtin_head
from posetalk import Client
from posetalk.client import RequestError
from stream.backends.fake import FakeBackend
from stream.backends.protocol import FloatArray, SamplerCall
from stream.core.retarget import retarget_to
from stream.core.session import Session
from stream.frames import Frame
from stream.run.other_heads import other_heads
from stream.run.push.factory import SessionFactory
from stream.run.scheduler import Scheduler
from stream.serve.server import Server
from stream.wire import codec, messages, session_messages
from stream.wire.channels import channel_names, make_hello
from stream.wire.codec import Kind

SPEECH = np.random.default_rng(0).normal(0, 0.15, 16000).clip(-1, 1).astype("f4")


@pytest.fixture(scope="module")
def flame() -> Head:
    return import_flame(pickled(flame_model(builtin_head())), "f.pkl", "flame")


class Smiling(FakeBackend):
    """Smiles while it speaks; remembers how many sessions shared each call."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def sample_many(self, calls: Sequence[SamplerCall]) -> list[FloatArray]:
        self.sizes.append(len(calls))
        return super().sample_many(calls)

    def sample(self, call: SamplerCall) -> FloatArray:
        motion = super().sample(call)
        smile = builtin_head().expression_names.index("mouthSmileLeft")
        motion[:, smile] = 3 * motion[:, -1]
        return motion


def test_two_heads_share_a_batch_and_each_gets_its_own_frames(flame: Head) -> None:
    model = Smiling()
    heard: tuple[list[Frame], list[Frame]] = ([], [])
    mapping = retarget_to(model, flame)
    with Scheduler(model, 2, workers=1) as scheduler:
        sessions = [Session(model, seed=3), Session(model, seed=3, retarget=mapping)]
        scheduled_sessions = [
            scheduler.open(session, frames.extend, realtime=False)
            for session, frames in zip(sessions, heard, strict=True)
        ]
        for start in range(0, len(SPEECH), 1280):
            with scheduler.lock:  # both are ready before either is served
                for scheduled in scheduled_sessions:
                    scheduled.feed(SPEECH[start : start + 1280])
        for scheduled in scheduled_sessions:
            scheduled.finish()
            assert scheduled.ended.wait(PATIENCE) and scheduled.error is None
    assert max(model.sizes) == 2 and model.sizes.count(2) > len(model.sizes) / 2
    own, other = (np.array([frame.motion for frame in frames]) for frames in heard)
    assert len(own) == len(other) == 25
    np.testing.assert_allclose(other, retarget(builtin_head(), flame)(own), atol=1e-6)
    assert np.abs(other - own).max() > 0.01, "the heads do not move by the same numbers"


def test_a_session_of_another_model_is_not_taken() -> None:
    model = FakeBackend()
    with Scheduler(model, 1) as scheduler, pytest.raises(ValueError, match="another backend"):
        scheduler.open(Session(FakeBackend()), lambda frames: None)


def test_the_heads_of_a_server_are_made_ready_once(flame: Head) -> None:
    model = FakeBackend()
    ready = other_heads(model, [flame, builtin_head()])
    assert [*ready] == ["flame"], "the server's own is no other"
    mapping = ready["flame"].retarget
    assert mapping is not None and mapping.target.id == "flame"
    # A server on another head can give its model's own.
    back = other_heads(model, [builtin_head()], moved="flame")
    assert back[builtin_head().id].retarget is None


@pytest.fixture
def server(flame: Head) -> Iterator[Server]:
    backend = FakeBackend()
    sessions = SessionFactory(
        lambda: Scheduler(backend, 4), backend, heads=other_heads(backend, [flame])
    )
    head = builtin_head()
    with Server(head, make_hello(head), port=0, sessions=sessions) as running:
        yield running


def test_over_the_socket_each_head_is_told_with_its_session(server: Server, flame: Head) -> None:
    with connect(server.url, compression=None, max_size=None, close_timeout=0.5) as link:
        hello = until(link, messages.Hello)
        assert hello.heads == ["flame"] and hello.head == builtin_head().id
        link.send(codec.serialise_text(messages.Subscribe("vertices")))
        corners = 0
        while corners < 3 * hello.faces:
            corners += len(until(link, Kind.FACES).payload)
        link.send(codec.serialise_text(session_messages.Open(head="flame")))
        opened = until(link, session_messages.Opened)
        assert (opened.head, opened.vertices, opened.faces) == (
            "flame",
            flame.vertex_count,
            len(flame.faces),
        )
        assert opened.channels == channel_names(flame)
        corners = 0
        while corners < 3 * opened.faces:
            corners += len(until(link, Kind.FACES).payload)
        assert len(until(link, Kind.VERTICES).payload) == 3 * flame.vertex_count
        link.send(codec.serialise_text(session_messages.Close()))
        until(link, session_messages.Closed)
        assert len(until(link, Kind.FACES).payload) > 0, "the server's own triangles come again"
        server.on_frame(Frame(0, 0, np.zeros(54, "f4")))
        assert len(until(link, Kind.VERTICES).payload) == 3 * hello.vertices


@pytest.mark.parametrize(
    ("asked", "words"),
    [({"head": "bob"}, "no head 'bob'"), ({"head": "flame", "shape": [0.5] * 100}, "shape")],
)
def test_a_head_that_cannot_be_is_refused(server: Server, asked: dict, words: str) -> None:
    with connect(server.url, compression=None, close_timeout=0.5) as link:
        link.send(codec.serialise_text(session_messages.Open(**asked)))
        error = until(link, messages.Error)
        assert error.code == "open" and words in error.message and not error.fatal


def test_two_clients_at_once_each_with_a_head(server: Server, flame: Head) -> None:
    heard: dict[str, list] = {"": [], "flame": []}

    def visit(head: str) -> None:
        with Client(server.url) as client:
            client.open(head=head, seed=3)
            client.push(SPEECH)
            client.flush()
            for frame in client.frames():
                heard[head].append(frame)
                if len(heard[head]) == 30:
                    return

    threads = [threading.Thread(target=visit, args=(head,)) for head in heard]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert heard[""][0].names == tuple(channel_names(builtin_head())["flame"])
    assert heard["flame"][0].names == tuple(channel_names(flame)["flame"])
    jaws = [np.array([frame["jawX"] for frame in frames]) for frames in heard.values()]
    open_at = [jaw.max() for jaw in jaws]
    assert min(open_at) > 0.02, "both speak"


def test_a_client_reads_another_heads_vertices(server: Server, flame: Head) -> None:
    with Client(server.url, set="vertices") as client:
        client.open(head="flame")
        frame = next(client.frames())
        assert frame.values.shape == (flame.vertex_count, 3)
        assert client.faces is not None and client.faces.shape == (len(flame.faces), 3)
        with pytest.raises(RequestError, match="no head"):
            client.open(head="bob")
