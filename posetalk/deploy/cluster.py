"""The seam to Ray: a cluster that runs, or one on this machine alone, and its errors as one line.

`RAY_ADDRESS` names a cluster; without it, one is begun here and ends with the command.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from head.errors import NotInstalled, PosetalkError

Item = TypeVar("Item")

ADDRESS = "RAY_ADDRESS"
CHOICES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # By itself it lets everything else on the machine go before its workers,
    "RAY_worker_niceness": "0",
    # and ends a proxy that is not up in five seconds, or once took ten to answer.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "60",
    # A proxy would fill the replica of its own node, and refuse clients while others have room.
    "RAY_SERVE_PROXY_PREFER_LOCAL_NODE_ROUTING": "0",
}
"""What Ray takes from the environment, where that does not say otherwise; it reports nothing."""
TRIES = 4
KNOCK_SECONDS = 10.0
OBJECT_STORE = 200 << 20
"""Bytes; what goes between processes here is small."""


class ClusterError(PosetalkError, RuntimeError):
    """Ray cannot do it: no cluster, no room in it, or nodes that are not alike; one line."""


@contextlib.contextmanager
def connected(workers: int | None = None, *, dashboard: bool = False) -> Iterator[int]:
    """Be connected to the cluster; yields how many workers of one core each are to be had.

    Args:
        workers: that are wanted; None: as many as there are cores.

    Raises:
        ClusterError: there is no such cluster, or it has not so many cores.
        NotInstalled: Ray is not here.
    """
    start(workers, dashboard=dashboard)
    import ray

    try:
        cores = int(ray.cluster_resources().get("CPU", 0))
        if workers is not None and workers > cores:
            raise ClusterError(
                f"{workers} workers want a core each, and the cluster has {cores}: "
                "fewer --workers, or more nodes (`ray start --address=HEAD:6379`)"
            )
        yield workers or max(1, cores)
    finally:
        stop()


def prepare() -> None:
    """Choose for Ray what it asks the environment for; to be called before it is imported."""
    for name, value in CHOICES.items():
        os.environ.setdefault(name, value)


def start(cores: int | None = None, *, dashboard: bool = False) -> None:
    """Connect, or begin a cluster here of so many cores at least; raises as `connected`."""
    from stream.backends.threads import usable_cores
    from stream.sources.native.messages import quiet_native_code

    prepare()
    check_address(os.environ.get(ADDRESS))
    try:
        with quiet_native_code():  # what its C code takes for standard error then, it keeps
            import ray
    except ImportError:
        from posetalk.terminal.installation import install_extra

        raise NotInstalled(f"this needs Ray: run `{install_extra('ray')}`") from None
    address = os.environ.get(ADDRESS)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address is None:
        options |= {
            "address": "local",
            "include_dashboard": dashboard,
            "num_cpus": max(cores or 0, usable_cores()),
            "object_store_memory": OBJECT_STORE,
        }
    for left in range(TRIES - 1, -1, -1):
        try:
            with quiet_native_code():
                ray.init(**options)
            break
        except Exception as error:
            # Ray gives its own processes 30 seconds, which a busy machine takes longer for.
            if address is not None or not left or "timed out" not in str(error):
                raise ClusterError(explain(error, address)) from None
            stop()
    be_quiet("ray")


def check_address(address: str | None) -> None:
    """Knock at a cluster's address first: Ray would wait for minutes for one that is not there.

    Raises:
        ClusterError: nobody listens at this host and port.
    """
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return  # `auto`, and whatever else Ray knows
    try:
        with socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS):
            pass
    except (OSError, OverflowError) as error:
        raise ClusterError(explain(ConnectionError(str(error)), address)) from None


def stop() -> None:
    """Leave the cluster; one that was begun here ends."""
    import ray

    with contextlib.suppress(Exception), contextlib.redirect_stderr(None):
        ray.shutdown()


def be_quiet(*names: str) -> None:
    """Let these loggers, which set themselves up when they are imported, say nothing here."""
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def plain(items: Iterable[Item]) -> Iterator[Item]:
    """The items; what Ray raises between them is one line."""
    try:
        yield from items
    except (PosetalkError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise ClusterError(explain(error, os.environ.get(ADDRESS))) from None


def explain(error: Exception, address: str | None) -> str:
    """One line on what Ray said in many."""
    text = str(error)
    versions = re.findall(r"(Ray|Python): (\S+)", text)
    if "ersion mismatch" in text and len(versions) >= 2:
        half = len(versions) // 2
        there, here = (" ".join(map(" ".join, part)) for part in (versions[:half], versions[half:]))
        return f"the cluster runs {there}, this program {here}: install the same on every node"
    if address is not None and isinstance(error, ConnectionError | ValueError | TimeoutError):
        return (
            f"no cluster answers at {address}: start one with `ray start --head`, or unset "
            f"{ADDRESS} to stay on this machine"
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else type(error).__name__
    return f"Ray could not do it: {last[:300]}"
