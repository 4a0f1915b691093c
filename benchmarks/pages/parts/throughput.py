"""The part of the performance page on speed, memory and start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.latency.points import Results
from benchmarks.latency.terminal_report import describe_live, number
from benchmarks.pages.tables import table, where


def section(results: Results) -> Iterator[str]:
    """What `posetalk bench throughput` wrote."""
    for result in results:
        if result["kind"] == "throughput":
            yield from ("## Speed, memory, start\n", where(result), _throughput(result))


def _throughput(result: Mapping[str, Any]) -> str:
    facts = []
    if figures := result.get("animate"):
        runs = ", ".join(f"{value:.1f}" for value in figures["times_real_time"])
        facts.append(
            f"`posetalk animate`, nothing drawn: **{figures['median']:.1f} times real time** "
            f"(median of {runs}; {figures['audio_seconds']:.1f} s of speech; "
            f"{describe_live(figures['live'])})"
        )
    if figures := result.get("render"):
        facts.append(
            f"off-screen drawing at {figures['size'][0]}x{figures['size'][1]}: "
            f"**{figures['per_second']:.0f} pictures per second** ({figures['platform']}, "
            f"{figures['frames']} pictures; p50 {figures['picture_ms']['p50']:.1f} ms, "
            f"p99 {figures['picture_ms']['p99']:.1f} ms)"
        )
    for view, seconds in result.get("start", {}).get("seconds", {}).items():
        runs = ", ".join(f"{value:.2f}" for value in seconds)
        facts.append(
            f"`posetalk live --view {view}`, from the start of the process to the first frame at a "
            f"client: {runs} s"
        )
    text = "\n".join(f"- {fact}" for fact in facts) + "\n"
    if figures := result.get("memory"):
        header = ["simulated minute", *map(str, figures["minute"])]
        row = ["resident MB", *(number(value, 1) for value in figures["memory_mb"])]
        what = f"{figures['frames']} frames; {describe_live(figures['live'])}"
        text += f"\nMemory of one session ({what}):\n\n{table(header, [row])}"
    return text
