"""The figures that the project set out to reach, looked up in results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.latency.points import is_default, many_session_runs

P50_MS, P99_MS, STRETCH_P99_MS = 160.0, 150.0, 120.0
VIEWER_P99_MS = 250.0
"""Its own limit: on two cores the viewer's drawing takes its share."""
SESSIONS = 12
TIMES_REAL_TIME = 5.0
PICTURES_PER_SECOND = 40.0
START_SECONDS = 5.0
GROWTH_MB = 2.0
"""Resident memory is counted in pages and pools: less than this over the run is no growth."""
SETTLED_MINUTE = 5


@dataclass(frozen=True)
class Goal:
    """One figure: what was wanted, what was measured, whether that is enough."""

    name: str
    wanted: str
    measured: str
    reached: bool


def goals(results: Sequence[Mapping[str, Any]]) -> list[Goal]:
    """Every goal that the results speak of.  The fake backend reaches no goal and misses none."""
    found: list[Goal] = []
    for result in results:
        if result["kind"] == "latency":
            for run in result["runs"]:
                found += _latency(run)
        elif result["kind"] == "throughput":
            found += _throughput(result)
    return found + list(_sessions(results))


def _is_fake(live: Mapping[str, Any]) -> bool:
    return bool(live["backend"] == "fake")


def _latency(run: Mapping[str, Any]) -> Iterator[Goal]:
    asked = run["asked"]
    if not is_default(run) or _is_fake(run["live"]):
        return
    source = "microphone" if asked["source"] == "mic" else "file in real time"
    where = f"{source} to client, {'with' if run['viewer'] else 'without'} viewer"
    limits = [("p50", P50_MS), ("p99", VIEWER_P99_MS if run["viewer"] else P99_MS)]
    if not run["viewer"]:
        limits.append(("p99, stretch", STRETCH_P99_MS))
    for name, limit in limits:
        value = run["end_to_end_ms"][name[:3]]
        yield Goal(f"{where}: {name}", f"<= {limit:.0f} ms", f"{value:.1f} ms", value <= limit)
    lost = run["frames"]["lost"]
    expected = run["frames"]["expected"]
    yield Goal(f"{where}: frames lost", "0", f"{lost} of {expected}", lost == 0 and expected > 0)


def _sessions(results: Sequence[Mapping[str, Any]]) -> Iterator[Goal]:
    """The most sessions that ran in real time at once on the default backend."""
    tried = [
        run
        for run in many_session_runs(results)
        if run["asked"]["backend"] == "auto" and not _is_fake(run["live"])
    ]
    if tried:
        most = max((run["asked"]["sessions"] for run in tried if run["in_real_time"]), default=0)
        cores = f"sessions in real time at once, of {max(r['asked']['sessions'] for r in tried)}"
        yield Goal(f"{cores} tried", f">= {SESSIONS}", str(most), most >= SESSIONS)


def _throughput(result: Mapping[str, Any]) -> Iterator[Goal]:
    animate, memory = result.get("animate"), result.get("memory")
    start, render = result.get("start"), result.get("render")
    if animate and not _is_fake(animate["live"]):
        value = animate["median"]
        yield Goal(
            "`posetalk animate`, nothing drawn",
            f">= {TIMES_REAL_TIME:g} times real time",
            f"{value:.1f} times",
            value >= TIMES_REAL_TIME,
        )
    if render:
        value = render["per_second"]
        yield Goal(
            f"off-screen pictures at {render['size'][0]}x{render['size'][1]}",
            f">= {PICTURES_PER_SECOND:.0f} per second",
            f"{value:.0f}",
            value >= PICTURES_PER_SECOND,
        )
    if memory and not _is_fake(memory["live"]) and None not in memory["memory_mb"]:
        settled = [
            mb
            for minute, mb in zip(memory["minute"], memory["memory_mb"], strict=True)
            if minute >= SETTLED_MINUTE
        ]
        if len(settled) > 1:
            growth = max(settled) - settled[0]
            yield Goal(
                f"session memory, simulated minutes {SETTLED_MINUTE} to {memory['minute'][-1]}",
                f"no growth (< {GROWTH_MB:g} MB)",
                f"{growth:.1f} MB",
                growth < GROWTH_MB,
            )
    if start and start["backend"] != "fake":
        for view, value in start["median"].items():
            yield Goal(
                f"`posetalk live --view {view}` up",
                f"<= {START_SECONDS:g} s",
                f"{value:.1f} s",
                value <= START_SECONDS,
            )
