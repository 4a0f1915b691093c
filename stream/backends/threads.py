"""The cores of this process: how many, and threads that leave them to others."""

from __future__ import annotations

import os


def let_threads_sleep() -> None:
    """Have OpenMP's threads sleep between two pieces of work; call it before torch is imported.

    By default they spin, and on a machine that has other work, each waits for cores that another
    one spins on: beside one busy program a call of two threads takes many times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
