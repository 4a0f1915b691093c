"""`bench-latency --compare A.json B.json`: how B differs from A, point by point."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness.environment import FORMAT, describe
from benchmarks.harness.processes import BenchmarkError
from benchmarks.latency.points import spoken

FIGURES: dict[str, Callable[[Mapping[str, Any]], float | None]] = {
    "p50 ms": lambda run: run["end_to_end_ms"]["p50"],
    "p99 ms": lambda run: run["end_to_end_ms"]["p99"],
    "real-time factor": lambda run: run["real_time_factor"],
    "MB": lambda run: run["memory_mb"]["end"],
    "lost": lambda run: run["frames"]["lost"],
    "P/B/M closed %": lambda run: spoken(run.get("quality"), "closures"),
    "LVE mm": lambda run: spoken(run.get("quality"), "lve"),
}
SETTING = ("backend", "precision", "hop", "lookahead", "steps", "window_rule")


def compare(a: Path, b: Path) -> str:
    """Both files' environments, and a line per figure of every point that both have.

    Raises:
        BenchmarkError: a file is no result of this command, or they share no point.
    """
    before, after = read(a), read(b)
    first, second = ({key(run): run for run in result["runs"]} for result in (before, after))
    shared = [point for point in first if point in second]
    if not shared:
        raise BenchmarkError(f"--compare: {a} and {b} have no point in common")
    lines = [f"A  {a}", *(f"   {line}" for line in describe(before))]
    lines += [f"B  {b}", *(f"   {line}" for line in describe(after))]
    for point in shared:
        lines += ["", label(point), f"{'':18}{'A':>10}{'B':>10}{'B / A':>9}"]
        for name, of in FIGURES.items():
            lines += _line(name, of(first[point]), of(second[point]))
    alone = len(first) + len(second) - 2 * len(shared)
    if alone:
        lines += ["", f"{alone} points are in one of the files only"]
    return "\n".join(lines)


def read(path: Path) -> dict[str, Any]:
    """A file that `bench-latency --json` wrote."""
    try:
        result = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BenchmarkError(f"--compare {path}: {error.strerror}") from None
    except ValueError:
        raise BenchmarkError(f"--compare {path}: not JSON") from None
    if not isinstance(result, dict) or result.get("kind") != "latency":
        raise BenchmarkError(f"--compare {path}: not written by bench-latency --json")
    if result.get("format") != FORMAT:
        raise BenchmarkError(f"--compare {path}: written by another version, measure again")
    return result


def key(run: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes two runs the same point."""
    live, asked = run["live"], run["asked"]
    return (
        *(live.get(name) for name in SETTING),
        asked["sessions"],
        bool(run.get("viewer")),
        asked["source"],
    )


def label(point: tuple[Any, ...]) -> str:
    """A point in words."""
    backend, precision, hop, lookahead, steps, rule, sessions, viewer, source = point
    who = f"{sessions} sessions" if sessions > 1 else "with viewer" if viewer else "without viewer"
    return (
        f"{backend} {precision}, H = {hop}, R = {lookahead}, K = {steps}, {rule}, {who}, "
        f"source {source}"
    )


def _line(name: str, before: float | None, after: float | None) -> list[str]:
    if before is None or after is None:
        return []
    ratio = f"{after / before:9.3f}" if before else f"{'':9}"
    return [f"  {name:<16}{before:10.3f}{after:10.3f}{ratio}".rstrip()]
