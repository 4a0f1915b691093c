"""What `posetalk bench peers` found, as tables and as a part of the performance page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.latency.points import Results
from benchmarks.pages.tables import table, where

HEADER = (
    "system",
    "live",
    "P/B/M",
    "lag ms",
    "P/B/M closed %",
    "vowels shut %",
    "silence open %",
    "AUC opening",
    "AUC rounding",
    "jitter",
    "CPU s/s",
)


def section(results: Results) -> Iterator[str]:
    """What `posetalk bench peers` wrote."""
    for result in results:
        if result["kind"] != "peers":
            continue
        yield "## Beside others\n"
        yield where(result)
        found = result["peers"]
        yield (
            "`posetalk bench peers --json benchmarks/results/peers.json`: recordings of "
            f"`{found['corpus']}`, people and microphones that no starter learned from, at "
            f"{found['speech_dbfs']:g} dBFS, clean and under pink noise; posetalk is the starter "
            f"(bundle {found['bundle_hash'][:12]}) at its live defaults, `auto` backend. It took "
            f"{found['seconds']:.0f} s.\n"
        )
        yield from told(result)
        yield (
            "Every system's opening is divided by its own 95th percentile and judged with the "
            "sound delayed by its own best lag, found from the phones' usual openings. A closure "
            "closes below a quarter of the range within the phone and 20 ms around it; a vowel's "
            "middle is shut, a silence open, at 15 %. AUC opening: how often an open vowel's "
            "middle is more open than a closure; AUC rounding: how often W, UW and OW are rounder "
            "than spread vowels. Jitter: second over first differences at 25 a second. In "
            "brackets: 95 % intervals over clips. CPU is of one core; a peer stops after "
            f"{found['cpu_limit_s']:g} s of it, and then has heard fewer closures. wlipsync's "
            "profile was made of training voices, as its package has none; visemes are opened and "
            "rounded alike for all.\n"
        )
        yield (
            "**What it does not judge**: how a face looks, the tongue, teeth and corners of the "
            "mouth, the shape between phones, head, eyes and brows; other languages; lag as a "
            "viewer sees it, with a browser's own buffers; a peer's own recommended tuning. Phone "
            "times come from an aligner.\n"
        )


def told(result: Mapping[str, Any]) -> Iterator[str]:
    """The tables, one a condition."""
    rows = result["peers"]["rows"]
    for condition in dict.fromkeys(row["condition"] for row in rows):
        yield f"### {condition[0].upper()}{condition[1:]}\n"
        own = [row for row in rows if row["condition"] == condition]
        own.sort(key=lambda row: -row["auc"][0] if "auc" in row else 1.0)
        yield table(HEADER, map(_row, own), 2)


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    live = "yes" if row["live"] else "no"
    if "not_run" in row:
        return row["system"], live, f"not run: {row['not_run']}", *[""] * (len(HEADER) - 3)
    return (
        row["system"],
        live,
        str(row["n_closures"]),
        f"{row['lag_ms']:.0f}",
        *(_ranged(row[name], 0) for name in ("closures", "vowels_shut", "silence_open")),
        *(_ranged(row[name], 2) for name in ("auc", "rounding")),
        f"{row['jitter'][0]:.2f}",
        f"{row['cpu_share']:.3f}",
    )


def _ranged(figure: tuple[float, float, float], digits: int) -> str:
    middle, low, high = figure
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
