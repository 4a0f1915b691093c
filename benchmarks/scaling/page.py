"""The measured parts of docs/scaling.md (`benchmarks.harness.marked_page`), from figures alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.harness import marked_page
from benchmarks.latency.terminal_report import number
from benchmarks.pages.tables import table, where
from benchmarks.scaling.climb import FEWER_BAR
from benchmarks.scaling.corpus import TIMES_BAR
from benchmarks.scaling.kills import GAP_BAR_SECONDS, STEP_BAR_MM
from benchmarks.scaling.sizes import sizes

WAYS = {
    "serve": "`posetalk serve`",
    "direct": "one replica, direct address",
    "proxy": "one replica, through Serve's proxy",
}


def fill(text: str, found: Mapping[str, Mapping[str, Any]]) -> str:
    """`text` with every part written anew from the figures in `found`, by part."""
    writers = {"sessions": _sessions, "kills": _kills, "corpus": _corpus, "sizes": sizes}
    return marked_page.fill(text, "ray", writers, found)


def _sessions(found: Mapping[str, Any]) -> Iterator[str]:
    rows = []
    for way, name in WAYS.items():
        climbed = found[way]
        best, ages = climbed["sessions"], climbed["age_ms"]
        there = ages.get(str(best), {})
        spread = [number(there[each], 0) if each in there else "" for each in ("p50", "p99")]
        more = climbed["too_many"]
        rows.append((name, str(best), *spread, "" if more is None else str(more)))
    yield table(("", "sessions in real time", "age p50 ms", "p99 ms", "too many were"), rows)
    served, direct = found["serve"]["sessions"], found["direct"]["sessions"]
    fewer = 1.0 - direct / served if served else 0.0
    yield (
        f"By a direct address {100 * fewer:.0f} % fewer than by `serve` (asked: at most "
        f"{100 * FEWER_BAR:.0f} %, {_verdict(fewer <= FEWER_BAR)}). Each number spoke for "
        f"{found['seconds']:g} s; it is carried when everybody gets every frame, 99 of 100 "
        f"{found['in_time_seconds']:g} s after the middle of their sound at the latest. Clients, "
        "proxy and model share the cores, and the replica has all of them.\n"
    )
    yield where(found)


def _kills(runs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for found in runs.values():
        yield from _run(found)


def _run(found: Mapping[str, Any]) -> Iterator[str]:
    gaps, asked = found["gaps"], GAP_BAR_SECONDS
    within = sum(gap <= asked for gap in gaps)
    rows = [
        (
            "from the last frame to the next, at most",
            f"<= {asked:g} s",
            f"{max(gaps):.2f} s (median of the kills {gaps[len(gaps) // 2]:.2f} s)",
            f"{_verdict(within == len(gaps))}: {within} of {len(gaps)} within",
        ),
        ("an index twice", "0", str(found["repeated"]), _verdict(not found["repeated"])),
        (
            "lips from the frame before",
            f"<= {STEP_BAR_MM:g} mm",
            f"{found['lip_step_mm']:.1f} mm",
            _verdict(found["lip_step_mm"] <= STEP_BAR_MM),
        ),
        (
            "frames that sessions on other replicas lost",
            "0",
            str(found["missing_of_others"]),
            _verdict(not found["missing_of_others"]),
        ),
        ("frames that moved sessions lost", "", str(found["missing_of_moved"]), ""),
        ("others waited, at most", "", f"{found['others_longest_gap_seconds']:.2f} s", ""),
        ("sessions that ended", "0", str(len(found["errors"])), _verdict(not found["errors"])),
    ]
    yield (
        f"{found['kills']} replicas killed under {found['clients']} clients each, who all spoke "
        f"at once; {found['moved']} sessions moved. Two replicas on a cluster of two nodes, both "
        "on this machine, which starts the next replica meanwhile.\n"
    )
    yield table(("", "asked", "measured", ""), rows, 2)
    yield where(found)


def _corpus(found: Mapping[str, Any]) -> Iterator[str]:
    spent, times = found["seconds"], found["times"]
    yield (
        f"{found['files']} files of five seconds: {spent['1']:g} s by one worker, {spent['2']:g} s "
        f"by two, {times:.2f} times as fast (asked: {TIMES_BAR:g}, {_verdict(times >= TIMES_BAR)})."
        " A worker has one thread; Ray's start is not counted.\n"
    )
    yield where(found)


def _verdict(reached: bool) -> str:
    return "reached" if reached else "**missed**"
