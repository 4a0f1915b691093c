"""The part of the performance page on attacks: what those notice who keep to the protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.attacks.floods import FULL_HOUSE
from benchmarks.attacks.verdict import GAP_BAR, GAP_OVER_CONTROL, MEMORY_BAR, NEWCOMER_BAR, REST_BAR
from benchmarks.latency.points import Results
from benchmarks.pages.tables import table, where


def section(results: Results) -> Iterator[str]:
    """What `benchmarks.attacks.run` wrote."""
    for result in results:
        if result["kind"] != "attacks":
            continue
        found = result["attacks"]
        yield "## Under attack\n"
        yield where(result)
        yield (
            f"`posetalk bench attacks --seconds {found['seconds']:g} --json "
            "benchmarks/results/attacks.json`: `posetalk serve` "
            f"(backend `{found['backend']}`, bundle {found['bundle_hash'][:12]}), attacked for "
            f"{found['seconds']:g} s by each kind, beside a viewer and a newcomer who keep to the "
            "protocol; before it the same load, aimed at nothing, is the control. At most "
            f"{1e3 * GAP_BAR:.0f} ms without a frame, or {1e3 * GAP_OVER_CONTROL:.0f} more than "
            f"beside the control; nothing lost; at most {MEMORY_BAR:.0f} MB more, {REST_BAR:.0f} "
            f"of them ten seconds later; a newcomer's first frame within {NEWCOMER_BAR:g} s.\n"
        )
        rows = found["results"]
        held = sum(not row["faults"] for row in rows)
        yield f"**{held} of {len(rows)} kinds of attack held.**\n"
        header = ("attack", "gap ms", "control", "lost", "MB before", "height", "after")
        yield table((*header, "newcomer s", "runs", ""), map(_row, rows))
        yield from _house(rows)
        yield from _files(found["files"])


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["name"],
        f"{1e3 * row['gap']:.0f}",
        f"{1e3 * row['control_gap']:.0f}",
        str(row["lost"]),
        f"{row['before']:.0f}",
        f"{row['height']:.0f}",
        f"{row['after']:.0f}",
        f"{row['newcomer']:.2f}",
        str(row["tries"]),
        "; ".join(row["faults"]) or "held",
    )


def _house(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows[:1]:  # later, it would take what those before have left
        if row["name"] == FULL_HOUSE:
            more, clients = row["height"] - row["before"], row["clients"]
            yield (
                f"Memory: {clients} clients that take all they can and read nothing are "
                f"{more:.1f} MB more, {more / max(1, clients):.2f} MB each.\n"
            )


def _files(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    held = sum(not row["faults"] for row in rows)
    most = max(rows, key=lambda row: row["megabytes"])
    longest = max(rows, key=lambda row: row["seconds"])
    yield (
        f"**{held} of {len(rows)} hostile files held**: each read by its command in a child with a "
        "limit of address space, each answered with one line (links that were planted where a "
        f"command writes: not followed). Most memory {most['megabytes']:.0f} MB "
        f"(`{most['name']}`), longest {longest['seconds']:.1f} s (`{longest['name']}`).\n"
    )
    wrong = [row for row in rows if row["faults"]]
    if wrong:
        yield table(("file", ""), [(row["name"], "; ".join(row["faults"])) for row in wrong], 2)
