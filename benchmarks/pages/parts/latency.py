"""The part of the performance page on latency, quality and many sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.latency import many_sessions
from benchmarks.latency.percentiles import STAGES
from benchmarks.latency.points import (
    Results,
    is_default,
    many_session_runs,
    model_key,
    qualities,
    side_by_side,
    spoken,
)
from benchmarks.latency.terminal_report import describe_live, number, resources, sureness
from benchmarks.pages.tables import table, where
from training.evaluation.spoken_figures import FIGURES

_LATENCY = """\
**Latency of a frame** = its arrival at a websocket client in another process, minus the moment at
which the middle sample of its 40 ms of sound was captured. Its parts, which add up to it:

{stages}

The sound goes through a virtual microphone (PulseAudio, PortAudio, the product's own capture)
where the source is not a file. Sample n was captured at t0 + n / rate, t0 by the least delayed
block of the run; what a sound device needs before that is stated by the device and not in the
sums. All moments are read from the system's monotonic clock, which the processes of one machine
share. The first second counts as warm-up and is shown apart; frames are counted from the very
first. `late` frames are those whose model call began more than one hop after their sound was
there; a merged call makes up for that without losing a frame.
"""

_MANY_SESSIONS = """\
All sessions run on one scheduler in one process, each fed its own speech at the pace of time in
blocks of 20 ms; hops that are ready together share a model call. Latency counts from the capture of
the middle of a frame to its delivery on the scheduler's thread, sockets apart. In real time: every
frame delivered, and at most one call in a hundred begun more than a hop after its sound was there.
"""

_ROOFLINE = """\
The roofline of a model call is what its operations would take at the speed of a large matrix
product, or its weights at the bandwidth of a large copy, whichever is longer: here {gflops:.0f}
GFLOP/s and {gb_per_second:.0f} GB/s, measured with numpy on one thread, in float32, just before.
Warm-up is loading and warming together, before the first frame.
"""

_QUALITY = """\
Synthetic speech: {clips} clips of {frames} frames from voices of three engines that training never
heard, with the phone times that the engines used, {seeds} seeds each. It ships with the product and
`posetalk bench voices` makes it; real voices are easier to follow. The label is what the
coarticulation model of `training/` makes of the phones. LVE alone favours few steps, so it stands
last; ± and intervals are in the JSON.
"""
_HELD_OUT = """\
The last column is LVE on {clips} held-out clips of people, {frames} frames with {seeds} seeds each.
"""
SEEN = {
    "closures": "P/B/M closed %",
    "vowels_open": "vowels open %",
    "rounded": "rounded %",
    "jaw_r": "jaw r",
    "head_range": "head's range",
    "blinks": "blinks a minute",
    "lve": "LVE mm",
}
"""Columns of what is seen of the speech."""


def section(results: Results) -> Iterator[str]:
    """What `bench-latency` wrote."""
    latency = [result for result in results if result["kind"] == "latency"]
    if not latency:
        return
    stages = "\n".join(f"- {name}: {text}" for name, text in STAGES.items())
    yield from ("## Latency\n", _LATENCY.format(stages=stages))
    told = [result for result in latency if any(map(is_default, result["runs"]))]
    for result in told:
        chosen = [run for run in result["runs"] if is_default(run)]
        if result is told[0] or not side_by_side(result):
            yield where(result)
            yield from map(_run, chosen)
    grids = [result for result in latency if side_by_side(result)]
    known = qualities(results)
    for result in grids:
        yield from ("### Side by side\n", where(result))
        if "speed" in result:
            yield _ROOFLINE.format(**result["speed"])
        yield _grid(side_by_side(result), known)
    yield from _many_sessions(results)
    yield from _quality(results)


def _grid(
    runs: Sequence[Mapping[str, Any]], known: Mapping[tuple[Any, ...], Mapping[str, Any]]
) -> str:
    header = (
        *("backend", "precision", "H", "R", "K", "viewer", "p50 ms", "p90 ms", "p99 ms", "max ms"),
        *("call p50 ms", "call p99 ms", "roofline ms", "real-time factor", "late", "lost", "MB"),
        "warm-up s",
        *SEEN.values(),
    )
    rows = []
    for run in runs:
        live, quality = run["live"], known.get(model_key(run["live"]))
        rows.append(
            (
                *(str(live[name]) for name in ("backend", "precision")),
                *(str(live[name]) for name in ("hop", "lookahead", "steps")),
                "yes" if run["viewer"] else "no",
                *(f"{run['end_to_end_ms'][name]:.0f}" for name in ("p50", "p90", "p99", "max")),
                *(f"{run['call_ms'][name]:.1f}" for name in ("p50", "p99")),
                f"{run['roofline_ms']['roofline']:.1f}" if "roofline_ms" in run else "",
                number(run["real_time_factor"], 3),
                *(str(run["frames"][name]) for name in ("late", "lost")),
                number(run["memory_mb"]["end"], 0),
                _warm_up(run),
                *_seen(quality),
            )
        )
    live, seconds = runs[0]["live"], runs[0]["seconds"]
    text = (
        f"{seconds:.0f} s each, source `{runs[0]['asked']['source']}`; {live['window_rule']}, "
        f"audio guidance {live['audio_guidance']:g}, style guidance {live['style_guidance']:g}; "
        f"{live['device']}, bundle {live['bundle_hash'][:12]}"
    )
    return f"{text}\n\n{table(header, rows, 2)}"


def _seen(quality: Mapping[str, Any] | None) -> list[str]:
    """What is seen of the speech, for a row of a table."""
    values = [spoken(quality, name) for name in SEEN]
    return ["" if value is None else f"{value:.2f}" for value in values]


def _many_sessions(results: Results) -> Iterator[str]:
    found = many_session_runs(results)
    if not found:
        return
    stages = "\n".join(f"- {name}: {text}" for name, text in many_sessions.STAGES.items())
    yield from ("## Many sessions\n", f"{_MANY_SESSIONS}\n{stages}\n")
    header = (
        *("backend", "sessions", "in real time", "p50 ms", "p99 ms", "max ms", "worst session p99"),
        *("in a batch", "real-time factor", "late calls", "merged calls", "lost", "cores", "MB"),
        "warm-up s",
    )
    rows = [
        (
            f"{run['live']['backend']} {run['live']['precision']}",
            str(run["asked"]["sessions"]),
            "yes" if run["in_real_time"] else "**no**",
            *(f"{run['end_to_end_ms'][name]:.0f}" for name in ("p50", "p99", "max")),
            f"{run['worst_session_p99_ms']:.0f}",
            f"{run['batch']['mean']:.1f}",
            number(run["real_time_factor"], 2),
            *(str(run["frames"][name]) for name in ("late", "merged_calls", "lost")),
            number(run["cores"]["session_and_server"], 2),
            number(run["memory_mb"]["end"], 0),
            _warm_up(run),
        )
        for run in found
    ]
    yield f"{describe_live(found[0]['live'])}; {found[0]['seconds']:.0f} s each\n"
    for result in results:
        if any(run["asked"]["sessions"] > 1 for run in result.get("runs", ())):
            yield where(result)
    yield table(header, rows, 1)


def _warm_up(run: Mapping[str, Any]) -> str:
    warm = run["warm_up"]
    return f"{warm['load_seconds'] + warm['warm_up_seconds']:.1f}"


def _quality(results: Results) -> Iterator[str]:
    for result in results:
        if result["kind"] != "quality":
            continue
        points, found = result["points"], result.get("reference")
        synthetic = bool(points) and "spoken" in points[0]
        yield from (f"## Quality{' on synthetic voices' * synthetic}\n", where(result))
        if points:
            yield f"Bundle {points[0]['live']['bundle_hash'][:12]}.\n"
            if "spoken" in points[0]:
                yield _QUALITY.format(**points[0]["spoken"]["of"])
                yield "\n".join(f"- {text}" for text in FIGURES.values()) + "\n"
            if "of" in points[0]:
                yield _HELD_OUT.format(**points[0]["of"])
            header = ("backend", "precision", "H", "R", "K", *SEEN.values(), "held out LVE mm")
            rows = [
                (
                    *(str(p["live"][name]) for name in ("backend", "precision")),
                    *(str(p["live"][name]) for name in ("hop", "lookahead", "steps")),
                    *_seen(p),
                    f"{p['lve_mm']:.3f}" if "lve_mm" in p else "",
                )
                for p in points
            ]
            yield table(header, rows, 2)
        if found:
            of, every = found["of"], list(found["reference"].items())
            own = every[-1][1]
            yield (
                f"Few steps beside the {every[-1][0]} ancestral steps that the diffusion was "
                f"trained with, in paper mode (whole windows, no hops): {of['clips']} clips of "
                f"{of['frames']} frames, {of['seeds']} seeds.\n"
            )
            rows = [(k, f"{value:.3f}", f"{value / own:.3f}") for k, value in every]
            yield table(("steps", "LVE mm", "over the last row's"), rows, 1)


def _run(run: Mapping[str, Any]) -> str:
    frames, warm, play = run["frames"], run["warm_up"], run["playout_ms"]
    live = run["live"]
    with_viewer = "with" if run["viewer"] else "without"
    point = f"H = {live['hop']}, R = {live['lookahead']}, K = {live['steps']}"
    title = f"### {point}, {with_viewer} viewer"
    columns = ("p50", "p90", "p99", "max")
    stages = {name: run["stages_ms"][name] for name in STAGES}
    stages["**end to end**"] = run["end_to_end_ms"]
    rows = [(name, *(f"{values[c]:.1f}" for c in columns)) for name, values in stages.items()]
    if device := run["capture"]["device_ms"]:
        rows.append(("apart: before capture, as the device states", f"{device:.1f}", "", "", ""))
    facts = [
        f"{describe_live(live)}; {run['seconds']:.0f} s, source `{run['asked']['source']}`",
        f"frames: {frames['expected']} expected, {frames['received']} received, "
        f"**{frames['lost']} lost**, {frames['late']} late, {frames['merged_calls']} merged calls; "
        f"{frames['measured']} in the table",
        f"play-out: 99 % of the frames can be shown {play['after_capture']:.0f} ms after capture, "
        f"the fastest held back by {play['hold']:.0f} ms",
        f"model call p50 {run['call_ms']['p50']:.1f} ms, p99 {run['call_ms']['p99']:.1f} ms, "
        f"real-time factor {number(run['real_time_factor'], 3)}",
        f"warm-up: loading {warm['load_seconds']:.1f} s, warming {warm['warm_up_seconds']:.1f} s, "
        f"first second p50 {warm['first_second_ms']['p50']:.0f} ms, "
        f"max {warm['first_second_ms']['max']:.0f} ms",
        resources(run),
    ]
    if run["load_average"]:
        facts.append(f"load average of the machine when it began: {run['load_average'][0]:.2f}")
    if "interval_ms" in run:
        facts += sureness({**run, "capture": {"device_ms": 0.0}})
    if run["viewer"]:
        facts.append(f"the viewer {run['viewer']['said']}")
    return "\n".join(
        [title, "", table(("milliseconds", *columns), rows), *(f"- {fact}" for fact in facts), ""]
    )
