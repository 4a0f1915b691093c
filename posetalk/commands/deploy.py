"""`posetalk deploy`: sessions on many machines, on Ray Serve."""

from __future__ import annotations

import os
from dataclasses import dataclass

from posetalk.commands.options import Debug
from posetalk.deploy.settings import DeploySettings


@dataclass(frozen=True)
class Deploy(DeploySettings):
    """Serve sessions of clients on the machines of a Ray cluster.

    The cluster is that of RAY_ADDRESS; without it, one is begun on this machine. Clients connect as
    to `posetalk serve`, and have sessions of their own; docs/scaling.md tells of sizes, failures
    and Kubernetes. Ctrl-C ends it.
    """

    debug: Debug = False

    def run(self) -> int:
        from posetalk.deploy import cluster
        from posetalk.deploy.running import deployed
        from posetalk.terminal.console import say
        from posetalk.terminal.progress import working

        self.check()
        cores = self.replicas * self.cores
        if os.environ.get(cluster.ADDRESS) is None:
            with working("starting Ray"):
                cluster.start(cores)
        else:
            cluster.start()
        with deployed(self) as running:
            say(f"serving at {running.url}, and a page at {running.page_url}")
            say(f"{running.sessions} sessions on {running.replicas} replicas")
            running.wait()
        return 0
