"""Where a server is put together: from settings and a session to a port, its page and its door."""

from __future__ import annotations

import math
import os
import ssl
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from head.errors import WrongValue
from head.files.regular_file import open_regular
from posetalk.app.settings.address import AddressSettings
from posetalk.app.settings.stream import StreamSettings
from posetalk.app.settings.tokens import OPERATOR_VARIABLE

if TYPE_CHECKING:
    from stream.core.session import Session
    from stream.serve.a2f.server import A2FServer
    from stream.serve.server import Server

MOST_PEM = 1 << 20
"""Bytes of a certificate's file."""
REACHABLE = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}
"""How this machine reaches addresses that only listen."""


def open_server(
    settings: StreamSettings, session: Session, *, page: bool = True, workers: int | None = None
) -> Server:
    """A server for the session's head and styles, with a page, and room for more sessions.

    It listens once it is started.

    Args:
        page: whether browsers get the page here.
        workers: threads that share a batch of the sessions; None is what suits the machine.

    Raises:
        stream.serve.server.ServerError: it may not serve there.
        OSError, ValueError: the certificate cannot be used.
        head.model.HeadError: there is no such head.
    """
    from head.rig import CHARACTERS, character, load_head, open_head
    from stream.core.session import Session
    from stream.run.other_heads import other_heads
    from stream.run.push.factory import SessionFactory
    from stream.run.scheduler import Scheduler
    from stream.serve.limits import Limits
    from stream.serve.server import Server
    from stream.wire.channels import make_hello
    from viewer.page.site import get_ready, make_site

    backend, address = session.backend, settings.address
    head = load_head(session.head_id)
    hello = make_hello(
        head, style=session.style_name, styles=list(backend.styles), shape=session.shape
    )
    heads = [open_head(name) for name in settings.other_heads]
    others = other_heads(backend, heads, session.head_id)
    options = settings.model.live_options()
    sessions = SessionFactory(
        lambda: Scheduler(
            backend, settings.sessions, workers=workers, like=Session(backend, options=options)
        ),
        backend,
        options,
        preset=settings.model.preset if settings.model.lookahead is None else None,
        style=session.style_name,
        shape=session.shape,
        heads=others,
        retarget=session.retarget,
    )
    pages = {}
    if page:
        characters = [character(name) for name in CHARACTERS]
        pages = make_site(head, session.shape, [*heads, *characters])
        get_ready(pages)
    server = Server(
        head,
        hello,
        address.host,
        address.port,
        token=address.secret(),
        operator_token=os.environ.get(OPERATOR_VARIABLE),
        limits=Limits(peer_sessions=max(1, math.ceil(settings.sessions / 2))),
        pages=pages,
        sessions=sessions if settings.sessions else None,
        origins=address.origin,
        ssl=tls_context(address),
    )
    server.health.session_places = settings.sessions
    server.health.models.append(session)
    return server


def open_a2f(
    settings: StreamSettings, session: Session, server: Server, port: int | None = None
) -> A2FServer:
    """NVIDIA's Audio2Face-3D service over the sessions that `server` gives away.

    It listens once it is started.

    Raises:
        ImportError: the extra `a2f` is not installed.
        UsageError: there are no sessions to give away.
    """
    from head.rig import load_head
    from posetalk.terminal.console import UsageError
    from posetalk.terminal.progress import working
    from stream.serve.a2f.admission import Door
    from stream.serve.a2f.server import DEFAULT_PORT, A2FServer, TlsFiles
    from stream.serve.a2f.service import ServiceContext

    address, factory = settings.address, server.factory
    if factory is None:
        raise UsageError("--a2f gives each client a session: --sessions must be 1 or more")
    with working("getting ready"):
        factory.start()  # here, so that no client waits for it
    door = Door(address.secret(), os.environ.get(OPERATOR_VARIABLE), server.limits)
    host = ServiceContext(factory, load_head(session.head_id), door, server.filters, server.limits)
    server.health.a2f = host.counts
    tls = None
    if address.tls_cert is not None:
        tls = TlsFiles(address.tls_cert, address.tls_key, address.tls_client_ca)
    return A2FServer(host, address.host, DEFAULT_PORT if port is None else port, tls)


def tls_context(address: AddressSettings) -> ssl.SSLContext | None:
    """TLS with the files that are named; None: there is none.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is not what it should be; one line.
    """
    certificate, key, clients = address.tls_cert, address.tls_key, address.tls_client_ca
    if certificate is None:
        return None
    for file in filter(None, (certificate, key, clients)):
        open_regular(file, MOST_PEM).close()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError:
        what = "a PEM file with a certificate" + ("" if key else " and its private key")
        raise WrongValue(
            f"{certificate}: not {what}" + (f", or {key} is not its key" if key else "")
        ) from None
    if clients is not None:
        try:
            context.load_verify_locations(clients)
        except ssl.SSLError:
            raise WrongValue(f"{clients}: not a PEM file with certificates") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def page_address(settings: StreamSettings, server: Server, options: Sequence[str] = ()) -> str:
    """What to type into a browser on this machine: with its token on a terminal only, as what is
    written elsewhere is kept.  `options` are what the page is told: `obs`, the face alone for
    streaming programs, or NAME=VALUE.
    """
    host = REACHABLE.get(server.host, server.host)
    token = settings.address.secret() if sys.stderr.isatty() else None
    parts = [*options] + ([] if token is None else [f"token={quote(token)}"])
    query = f"?{'&'.join(parts)}" if parts else ""
    return f"{server.page_url.replace(server.host, host, 1)}{query}"
