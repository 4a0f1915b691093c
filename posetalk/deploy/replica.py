"""One replica: the model, a server with its sessions, and what it tells of itself; no Ray here."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import replace

from head.errors import PosetalkError
from posetalk.app.settings.address import AddressSettings
from posetalk.app.settings.stream import StreamSettings
from posetalk.deploy.board import Note
from posetalk.deploy.settings import SPARE_REQUESTS, DeploySettings, ReplicaSettings, for_newcomers
from stream.serve.door.auth import is_loopback


class ReplicaError(PosetalkError, RuntimeError):
    """A replica that cannot be on this node; one line that names the node and what is missing."""


class Replica:
    """Holds the model and the sessions of many clients.

    Args:
        settings: as every replica gets them.
        host: the address of this node, for those who come directly.

    Attributes:
        server: started.
        capacity: sessions that it carries; newcomers get `newcomers` of them.
        url: where clients reach it directly.

    Raises:
        ReplicaError: the node has another version, or not the bundle, or the port is not free.
    """

    def __init__(self, settings: ReplicaSettings, host: str = "127.0.0.1") -> None:
        from posetalk.__main__ import explain

        try:
            self._open(settings, host)
        except Exception as error:
            raise ReplicaError(f"node {platform.node()}: {explain(error)}") from None

    def _open(self, settings: ReplicaSettings, host: str) -> None:
        from posetalk.app.opening import open_session
        from posetalk.app.serving import open_server
        from posetalk.deploy.application import RETRY_SECONDS
        from stream.run.batching import Batcher
        from stream.run.capacity import measure_capacity

        wanted = settings.deployment
        check_node(settings)
        session = open_session(wanted.model)
        self.capacity = settings.sessions
        if wanted.sessions is None:  # this node may be another kind of machine
            batcher = Batcher(session.backend, wanted.cores)
            self.capacity = min(self.capacity, measure_capacity(batcher))
            batcher.close()
        self.newcomers = for_newcomers(self.capacity, wanted.replicas)
        self.server = open_server(
            stream_settings(wanted, self.capacity), session, page=False, workers=wanted.cores
        )
        # Those who come directly hold a place through the proxy, too.
        places = (2 if wanted.direct else 1) * self.capacity + SPARE_REQUESTS // 2
        self.server.let_in(places, self.newcomers, RETRY_SECONDS)
        self.server.sign_tickets(settings.key)
        factory = self.server.factory
        assert factory is not None
        factory.start()  # here, so that no client waits for it
        self.server.start()
        scheme = self.server.url.partition("://")[0]
        if is_loopback(wanted.address.host):  # it listens there alone, for clients of this machine
            host = wanted.address.host
        self.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.server.port}"

    def note(self) -> Note:
        """How it does now."""
        counts, health = self.server.counts, self.server.health
        return Note(
            counts.clients,
            counts.sessions,
            health.places,
            self.newcomers,
            counts.session_sent,
            counts.dropped,
            counts.refused,
        )

    def close(self) -> None:
        """Send what waits, and end."""
        self.server.close()


def check_node(settings: ReplicaSettings) -> None:
    """Whether this node has what the others have.

    Raises:
        ReplicaError: another version, or other weights.
        diffposetalk.bundle.bundle.BundleError: there is no such bundle.
    """
    from posetalk.corpus.worker import bundle_hash

    here = importlib.metadata.version("posetalk")
    if here != settings.posetalk:
        raise ReplicaError(
            f"posetalk {here} is installed there, {settings.posetalk} where it was deployed: "
            "install the same on every node"
        )
    bundle = settings.deployment.model.bundle
    if bundle_hash(bundle) != settings.bundle:
        raise ReplicaError(f"the bundle {bundle} is another one there: copy yours to every node")


def stream_settings(wanted: DeploySettings, sessions: int) -> StreamSettings:
    """What a server of clients' own sessions alone is opened with."""
    host = wanted.address.host if wanted.direct else "127.0.0.1"
    address: AddressSettings = replace(wanted.address, host=host, port=0)
    if not wanted.direct:  # TLS ends at the proxy
        address = replace(address, tls_cert=None, tls_key=None)
    return StreamSettings(
        source="none",
        sessions=sessions,
        other_heads=wanted.other_heads,
        model=wanted.model,
        address=address,
    )
