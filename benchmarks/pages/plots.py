"""The pictures of the performance page, from results alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.latency.percentiles import STAGES
from benchmarks.latency.points import (
    Results,
    is_default,
    many_session_runs,
    model_key,
    name,
    qualities,
    runs,
    side_by_side,
    spoken,
)
from benchmarks.pages.svg import Limit, Series, bars, chart


def plots(results: Results) -> dict[str, str]:
    """SVG text by file name; only the pictures that the results have numbers for."""
    found = {
        "stages.svg": _stages(results),
        "quality.svg": _quality(results),
        "sessions.svg": _sessions(results),
        "roofline.svg": _roofline(results),
    }
    return {name: text for name, text in found.items() if text is not None}


def _stages(results: Results) -> str | None:
    """Where the latency of the live defaults goes."""
    rows = []
    for run in runs(results):
        if is_default(run):
            where = "microphone" if run["asked"]["source"] == "mic" else "file"
            who = "with viewer" if run["viewer"] else "without viewer"
            for column in ("p50", "p99"):
                parts = {stage: run["stages_ms"][stage][column] for stage in STAGES}
                rows.append((f"{where}, {who}: {column}", parts))
    if not rows:
        return None
    return bars(
        "Stages of the latency at the live defaults, each at its own percentile",
        "milliseconds from capture to a client",
        rows,
    )


def _quality(results: Results) -> str | None:
    """Closures of the synthetic set over latency, by backend."""
    known = qualities(results)
    series: dict[str, list[tuple[float, float, str]]] = {}
    for run in _grid(results):
        if (closed := spoken(known.get(model_key(run["live"])), "closures")) is not None:
            live = run["live"]
            points = series.setdefault(f"{live['backend']} {live['precision']}", [])
            points.append((run["end_to_end_ms"]["p99"], closed, name(live)))
    if not series:
        return None
    return chart(
        "Quality beside latency: left and high is better",
        "end to end p99, milliseconds",
        "P, B and M that close, % (synthetic voices)",
        [
            Series(who, [(x, y) for x, y, _ in own], [text for *_, text in own], joined=False)
            for who, own in series.items()
        ],
        from_zero=False,
    )


def _sessions(results: Results) -> str | None:
    """Latency over the number of sessions."""
    series: dict[str, list[tuple[float, float]]] = {}
    for run in many_session_runs(results):
        own = series.setdefault(f"{run['live']['backend']} p99", [])
        own.append((run["asked"]["sessions"], run["end_to_end_ms"]["p99"]))
    if not any(len(points) > 1 for points in series.values()):
        return None
    live = many_session_runs(results)[0]["live"]
    least = 40.0 * (live["hop"] + live["lookahead"]) - 20.0
    return chart(
        "Many sessions on one scheduler",
        "sessions at once",
        "capture to delivery, milliseconds",
        [Series(who, sorted(points)) for who, points in series.items()],
        Limit(least, "hop and lookahead"),
    )


def _roofline(results: Results) -> str | None:
    """The model call beside what arithmetic and memory alone would take."""
    rows: list[tuple[str, dict[str, float]]] = []
    for run in _grid(results):
        if roofline := run.get("roofline_ms"):
            call = run["call_ms"]["p50"]
            rest = max(0.0, call - roofline["roofline"])
            who = f"{run['live']['backend']} {run['live']['precision']} {name(run['live'])}"
            rows.append((who, {"roofline": min(call, roofline["roofline"]), "above it": rest}))
    if not rows:
        return None
    return bars("A model call (p50) and its roofline", "milliseconds", rows)


def _grid(results: Results) -> Sequence[Any]:
    return [
        run
        for result in results
        if result["kind"] == "latency"
        for run in side_by_side(result)
        if not run["viewer"]
    ]
