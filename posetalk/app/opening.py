"""Where a run is put together: from settings to a session, a source and a server."""

from __future__ import annotations

import math
import os
import ssl
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from head.errors import WrongValue
from head.files.regular_file import open_regular
from posetalk.app.settings import AddressSettings, ModelSettings, StreamSettings, channel_of
from posetalk.app.tokens import OPERATOR_VARIABLE
from posetalk.terminal.console import say

if TYPE_CHECKING:
    from head.retarget import Retarget
    from stream.audio import AudioSource
    from stream.backends.protocol import Backend, FloatArray
    from stream.core.session import Session, SessionOptions
    from stream.serve.a2f.server import A2FServer
    from stream.serve.server import Server

MOST_PEM = 1 << 20
"""Bytes of a certificate's file."""
REACHABLE = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}
"""How this machine reaches addresses that only listen."""


def load_model(
    settings: ModelSettings, threads: int | None = None
) -> tuple[Backend, Retarget | None]:
    """What runs the model, the user's own styles among its styles, and how its motion moves the
    head that is asked for; None where it is its own.

    Args:
        threads: of a model call; None is what suits the model and the machine.

    Raises:
        diffposetalk.bundle.bundle.BundleError: no bundle.
        head.model.HeadError: no such head, or the motion cannot be mapped to it.
        ValueError: a setting that cannot be.
    """
    from head.rig import open_head
    from posetalk.app.user_styles import add_user_styles
    from stream.backends.registry import load_backend
    from stream.core.retarget import retarget_to

    backend = load_backend(
        settings.backend, settings.bundle, threads, settings.precision, settings.steps, settings.gpu
    )
    backend = add_user_styles(backend, settings.bundle, settings.style)
    head = settings.head
    return backend, None if head is None else retarget_to(backend, open_head(head))


def open_session(
    settings: ModelSettings,
    *,
    options: SessionOptions | None = None,
    shape: FloatArray | None = None,
    needs_head: bool = True,
) -> Session:
    """A session with these settings; loads the weights, which takes a moment and is shown.

    Args:
        options: other live settings; what `settings` names goes before them.
        shape: (n_shape,) identity; None is the bundle's mean.
        needs_head: whether the head that the motion belongs to must be here.

    Raises:
        diffposetalk.bundle.bundle.BundleError: no bundle, or its head is not here.
        head.model.HeadError, ValueError: as `load_model`.
    """
    from diffposetalk.bundle.bundle import require_head
    from posetalk.terminal.progress import working
    from stream.core.device_session import make_session

    if needs_head and settings.backend != "fake":
        require_head(settings.bundle)
    with working(f"loading {settings.bundle}"):
        backend, mapping = load_model(settings)
    if mapping is not None:
        say(f"motion of {mapping.source.id} moves {mapping.target.id} {mapping.how}")
    named = settings.live_options()
    if options is not None:
        wanted = {name: value for name, value in vars(named).items() if value is not None}
        named = replace(options, **wanted)
    return make_session(
        backend,
        options=named,
        shape=shape,
        style=settings.style,
        seed=settings.seed,
        retarget=mapping,
    )


def open_source(settings: StreamSettings, *, page: bool = False) -> AudioSource:
    """The source that `source` names: one of SOURCES, else an audio file.

    With a `page` to look at, a microphone that is not there is the page's instead.

    Raises:
        stream.sources.SourceError: it cannot be opened.
    """
    from stream.sources.file import FileSource

    if settings.source in SOURCES:
        return SOURCES[settings.source](settings, page)
    return FileSource(settings.source, channel=channel_of(settings.channel))


def _microphone(settings: StreamSettings, page: bool) -> AudioSource:
    """The microphone; where there is none, the page's or the demo speech."""
    from stream.sources.microphone import Microphone
    from stream.sources.native.portaudio import MicrophoneError
    from stream.sources.pushed import PushedSource
    from stream.sources.returning import STALL_SECONDS, ReturningSource

    device = settings.device
    wanted = int(device) if device and device.isdigit() else device
    try:
        channel = channel_of(settings.channel)
        return ReturningSource(
            lambda: Microphone(wanted, silence_timeout=STALL_SECONDS, channel=channel)
        )
    except MicrophoneError as error:
        if device or settings.channel != "auto":
            raise
        if page:
            say(f"{error.reason}; speak through the page")
            return PushedSource()
        say(f"{error.reason}; playing the demo speech")
        return _demo(settings, page)


def _demo(settings: StreamSettings, page: bool) -> AudioSource:
    from posetalk import demo_speech
    from stream.sources.file import FileSource

    return FileSource(demo_speech())


def _pushed(settings: StreamSettings, page: bool) -> AudioSource:
    from stream.sources.nothing import NoSource

    return NoSource("pushed audio")


def _none(settings: StreamSettings, page: bool) -> AudioSource:
    from stream.sources.nothing import NoSource

    return NoSource()


def _standard_input(settings: StreamSettings, page: bool) -> AudioSource:
    from stream.sources.raw import RawSource

    return RawSource(channel=channel_of(settings.channel))


SOURCES: dict[str, Callable[[StreamSettings, bool], AudioSource]] = {
    "mic": _microphone,
    "demo": _demo,
    "push": _pushed,
    "none": _none,
    "-": _standard_input,
}
"""What `--source` may name besides a file: how each is opened, with a page to look at or not."""


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
