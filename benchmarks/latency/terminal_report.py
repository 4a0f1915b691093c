"""A run's figures as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.latency import many_sessions
from benchmarks.latency.percentiles import STAGES
from benchmarks.latency.points import spoken
from benchmarks.quality.lip_error import in_words

_COLUMNS = ("p50", "p90", "p99", "max")


def describe_live(live: Mapping[str, Any]) -> str:
    """The set that a figure belongs to, in one line."""
    return (
        f"H = {live['hop']}, R = {live['lookahead']}, K = {live['steps']}, {live['window_rule']}, "
        f"audio guidance {live['audio_guidance']:g}, style guidance {live['style_guidance']:g}, "
        f"style {live['style']}; {live['backend']} {live['precision']} on {live['device']}, "
        f"bundle {live['bundle_hash'][:12]}"
    )


def report(run: Mapping[str, Any]) -> str:
    """One run: what was run, the frames, every stage, end to end, and what it cost."""
    return report_many_sessions(run) if run["asked"]["sessions"] > 1 else report_live(run)


def overview(runs: Sequence[Mapping[str, Any]]) -> str:
    """All runs side by side, a line each, quality behind speed where it was measured."""
    seen = {
        "closures": "P/B/M %",
        "vowels_open": "vowels %",
        "rounded": "rounded %",
        "lve": "LVE mm",
    }
    if not any("spoken" in run.get("quality", {}) for run in runs):
        seen = {}
    header = ("H", "R", "K", "sessions", "viewer", "p50 ms", "p99 ms", "late", "lost")
    lines = [f"{'side by side':22}" + "".join(f"{name:>10}" for name in (*header, *seen.values()))]
    for run in runs:
        live, times, frames = run["live"], run["end_to_end_ms"], run["frames"]
        quality = [spoken(run.get("quality"), name) for name in seen]
        cells = (
            *(live["hop"], live["lookahead"], live["steps"], run["asked"]["sessions"]),
            *("yes" if run.get("viewer") else "no", f"{times['p50']:.1f}", f"{times['p99']:.1f}"),
            *(frames["late"], frames["lost"]),
            *("" if value is None else f"{value:.2f}" for value in quality),
        )
        name = f"{live['backend']} {live['precision']}"
        lines.append(f"{name:22}" + "".join(f"{cell:>10}" for cell in cells))
    return "\n".join(line.rstrip() for line in lines)


def report_many_sessions(run: Mapping[str, Any]) -> str:
    """A run of many sessions."""
    frames, batch, warm = run["frames"], run["batch"], run["warm_up"]
    lines = [
        describe_live(run["live"]),
        f"{run['asked']['sessions']} sessions for {run['seconds']:.0f} s, "
        f"{'IN REAL TIME' if run['in_real_time'] else 'NOT in real time'}",
        f"frames   expected {frames['expected']}   received {frames['received']}   "
        f"lost {frames['lost']}   late calls {frames['late']}   "
        f"merged calls {frames['merged_calls']}",
        "",
        *_table(run["stages_ms"] | {"END TO END": run["end_to_end_ms"]}, many_sessions.STAGES),
        "",
        f"worst session p99 {run['worst_session_p99_ms']:.1f} ms",
        f"batches      {batch['mean']:.2f} sessions on average, {batch['max']} at most, "
        f"{batch['ms']:.1f} ms a round; real-time factor {number(run['real_time_factor'], 3)}",
        f"warm-up      loading {warm['load_seconds']:.1f} s, "
        f"warming {warm['warm_up_seconds']:.1f} s (not in the table)",
        f"cost         {number(run['memory_mb']['end'], 0)} MB, "
        f"{number(run['cores']['session_and_server'], 2)} cores",
    ]
    return "\n".join(lines + _extras(run))


def _table(rows: Mapping[str, Mapping[str, float]], told: Mapping[str, str]) -> list[str]:
    lines = [f"{'milliseconds':<14}" + "".join(f"{name:>9}" for name in _COLUMNS)]
    for name, values in rows.items():
        numbers = "".join(f"{values[column]:9.1f}" for column in _COLUMNS)
        lines.append(f"{name:<14}{numbers}  {told.get(name, '')}".rstrip())
    return lines


def _extras(run: Mapping[str, Any]) -> list[str]:
    lines = []
    if roofline := run.get("roofline_ms"):
        lines.append(
            f"roofline     {roofline['roofline']:.2f} ms a call on one thread: arithmetic "
            f"{roofline['arithmetic']:.2f} ms, memory {roofline['memory']:.2f} ms"
        )
    if quality := run.get("quality"):
        of = quality["spoken"]["of"]
        lines.append(f"quality      {in_words(quality)}")
        lines.append(f"             {of['clips']} synthetic clips, {of['seeds']} seeds each")
    return lines


def report_live(run: Mapping[str, Any]) -> str:
    """A run of one session, server and client."""
    frames, play, warm = run["frames"], run["playout_ms"], run["warm_up"]
    with_viewer = "with" if run["viewer"] else "without"
    source = "a virtual microphone" if run["asked"]["source"] == "mic" else run["source"]
    lines = [
        describe_live(run["live"]),
        f"{run['seconds']:.0f} s of {source}, {with_viewer} the off-screen viewer",
        f"frames   expected {frames['expected']}   received {frames['received']}   "
        f"lost {frames['lost']}   late {frames['late']}   merged calls {frames['merged_calls']}",
        "",
    ]
    table = {name: run["stages_ms"][name] for name in STAGES} | {"END TO END": run["end_to_end_ms"]}
    told = {**STAGES, "play-out": "held back, if 99 % of the frames are to be in time"}
    lines += _table(table | {"play-out": play["held"]}, told)
    lines += sureness(run)
    lines += [
        "",
        f"play-out     {play['after_capture']:.0f} ms after capture, 99 % of the frames are there "
        f"(the fastest held back by {play['hold']:.0f} ms)",
        f"model call   p50 {run['call_ms']['p50']:.1f} ms, p99 {run['call_ms']['p99']:.1f} ms; "
        f"real-time factor {number(run['real_time_factor'], 3)}",
        f"warm-up      loading {warm['load_seconds']:.1f} s, "
        f"warming {warm['warm_up_seconds']:.1f} s; "
        f"first frame {number(warm['first_frame_ms'], 0)} ms, "
        f"first second max {warm['first_second_ms']['max']:.0f} ms (not in the table)",
        f"cost         {resources(run)}",
    ]
    return "\n".join(lines + _extras(run))


def sureness(run: Mapping[str, Any]) -> list[str]:
    """What stands under the table: the device's own delay, intervals, and runs beside this one."""
    lines = []
    if device := run["capture"]["device_ms"]:
        lines.append(f"{'device':10}{device:9.1f}  stated by it, before capture, in no sum")
    for column, (low, high) in run.get("interval_ms", {}).items():
        upper = "more than was seen" if high is None else f"{high:.1f} ms"
        lines.append(f"{column} lies between {low:.1f} ms and {upper} (95 %, of one run's frames)")
    if repeats := run.get("repeats"):
        for column in ("p50", "p99"):
            mean, half = repeats[column]
            lines.append(f"{column} of {repeats['count']} runs: {mean:.1f} ± {half:.1f} ms (95 %)")
    return lines


def resources(run: Mapping[str, Any]) -> str:
    """Memory and cores of each process, in one line."""
    memory, cores = run["memory_mb"], run["cores"]
    parts = [
        f"session and server {number(memory['end'], 0)} MB, "
        f"{number(cores['session_and_server'], 2)} cores",
        f"client {number(memory['client'], 0)} MB, {number(cores['client'], 2)} cores",
    ]
    if run["viewer"]:
        viewer = run["viewer"]
        parts.append(
            f"viewer {number(viewer['memory_mb'], 0)} MB, {number(viewer['cores'], 2)} cores"
        )
    return "; ".join(parts)


def number(value: float | None, digits: int) -> str:
    """A figure, or that there is none."""
    return "unknown" if value is None else f"{value:.{digits}f}"
