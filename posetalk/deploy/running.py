"""An application that runs: begun, waited for, ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from posetalk.deploy.cluster import ClusterError, be_quiet, explain, stop
from posetalk.deploy.settings import DeploySettings, for_newcomers

START_SECONDS = 600.0
LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Running:
    """Where it is, and how large.

    Attributes:
        url, page_url: of the proxy on this machine.
        replicas, sessions: that there are, and newcomers' sessions in all.
    """

    url: str
    page_url: str
    replicas: int
    sessions: int

    def wait(self) -> None:
        """Until it is ended from elsewhere, or Ctrl-C.

        Raises:
            ClusterError: it has failed.
        """
        while True:
            time.sleep(LOOK_SECONDS)
            if (fault := _fault()) is not None:
                raise ClusterError(fault)


@contextlib.contextmanager
def deployed(settings: DeploySettings) -> Iterator[Running]:
    """Run the application on the cluster that this process is connected to, and end it.

    Raises:
        ClusterError: it does not come to run: no room in the cluster, or nodes that are not alike.
    """
    import ray
    from ray import serve

    from posetalk.deploy.application import NAME, build
    from posetalk.terminal.progress import working

    address = settings.address
    options = {"host": address.host, "port": address.port}
    if address.tls_cert is not None:
        key = address.tls_key or address.tls_cert
        options |= {"ssl_certfile": str(address.tls_cert), "ssl_keyfile": str(key)}
    try:
        be_quiet("ray.serve")
        with working("measuring what a replica carries"):
            application = build(settings)
        with working("starting replicas"):
            serve.start(proxy_location="EveryNode", http_options=options)
            target = serve.RunTarget(target=application, name=NAME, route_prefix="/")
            serve.run_many(
                [target],
                wait_for_ingress_deployment_creation=False,
                wait_for_applications_running=False,
            )
            wait_until_it_runs()
        told = application._bound_deployment.init_args[0]
        scheme, pages = ("wss", "https") if address.tls_cert is not None else ("ws", "http")
        place = f"{address.host}:{address.port}"
        each = for_newcomers(told.sessions, settings.replicas)
        yield Running(
            f"{scheme}://{place}",
            f"{pages}://{place}/",
            settings.replicas,
            each * settings.replicas,
        )
    except (ray.exceptions.RayError, RuntimeError, ConnectionError) as error:
        if isinstance(error, ClusterError):
            raise
        raise ClusterError(explain(error, None)) from None
    finally:
        # It tells of a controller that is gone, as it should be.
        with contextlib.suppress(Exception), contextlib.redirect_stderr(None):
            serve.shutdown()
        stop()


def wait_until_it_runs() -> None:
    """Raises ClusterError where it does not come to run."""
    from ray import serve

    from posetalk.deploy.application import NAME

    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        application = serve.status().applications.get(NAME)
        proxies = serve.status().proxies.values()
        if application is not None and application.status == "RUNNING":
            if any(proxy == "HEALTHY" for proxy in proxies):
                return
            time.sleep(LOOK_SECONDS / 4)
            continue
        if (fault := _fault()) is not None:
            raise ClusterError(fault)
        time.sleep(LOOK_SECONDS / 4)
    raise ClusterError(
        f"no replica came to run in {START_SECONDS:.0f} s: has the cluster the cores of "
        "--replicas times --cores? `ray status` tells"
    )


def _fault() -> str | None:
    """What a replica said of its node where it could not be there; None: nothing."""
    import re

    from ray import serve

    from posetalk.deploy.application import NAME

    application = serve.status().applications.get(NAME)
    if application is None:
        return "the application was ended from elsewhere"
    told = application.message + "".join(d.message for d in application.deployments.values())
    found = re.search(r"ReplicaError: ([^\n]+)", told)
    if found is not None:
        return found[1]
    if application.status in ("DEPLOY_FAILED", "UNHEALTHY"):
        last = [line for line in told.splitlines() if line.strip()][-1:]
        return f"the replicas do not run: {last[0].strip()[:300] if last else 'no reason is known'}"
    return None
