"""The application of Ray Serve: replicas with sessions, and the page in a deployment of its own.

A client's websocket is one long request that stays on its replica.  Serve would let requests wait;
here sessions are counted, and who finds no place is told when to try again.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
from collections.abc import Mapping
from typing import Any

from posetalk.deploy.board import TELL_SECONDS
from posetalk.deploy.settings import (
    BUSY_SHARE,
    QUEUED_REQUESTS,
    SPARE_REQUESTS,
    DeploySettings,
    ReplicaSettings,
    ticket_key,
)
from stream.serve.door.http_pages import Answer
from stream.serve.limits import Limits

NAME = "posetalk"
RETRY_SECONDS = 5.0
WAIT_LOOP_SECONDS = 1.0


class Pages:
    """The deployment of the page and the probes."""

    def __init__(self, settings: ReplicaSettings) -> None:
        from posetalk.deploy.pages import PageDesk

        self._desk = PageDesk(settings)

    async def answer(
        self, method: str, target: str, headers: Mapping[str, str], address: tuple[str, int]
    ) -> Answer:
        """The answer to a request."""
        return self._desk.answer(method, target, headers, address)

    async def note(self, name: str, note: Any) -> None:
        """A replica tells how it does."""
        self._desk.note(name, note)


class Sessions:
    """The deployment of the replicas."""

    def __init__(self, settings: ReplicaSettings, pages: Any) -> None:
        import ray
        from ray import serve

        from posetalk.deploy.replica import Replica

        self._settings, self._pages = settings, pages
        self._name = serve.get_replica_context().replica_id.unique_id
        self._replica = Replica(settings, ray.util.get_node_ip_address())
        self._telling: asyncio.Task[None] | None = None

    def __serve_build_asgi_app__(self) -> Any:
        from posetalk.deploy.asgi import ReplicaApp

        wanted = self._settings.deployment
        direct = self._replica.url if wanted.direct else None
        has_token = wanted.address.token is not None
        self._telling = asyncio.get_running_loop().create_task(self._tell())
        return ReplicaApp(self._replica.server, self._page, direct, has_token=has_token)

    async def _page(
        self, method: str, target: str, headers: Mapping[str, str], address: tuple[str, int]
    ) -> Answer:
        return await self._pages.answer.remote(method, target, dict(headers), address)

    async def _tell(self) -> None:
        while True:
            with contextlib.suppress(Exception):  # a page that is away is no reason to stop
                await self._pages.note.remote(self._name, self._replica.note())
            await asyncio.sleep(TELL_SECONDS)

    def check_health(self) -> None:
        """Ray Serve asks now and then, and replaces a replica that raises."""
        from posetalk.deploy.replica import ReplicaError

        if not self._replica.server.is_running:
            raise ReplicaError("the server of this replica has ended")

    def __del__(self) -> None:
        replica = getattr(self, "_replica", None)
        if replica is not None:
            replica.close()


def build(settings: DeploySettings) -> Any:
    """The application, ready for `serve.run`; connected to a cluster, it measures what one carries.

    Raises:
        posetalk.app.cluster.ClusterError: no node has the cores of a replica.
        diffposetalk.bundle.bundle.BundleError: there is no such bundle.
    """
    from ray import serve

    from posetalk.corpus.worker import bundle_hash

    bundle = bundle_hash(settings.model.bundle)
    closed = settings.closed()
    told = ReplicaSettings(
        closed,
        settings.sessions or measured(closed),
        ticket_key(closed.address.token),
        importlib.metadata.version("posetalk"),
        bundle,
    )
    most = told.sessions + SPARE_REQUESTS
    scaling: dict[str, Any] = {"num_replicas": settings.replicas}
    if settings.most_replicas is not None:
        target = max(1.0, BUSY_SHARE * told.sessions)
        bounds = {"min_replicas": settings.replicas, "max_replicas": settings.most_replicas}
        scaling = {"autoscaling_config": {**bounds, "target_ongoing_requests": target}}
    sessions = serve.deployment(
        serve.ingress()(Sessions),
        name="Sessions",
        ray_actor_options={"num_cpus": settings.cores},
        max_ongoing_requests=most,
        max_queued_requests=QUEUED_REQUESTS,
        # A node that is drained keeps who speaks until the longest session is over.
        graceful_shutdown_timeout_s=Limits().session_seconds,
        graceful_shutdown_wait_loop_s=WAIT_LOOP_SECONDS,
        **scaling,
    )
    pages = serve.deployment(
        Pages, name="Pages", ray_actor_options={"num_cpus": 0}, max_ongoing_requests=100
    )
    return sessions.bind(told, pages.bind(told))


def measured(settings: DeploySettings) -> int:
    """Sessions that a replica carries on a node of this cluster."""
    import ray

    measure = ray.remote(num_cpus=settings.cores, max_retries=0)(measure_here)
    sessions: int = ray.get(measure.remote(settings))
    return sessions


def measure_here(settings: DeploySettings) -> int:
    """Sessions that a replica carries on this machine."""
    from posetalk.app.opening import load_model
    from stream.run.batching import Batcher
    from stream.run.capacity import measure_capacity

    backend, _ = load_model(settings.model)
    batcher = Batcher(backend, settings.cores)
    try:
        return measure_capacity(batcher)
    finally:
        batcher.close()
