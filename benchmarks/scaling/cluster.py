"""A deployment to be measured: the application on a cluster of several nodes on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen

from benchmarks.harness.processes import BenchmarkError
from posetalk.app.settings.address import AddressSettings
from posetalk.app.settings.model import ModelSettings
from posetalk.deploy.cluster import prepare
from posetalk.deploy.settings import DeploySettings
from stream.backends.names import BackendName

OBJECT_STORE = 100 << 20
START_SECONDS = 900.0
TRIES = 6


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def settings_of(
    backend: BackendName, replicas: int, sessions: int | None, cores: int, *, direct: bool = False
) -> DeploySettings:
    """A deployment on this machine, of replicas with so many cores each."""
    return DeploySettings(
        replicas=replicas,
        cores=cores,
        sessions=sessions,
        direct=direct,
        model=ModelSettings(backend=backend),
        address=AddressSettings(port=free_port()),
    )


@contextlib.contextmanager
def nodes(count: int, cores: int) -> Iterator[None]:
    """A cluster of so many nodes of so many cores each, in processes here; connected to it."""
    prepare()
    try:
        import ray
        from ray.cluster_utils import Cluster
    except ImportError as error:
        raise BenchmarkError(f"this measures Ray, and needs the extra ray: {error}") from None
    cluster = Cluster()
    try:
        for _ in range(count):
            _add_node(cluster, cores)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="CRITICAL")
        yield
    finally:
        ray.shutdown()
        cluster.shutdown()


def _add_node(cluster: Any, cores: int) -> None:
    """One node more; Ray gives its processes 30 seconds, which a busy machine takes longer for."""
    import psutil

    for left in range(TRIES - 1, -1, -1):
        try:
            cluster.add_node(
                num_cpus=cores,
                object_store_memory=OBJECT_STORE,
                include_dashboard=False,
                dashboard_port=free_port(),
            )
            return
        except Exception as error:
            if not left or "timed out" not in str(error):
                raise BenchmarkError(f"Ray does not start: {error}") from None
            if not cluster.list_all_nodes():  # what it has begun would be in the next one's way
                for child in psutil.Process().children(recursive=True):
                    with contextlib.suppress(psutil.Error):
                        child.kill()


@contextlib.contextmanager
def application(settings: DeploySettings) -> Iterator[str]:
    """The application on the cluster that this process is connected to; yields its address.

    One proxy, on the head: the nodes share the ports of one machine.
    """
    from ray import serve

    from posetalk.deploy.application import NAME, build
    from posetalk.deploy.running import wait_until_it_runs

    address = settings.address
    serve.start(
        proxy_location="HeadOnly", http_options={"host": address.host, "port": address.port}
    )
    try:
        target = serve.RunTarget(target=build(settings), name=NAME, route_prefix="/")
        serve.run_many(
            [target],
            wait_for_ingress_deployment_creation=False,
            wait_for_applications_running=False,
        )
        wait_until_it_runs()
        await_pages(f"http://{address.host}:{address.port}")
        yield f"ws://{address.host}:{address.port}"
    finally:
        serve.shutdown()


def await_pages(url: str) -> None:
    """Until the page's heads are made, which takes a core for some seconds."""
    with urlopen(f"{url}/characters.json", timeout=START_SECONDS) as answer:
        files = [each["file"] for each in json.load(answer)]
    for file in files:
        with urlopen(f"{url}/{file}", timeout=START_SECONDS) as answer:
            answer.read()


def replica_pids() -> list[int]:
    """Processes of the replicas that hold sessions, oldest first."""
    import psutil

    found = []
    for process in psutil.process_iter(["cmdline", "create_time"]):
        line = " ".join(process.info["cmdline"] or [])
        if line.startswith("ray::ServeReplica:posetalk:Sessions"):
            found.append((process.info["create_time"], process.pid))
    return [pid for _, pid in sorted(found)]


def kill(pid: int) -> None:
    """As the kernel does when there is no memory: no word, no chance."""
    os.kill(pid, signal.SIGKILL)


def running_replicas() -> int:
    """Replicas that take clients."""
    from ray import serve

    from posetalk.deploy.application import NAME

    application = serve.status().applications.get(NAME)
    if application is None:
        return 0
    states = application.deployments["Sessions"].replica_states
    return int(sum(n for state, n in states.items() if str(state).endswith("RUNNING")))


def wait_for_replicas(count: int) -> None:
    """Until so many take clients again."""
    until = time.monotonic() + START_SECONDS
    while running_replicas() < count or len(replica_pids()) < count:
        if time.monotonic() > until:
            raise BenchmarkError(f"{count} replicas did not run in {START_SECONDS:.0f} s")
        time.sleep(0.5)
