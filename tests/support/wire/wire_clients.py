"""A server on the built-in head and clients of it, for the tests of what goes over the socket."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from patience import PATIENCE
from websockets.sync.client import ClientConnection, connect

from head.rig import builtin_head
from stream.frames import Frame
from stream.serve.server import Server
from stream.wire import codec, messages
from stream.wire.channels import make_hello
from stream.wire.codec import Kind

HEAD = builtin_head()
HELLO = make_hello(HEAD, style="calm", styles=["calm", "lively"])


def frame(sequence: int) -> Frame:
    motion = np.random.default_rng(sequence).uniform(0, 0.2, 54).astype("f4")
    return Frame(sequence, 640 * sequence, motion)


@contextlib.contextmanager
def client(server: Server, **options: Any) -> Iterator[ClientConnection]:
    """A connected client that has read the hello."""
    with connect(server.url, compression=None, close_timeout=0.5, **options) as connection:
        assert isinstance(codec.parse_text(connection.recv(timeout=PATIENCE)), messages.Hello)
        yield connection


def receive(connection: ClientConnection) -> codec.Message | codec.Text | messages.Unknown:
    data = connection.recv(timeout=PATIENCE)
    return codec.parse(data) if isinstance(data, bytes) else codec.parse_text(data)


def until(connection: ClientConnection, kind: Any) -> Any:
    """The next message of a class (text) or a kind (binary)."""
    while True:
        message = receive(connection)
        if isinstance(kind, Kind):
            if isinstance(message, codec.Message) and message.kind == kind:
                return message
        elif isinstance(message, kind):
            return message


def settled(connection: ClientConnection) -> None:
    """Wait until the server has read everything sent so far."""
    connection.send(codec.serialise_text(messages.Ping(7)))
    assert until(connection, messages.Pong).id == 7
