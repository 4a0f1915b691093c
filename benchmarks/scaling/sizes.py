"""What a session costs, and how many machines a thousand take: computed from measured sessions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.pages.tables import table, where
from posetalk.deploy.settings import for_newcomers
from stream.frames import FPS, SAMPLE_RATE
from stream.wire.codec import HEADER

USED_SHARE = 0.7
"""Of a core's time: the rest is for what comes at once."""
MANY, CORES = 1000, 2
"""Sessions that a deployment is computed for, and cores of each of its replicas."""
FRAME_BYTES = HEADER.size + 4 * 56
"""Of a frame as `flame`."""


def sizes(found: Mapping[str, Any]) -> Iterator[str]:
    """The table and what follows from it.

    Args:
        found: what `bench-latency --grid` wrote, with runs of many sessions.
    """
    runs = [run for run in found["runs"] if run["asked"]["sessions"] > 1]
    few, *_, most = sorted(runs, key=lambda run: int(run["asked"]["sessions"]))
    counts = [int(run["asked"]["sessions"]) for run in (few, most)]
    cores = [float(run["cores"]["session_and_server"]) for run in (few, most)]
    memory = [float(run["memory_mb"]["end"]) for run in (few, most)]
    each = cores[1] / counts[1]
    more = (memory[1] - memory[0]) / (counts[1] - counts[0])
    rows = [
        (
            f"sessions in real time on {found['machine']['cores']} cores",
            f"{counts[1]} tried with {cores[1]:.2f} cores: {each:.3f} cores each, "
            f"{cores[0] / counts[0]:.3f} where {counts[0]} share a batch",
            "[performance](performance.md#many-sessions), model and scheduler, no sockets",
        ),
        (
            "memory",
            f"{more:.1f} MB beyond the {memory[0]:.0f} MB of a process with {counts[0]}",
            "the same table",
        ),
        (
            "frames out",
            f"{FPS} of {FRAME_BYTES} bytes a second: {FPS * FRAME_BYTES / 1e3:.1f} kB/s as `flame`",
            "[protocol](protocol.md), computed",
        ),
        (
            "sound in, and out where it is asked back",
            f"{2 * SAMPLE_RATE / 1e3:.0f} kB/s (int16) or {4 * SAMPLE_RATE / 1e3:.0f} kB/s "
            "(float32)",
            "computed",
        ),
    ]
    yield table(("", "per session", "from"), rows, 3)
    yield _many(math.floor(USED_SHARE / each))
    yield where(found)


def _many(a_core: int) -> str:
    carried = CORES * a_core
    replicas = math.ceil(MANY / carried)
    while replicas * for_newcomers(carried, replicas) < MANY:
        replicas += 1
    return (
        f"Computed from it, not tried: with {USED_SHARE:g} of a core's time used, a core carries "
        f"{a_core} sessions, and {MANY:,} sessions take {math.ceil(MANY / a_core)} cores: "
        f"{replicas} replicas of {CORES} cores and {carried} sessions, a {replicas}th of each kept "
        f"free (`--replicas {replicas} --cores {CORES}`), "
        f"{MANY * FPS * FRAME_BYTES / 1e6:.0f} MB/s of frames, "
        f"{MANY * 4 * SAMPLE_RATE / 1e6:.0f} MB/s of sound in as float32. What Ray's proxy adds is "
        "not in it: one proxy process serves a node, and copies every message; measure yours.\n"
    )
