"""Servers that take each other's tickets, as replicas of one deployment do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from head.rig import builtin_head
from stream.backends.fake import FakeBackend
from stream.backends.protocol import Backend
from stream.run.push.factory import SessionFactory
from stream.run.scheduler import Scheduler
from stream.serve.server import Server
from stream.wire.channels import make_hello

KEY = b"a key that all replicas have"


@contextmanager
def replica(
    backend: Backend | None = None, capacity: int = 4, key: bytes = KEY
) -> Iterator[Server]:
    """A server whose tickets others of the same key know."""
    backend = backend or FakeBackend()
    head, styles = builtin_head(), list(backend.styles)
    hello = make_hello(head, style=styles[0], styles=styles)
    factory = SessionFactory(lambda: Scheduler(backend, capacity), backend)
    server = Server(head, hello, port=0, sessions=factory)
    server.sign_tickets(key)
    with server:
        yield server
