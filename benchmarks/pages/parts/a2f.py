"""The part of the performance page on clients of NVIDIA's Audio2Face-3D."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.latency.points import Results
from benchmarks.latency.terminal_report import describe_live, number
from benchmarks.pages.tables import table, where

BARS = {12: (160.0, 140.0)}
"""Streams on two cores, and what is wanted of them: p99 of the first frame and of all ages, ms."""


def section(results: Results) -> Iterator[str]:
    """What `posetalk bench a2f` wrote."""
    for result in results:
        if result["kind"] != "a2f":
            continue
        yield "## Audio2Face-3D clients\n"
        yield where(result)
        yield (
            "`posetalk bench a2f --json benchmarks/results/a2f.json`: NVIDIA's own stubs as the "
            "client of `posetalk serve --a2f`, on the same cores. Every stream sends clips of "
            f"{result['clip_seconds']:g} s of the demo speech in pieces of 40 ms at the pace of "
            f"time; {describe_live(result['live'])}. The first frame is counted from the call, the "
            "age of a frame from the middle of its sound until the client had parsed it.\n"
        )
        rows = []
        for run in result["at_once"]:
            first, age, frames = run["first_frame_ms"], run["age_ms"], run["frames"]
            wanted = BARS.get(run["streams"])
            rows.append(
                (
                    str(run["streams"]),
                    str(run["clips"]),
                    *(
                        f"{number(each['p50'], 1)} / {number(each['p99'], 1)}"
                        for each in (first, age)
                    ),
                    "" if wanted is None else f"{wanted[0]:g}, {wanted[1]:g}",
                    f"{frames['received']:,} of {frames['expected']:,}",
                    "yes" if run["in_real_time"] else "**no**",
                    number(run["kilobytes_a_second"], 1),
                )
            )
        yield table(
            (
                "streams",
                "clips",
                "first frame p50 / p99 ms",
                "age p50 / p99 ms",
                "p99 wanted",
                "frames",
                "in real time",
                "kB/s of one",
            ),
            rows,
            0,
        )
