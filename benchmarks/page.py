"""`python -m benchmarks.page RESULT.json ... -o docs/performance.md`: the page, from results alone.

Every number on it is read from a file that `bench-latency` or `benchmarks.throughput` wrote.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from benchmarks.circumstances import FORMAT, describe
from benchmarks.figures import STAGES
from benchmarks.goals import goals
from benchmarks.report import describe_live, number, resources

KINDS = ("latency", "throughput")

_HEAD = """\
<!-- Written by `python -m benchmarks.page`: change the results or benchmarks/page.py, not this. -->
# Performance

Every number here was written by a command and can be had again (`.venv/bin/` in front, where
`run.py` has set posetalk up; leave the machine alone meanwhile):

    bench-latency --json benchmarks/results/latency.json
    bench-latency --quick --viewer off --steps 1 2 4 --hop 1 2 4 --json benchmarks/results/grid.json
    python -m benchmarks.throughput --json benchmarks/results/throughput.json
    python -m benchmarks.page benchmarks/results/*.json -o docs/performance.md

`bench-latency --quick` alone takes under a minute. Hop H, lookahead R, network calls K, window rule
and guidance are one set: a figure means nothing without its set, so it stands beside each.
"""

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


class PageError(ValueError):
    """A results file that cannot be used; one line."""


def page(results: Sequence[Mapping[str, Any]]) -> str:
    """The whole page as Markdown; the same results give the same page."""
    parts = [_HEAD]
    if not results:
        parts.append("Nothing has been measured yet.\n")
        return "\n".join(parts)
    parts.append(_goals(results))
    latency = [r for r in results if r["kind"] == "latency"]
    if latency:
        stages = "\n".join(f"- {name}: {text}" for name, text in STAGES.items())
        parts += ["## Latency\n", _LATENCY.format(stages=stages)]
        for result in latency:
            parts.append(_circumstances(result))
            parts += [_grid(result["runs"])] if _is_grid(result) else map(_run, result["runs"])
    for result in results:
        if result["kind"] == "throughput":
            parts += ["## Speed, memory, start\n", _circumstances(result), _throughput(result)]
    return "\n".join(parts)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A Markdown table; the first `left` columns are text, the others numbers."""
    rule = ["---" if k < left else "---:" for k in range(len(header))]
    lines = [header, rule, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _goals(results: Sequence[Mapping[str, Any]]) -> str:
    found = goals(results)
    if not found:
        return ""
    rows = [(g.name, g.wanted, g.measured, "reached" if g.reached else "**missed**") for g in found]
    return "\n".join(
        [
            "## What was to be reached\n",
            table(("figure, at the bundle's live defaults", "wanted", "measured", ""), rows, 1),
        ]
    )


def _circumstances(result: Mapping[str, Any]) -> str:
    return "\n".join(f"> {line}  " for line in describe(dict(result))) + "\n"


def _is_grid(result: Mapping[str, Any]) -> bool:
    """Whether the runs differ in more than the viewer."""
    asked = [run["asked"] for run in result.get("runs", ())]
    return len({(a["steps"], a["hop"], a["lookahead"]) for a in asked}) > 1


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
    if run["capture"]["device_ms"]:
        facts.append(f"the device states {run['capture']['device_ms']:.0f} ms before capture")
    if run["viewer"]:
        facts.append(f"the viewer {run['viewer']['said']}")
    return "\n".join(
        [title, "", table(("milliseconds", *columns), rows), *(f"- {fact}" for fact in facts), ""]
    )


def _grid(runs: Sequence[Mapping[str, Any]]) -> str:
    header = (
        *("H", "R", "K", "viewer", "p50 ms", "p90 ms", "p99 ms", "max ms"),
        *("call p50 ms", "call p99 ms", "real-time factor", "late", "lost"),
    )
    rows = [
        (
            *(str(run["live"][name]) for name in ("hop", "lookahead", "steps")),
            "yes" if run["viewer"] else "no",
            *(f"{run['end_to_end_ms'][name]:.0f}" for name in ("p50", "p90", "p99", "max")),
            *(f"{run['call_ms'][name]:.1f}" for name in ("p50", "p99")),
            number(run["real_time_factor"], 3),
            *(str(run["frames"][name]) for name in ("late", "lost")),
        )
        for run in runs
    ]
    live, seconds = runs[0]["live"], runs[0]["seconds"]
    text = (
        f"{seconds:.0f} s each, source `{runs[0]['asked']['source']}`; {live['window_rule']}, "
        f"audio guidance {live['audio_guidance']:g}, style guidance {live['style_guidance']:g}; "
        f"{live['backend']} on {live['device']}, bundle {live['bundle_hash'][:12]}"
    )
    return f"### Side by side\n\n{text}\n\n{table(header, rows, 0)}"


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


def read_results(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Results files, latency first, grids after single points, by name; raises PageError."""
    results = []
    for path in sorted(paths, key=lambda path: path.name):
        try:
            result = json.loads(path.read_text("utf-8"))
        except OSError as error:
            raise PageError(f"{path}: {error.strerror}") from None
        except ValueError:
            raise PageError(f"{path}: not JSON") from None
        if not isinstance(result, dict) or result.get("kind") not in KINDS:
            raise PageError(f"{path}: not written by bench-latency or benchmarks.throughput")
        if result.get("format") != FORMAT:
            raise PageError(f"{path}: written by another version, measure again")
        results.append(result)
    return sorted(results, key=lambda result: (KINDS.index(result["kind"]), _is_grid(result)))


@dataclass(frozen=True)
class Page:
    """Write the performance page from results files."""

    results: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RESULT.json ...")
    ]
    """Written by `bench-latency --json` and `benchmarks.throughput --json`."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="OUT.md")] = Path(
        "docs/performance.md"
    )
    """The page."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 written, 1 failed, 2 wrong usage."""
    command = tyro.cli(Page, prog="python -m benchmarks.page", args=arguments)
    try:
        command.output.write_text(page(read_results(command.results)), "utf-8")
    except (OSError, PageError) as error:
        print(f"page: {error}", file=sys.stderr)
        return 1
    print(f"wrote {command.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
