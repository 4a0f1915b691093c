"""`bench-latency`: from the microphone to a client in another process, with every stage between.

All moments are read from the system's monotonic clock, which the processes of one machine share.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from benchmarks.harness.environment import describe, environment, load_average
from benchmarks.harness.precision import Exports
from benchmarks.harness.processes import BenchmarkError
from benchmarks.harness.setting import Setting, grid
from benchmarks.harness.virtual_microphone import VirtualMicrophone, missing, virtual_microphone
from benchmarks.latency import many_sessions
from benchmarks.latency.compare import compare
from benchmarks.latency.grid_file import read_grid
from benchmarks.latency.live_run import measure_live, waiting
from benchmarks.latency.roofline import measure_speed, roofline_of
from benchmarks.latency.terminal_report import overview, report
from benchmarks.quality import lip_error
from head.files.json_file import write_json
from posetalk.terminal.console import UsageError
from posetalk.terminal.exit_codes import DONE
from training.evaluation.intervals import interval

QUICK_SECONDS, FULL_SECONDS = 10.0, 60.0
MANY_SESSIONS = 12
"""Sessions of the run with many."""
_BY_BUNDLE = "(default: the bundle's)"


@dataclass(frozen=True)
class BenchLatency:
    """Measure the latency of the live path: capture, model, server, and a client elsewhere.

    Runs what `posetalk live` runs, hears a virtual microphone where PulseAudio is installed (else
    the demo speech at the pace of time), and prints p50, p90, p99 and max of every stage. Latency
    counts from the capture of the middle of a frame's 40 ms to the frame's arrival at a websocket
    client in another process; many sessions are measured on the server's scheduler, up to the
    delivery of the frame. Without lists: the live defaults without and with the viewer, and twelve
    sessions at once. Leave the machine alone meanwhile.
    """

    quick: bool = False
    """10 s per run instead of 60: under a minute in all, starting included."""
    seconds: Annotated[
        float | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: 60)")
    ] = None
    """Length of every run."""
    repeats: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """Measure every point so often: the run with the middle p99 is shown, with the interval of p50
    and p99 over all."""
    source: Literal["auto", "mic", "file"] = "auto"
    """`mic`: a virtual microphone; `file`: the demo speech; `auto`: `mic` if it can be had."""
    viewer: Literal["both", "on", "off"] = "both"
    """Whether the off-screen viewer draws and records beside it, in a process of its own."""
    backend: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME ...", help_behavior_hint="(default: auto)")
    ] = ()
    """What runs the model; several values make a grid, as with the next five. `fake` has no model:
    what remains is the cost of everything else."""
    precision: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="P ...", help_behavior_hint="(default: the backend's)"),
    ] = ()
    """Precision of the model's arithmetic: fp32, bf16, fp16, int8."""
    steps: Annotated[
        tuple[int, ...], tyro.conf.arg(metavar="K ...", help_behavior_hint=_BY_BUNDLE)
    ] = ()
    """Network calls per hop."""
    hop: Annotated[
        tuple[int, ...], tyro.conf.arg(metavar="H ...", help_behavior_hint=_BY_BUNDLE)
    ] = ()
    """Frames between two model calls."""
    lookahead: Annotated[
        tuple[int, ...], tyro.conf.arg(metavar="R ...", help_behavior_hint=_BY_BUNDLE)
    ] = ()
    """Frames of sound heard after a frame before it is shown."""
    sessions: Annotated[
        tuple[int, ...], tyro.conf.arg(metavar="N ...", help_behavior_hint="(default: 1)")
    ] = ()
    """Sessions at once; more than one run on the server's scheduler."""
    grid: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE.toml", help_behavior_hint="(default: none)")
    ] = None
    """Measure the points of this file instead; see benchmarks/grid.toml."""
    quality: Literal["no", "too", "only"] = "no"
    """Also measure what is seen of the speech at every point, on synthetic voices that training
    never heard: closures, vowels, rounding, life; or that alone, which a busy machine does not
    disturb. With POSETALK_DATA, held-out clips as well."""
    bundle: Annotated[str, tyro.conf.arg(metavar="starter|DIR")] = "starter"
    """Weights."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Seed of the noise."""
    json: Annotated[
        Path | None, tyro.conf.arg(metavar="OUT.json", help_behavior_hint="(default: none)")
    ] = None
    """Write the figures there, for `posetalk bench page`."""
    compare: Annotated[
        tuple[Path, Path] | None,
        tyro.conf.arg(metavar="A.json B.json", help_behavior_hint="(default: none)"),
    ] = None
    """Measure nothing; say how B differs from A, point by point."""

    def run(self, note: Callable[[str], None] = print) -> dict[str, Any]:
        """Measure every point of the grid; returns what `--json` writes."""
        if self.compare is not None:
            note(compare(*self.compare))
            return {}
        seconds = self.seconds or (QUICK_SECONDS if self.quick else FULL_SECONDS)
        if seconds < 2:
            raise UsageError(f"--seconds {seconds:g}: the first is warm-up, take 2 or more")
        if self.json is not None and not self.json.resolve().parent.is_dir():
            raise UsageError(f"--json {self.json}: there is no such folder")
        if self.repeats < 1:
            raise UsageError(f"--repeats {self.repeats}: take 1 or more")
        points = self.points(Setting(bundle=self.bundle, seed=self.seed, seconds=seconds))
        if self.quality == "only":
            return self._only_quality(points, note)
        results = environment("latency")
        results["speed"] = measure_speed()
        results["runs"] = []
        note("\n".join(describe(results)))
        with contextlib.ExitStack() as stack:
            exports, microphone = Exports(stack), None
            if any(point.sessions == 1 for point in points):
                microphone = self._microphone(stack, note)
            for number, point in enumerate(points, 1):
                heard = microphone if point.sessions == 1 else None
                source: Literal["file", "mic"] = "file" if heard is None else "mic"
                setting = exports.prepared(replace(point, source=source))
                label = f"run {number} of {len(points)}: {setting.label()}"
                run = measured_often(setting, heard, label, self.repeats)
                if run["live"]["backend"] != "fake":
                    run["roofline_ms"] = roofline_of(self.bundle, run["live"], results["speed"])
                if self.quality == "too":
                    with waiting(f"{label}: quality"):
                        run["quality"] = lip_error.measure(setting)
                results["runs"].append(run)
                note("\n" + report(run))
                self._write(results)
        if len(results["runs"]) > 1:
            note("\n" + overview(results["runs"]))
        return results

    def points(self, base: Setting) -> list[Setting]:
        """What is to be measured."""
        if self.grid is not None:
            return read_grid(self.grid, base)
        lists = {
            name: getattr(self, name)
            for name in ("backend", "precision", "steps", "hop", "lookahead", "sessions")
        }
        viewers = {"both": (False, True), "on": (True,), "off": (False,)}[self.viewer]
        points = grid(base, **lists, viewer=viewers)
        if not any(lists[name] for name in ("steps", "hop", "lookahead", "sessions")):
            points += grid(replace(base, sessions=MANY_SESSIONS), **lists)
        return points

    def _only_quality(self, points: Sequence[Setting], note: Callable[[str], None]) -> Any:
        """The quality of every point that differs in more than speed, and of the 500 steps."""
        results = environment("quality")
        results["points"] = []
        single = [point for point in points if point.sessions == 1]
        alike = [replace(point, viewer=False, seconds=0.0) for point in single]
        with contextlib.ExitStack() as stack:
            exports = Exports(stack)
            for number, setting in enumerate(dict.fromkeys(alike), 1):
                with waiting(f"quality {number}: {setting.label()}"):
                    results["points"].append(lip_error.measure(exports.prepared(setting)))
                note(f"{setting.label()}: {lip_error.in_words(results['points'][-1])}")
                self._write(results)
        if not lip_error.has_data():
            return results
        base = Setting(bundle=self.bundle, backend="torch", seed=self.seed)
        with waiting("quality: few steps and all of them, in paper mode"):
            results["reference"] = lip_error.measure_reference(base, (1, 2, 4, 8))
        note(f"in paper mode, LVE by steps: {results['reference']['reference']}")
        self._write(results)
        return results

    def _microphone(
        self, stack: contextlib.ExitStack, note: Callable[[str], None]
    ) -> VirtualMicrophone | None:
        reason = "not asked for" if self.source == "file" else missing()
        if reason is None:
            return stack.enter_context(virtual_microphone())
        if self.source == "mic":
            raise BenchmarkError(f"no virtual microphone: {reason}")
        note(f"source: the demo speech at the pace of time (virtual microphone: {reason})")
        return None

    def _write(self, results: dict[str, Any]) -> None:
        """Write the file, after every run, so that what is measured is kept."""
        if self.json is not None:
            write_json(self.json, results)


def measure(setting: Setting, microphone: VirtualMicrophone | None, label: str) -> dict[str, Any]:
    """One run in fresh processes; raises BenchmarkError when it cannot be measured."""
    load = load_average()
    if setting.sessions > 1:
        with waiting(f"{label}: {setting.seconds:.0f} s"):
            run = many_sessions.measure(setting)
    else:
        run = measure_live(setting, microphone, label)
    return run | {"asked": asdict(setting), "load_average": load}


def measured_often(
    setting: Setting, microphone: VirtualMicrophone | None, label: str, repeats: int
) -> dict[str, Any]:
    """The run with the middle p99 of so many, and what p50 and p99 of all of them are."""
    runs = [measure(setting, microphone, label) for _ in range(repeats)]
    chosen = sorted(runs, key=lambda run: run["end_to_end_ms"]["p99"])[(repeats - 1) // 2]
    if repeats == 1:
        return chosen
    spread = {c: interval([run["end_to_end_ms"][c] for run in runs]) for c in ("p50", "p99")}
    return chosen | {"repeats": {"count": repeats, **spread}}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure as the command line says; returns 0, raises what `benchmarks.__main__` explains."""
    command = tyro.cli(
        BenchLatency, prog="bench-latency", args=arguments, config=(tyro.conf.FlagCreatePairsOff,)
    )
    command.run()
    return DONE
