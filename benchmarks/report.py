"""A run's figures as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.figures import STAGES

_COLUMNS = ("p50", "p90", "p99", "max")


def describe_live(live: Mapping[str, Any]) -> str:
    """The set that a figure belongs to, in one line."""
    return (
        f"H = {live['hop']}, R = {live['lookahead']}, K = {live['steps']}, {live['window_rule']}, "
        f"audio guidance {live['audio_guidance']:g}, style guidance {live['style_guidance']:g}, "
        f"style {live['style']}; {live['backend']} on {live['device']}, "
        f"bundle {live['bundle_hash'][:12]}"
    )


def report(run: Mapping[str, Any]) -> str:
    """One run: what was run, the frames, every stage, end to end, and what it cost."""
    frames, play, warm = run["frames"], run["playout_ms"], run["warm_up"]
    with_viewer = "with" if run["viewer"] else "without"
    source = "a virtual microphone" if run["asked"]["source"] == "mic" else run["source"]
    lines = [
        describe_live(run["live"]),
        f"{run['seconds']:.0f} s of {source}, {with_viewer} the off-screen viewer",
        f"frames   expected {frames['expected']}   received {frames['received']}   "
        f"lost {frames['lost']}   late {frames['late']}   merged calls {frames['merged_calls']}",
        "",
        f"{'milliseconds':<14}" + "".join(f"{name:>9}" for name in _COLUMNS),
    ]
    table = {name: run["stages_ms"][name] for name in STAGES} | {"END TO END": run["end_to_end_ms"]}
    for name, values in table.items():
        numbers = "".join(f"{values[column]:9.1f}" for column in _COLUMNS)
        lines.append(f"{name:<14}{numbers}  {STAGES.get(name, '')}".rstrip())
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
    if run["capture"]["device_ms"]:
        lines.append(
            f"device       states {run['capture']['device_ms']:.0f} ms of its own before capture "
            "(not in the table)"
        )
    return "\n".join(lines)


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
