"""One attack in a process of its own, on one core and after everybody else in line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys

from benchmarks.attacks import door, floods, messages
from benchmarks.attacks.attack import ATTACKS
from benchmarks.attacks.raw_client import OWN_ADDRESS, Target
from benchmarks.harness.processes import answer

KINDS = (messages, floods, door)
"""What enters attacks into the table."""


def be_modest() -> None:
    """The lowest priority, and one core: who attacks must not be what starves the others."""
    os.nice(19)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, most), most))


async def run(name: str, port: int, seconds: float, token: str) -> None:
    """Attack the server at a port of this machine for so long."""
    kind = ATTACKS[name]
    until = asyncio.get_running_loop().time() + seconds
    source = OWN_ADDRESS if kind.stranger else ""
    target = Target(port, until, kind.guarded, token, source)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds + 1.0):
            await kind.run(target)


def main() -> int:
    """`python -m benchmarks.attacks.attacker '{"name": ..., "port": ..., ...}'`."""
    be_modest()
    values = json.loads(sys.argv[1])
    token = os.environ.get("POSETALK_TOKEN", "")
    answer(begun=True)
    asyncio.run(run(values["name"], values["port"], values["seconds"], token))
    answer(done=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
