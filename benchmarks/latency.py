"""`bench-latency`: from the microphone to a client in another process, with every stage between.

All moments are read from the system's monotonic clock, which the processes of one machine share.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from benchmarks.circumstances import circumstances, describe, load_average
from benchmarks.figures import summarise
from benchmarks.processes import (
    BenchmarkError,
    Helper,
    cpu_seconds,
    resident_mb,
    wait_until_idle,
)
from benchmarks.report import report
from benchmarks.setting import Setting, grid
from benchmarks.virtual_microphone import VirtualMicrophone, missing, virtual_microphone
from stream.frames import FPS, SAMPLE_RATE

QUICK_SECONDS, FULL_SECONDS = 20.0, 60.0
START_SECONDS = 180.0  # a cold disk, a large bundle
VIEWER_FINISH_SECONDS = 60.0
_BY_BUNDLE = "(default: the bundle's)"
SPEECH_MARGIN_SECONDS = 60.0


@dataclass(frozen=True)
class BenchLatency:
    """Measure the latency of the live path: capture, model, server, and a client elsewhere.

    Runs what `posetalk live` runs, hears a virtual microphone where PulseAudio is installed (else
    the demo speech at the pace of time), and prints p50, p90, p99 and max of every stage. Latency
    counts from the capture of the middle of a frame's 40 ms to the frame's arrival at a websocket
    client in another process. Leave the machine alone meanwhile.
    """

    quick: bool = False
    """20 s per run instead of 60: under a minute for both runs, starting apart."""
    seconds: Annotated[
        float | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: 60)")
    ] = None
    """Length of every run."""
    source: Literal["auto", "mic", "file"] = "auto"
    """`mic`: a virtual microphone; `file`: the demo speech; `auto`: `mic` if it can be had."""
    viewer: Literal["both", "on", "off"] = "both"
    """Whether the off-screen viewer draws and records beside it, in a process of its own."""
    steps: Annotated[
        tuple[int, ...], tyro.conf.arg(metavar="K ...", help_behavior_hint=_BY_BUNDLE)
    ] = ()
    """Network calls per hop; several values make a grid, as with the next two."""
    hop: Annotated[
        tuple[int, ...], tyro.conf.arg(metavar="H ...", help_behavior_hint=_BY_BUNDLE)
    ] = ()
    """Frames between two model calls."""
    lookahead: Annotated[
        tuple[int, ...], tyro.conf.arg(metavar="R ...", help_behavior_hint=_BY_BUNDLE)
    ] = ()
    """Frames of sound heard after a frame before it is shown."""
    bundle: Annotated[str, tyro.conf.arg(metavar="starter|DIR")] = "starter"
    """Weights."""
    backend: Literal["auto", "torch", "fake"] = "auto"
    """What runs the model. `fake` has no model: what remains is the cost of everything else."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Of the noise."""
    json: Annotated[
        Path | None, tyro.conf.arg(metavar="OUT.json", help_behavior_hint="(default: none)")
    ] = None
    """Write the figures there, for `python -m benchmarks.page`."""

    def run(self, note: Callable[[str], None] = print) -> dict[str, Any]:
        """Measure every point of the grid; returns what `--json` writes."""
        seconds = self.seconds or (QUICK_SECONDS if self.quick else FULL_SECONDS)
        if seconds < 2:
            raise BenchmarkError(f"--seconds {seconds:g}: the first is warm-up, take 2 or more")
        if self.json is not None and not self.json.resolve().parent.is_dir():
            raise BenchmarkError(f"--json {self.json}: there is no such folder")
        results = circumstances("latency")
        results["runs"] = []
        note("\n".join(describe(results)))
        with contextlib.ExitStack() as stack:
            microphone = self._microphone(stack, note)
            base = Setting(
                backend=self.backend,
                bundle=self.bundle,
                seed=self.seed,
                source="file" if microphone is None else "mic",
                seconds=seconds,
            )
            viewers = {"both": (False, True), "on": (True,), "off": (False,)}[self.viewer]
            points = grid(
                base, steps=self.steps, hop=self.hop, lookahead=self.lookahead, viewer=viewers
            )
            for number, setting in enumerate(points, 1):
                label = f"run {number} of {len(points)}: {setting.label()}"
                run = measure(setting, microphone, label)
                results["runs"].append(run)
                note("\n" + report(run))
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
        """After every run, so that what is measured is kept."""
        if self.json is not None:
            self.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


def measure(setting: Setting, microphone: VirtualMicrophone | None, label: str) -> dict[str, Any]:
    """One run in fresh processes; raises BenchmarkError when it cannot be measured."""
    load = load_average()
    with contextlib.ExitStack() as stack:
        environment = None
        if microphone is not None:
            stack.enter_context(microphone.speaking(speech(setting.seconds)))
            environment = microphone.environment
        subject = stack.enter_context(Helper("benchmarks.subject", asdict(setting), environment))
        with waiting(f"{label}: starting"):
            ready = subject.receive(START_SECONDS)
            listener = stack.enter_context(Helper("benchmarks.listener", {"url": ready["url"]}))
            listener.receive(START_SECONDS)
            viewer = stack.enter_context(viewing(ready["url"])) if setting.viewer else None
            subject.tell(f"clients {1 + setting.viewer}")
            subject.receive(START_SECONDS)
            if viewer is not None:
                wait_until_idle(viewer.pid)
        began = time.monotonic()
        viewer_cpu = None if viewer is None else cpu_seconds(viewer.pid)
        subject.tell("go")
        with waiting(f"{label}: {setting.seconds:.0f} s"):
            ended = subject.receive(setting.seconds + START_SECONDS)
        heard = listener.receive(30.0)
        run = summarise({**ready, **ended}, heard, FPS)
        run |= {"viewer": None, "load_average": load, "asked": asdict(setting)}
        if viewer is not None:
            run["viewer"] = viewer.finish(viewer_cpu, time.monotonic() - began)
    return run


def speech(seconds: float) -> Any:
    """The demo speech over and over, (n,) samples, longer than a run with its start takes."""
    import numpy as np

    from posetalk import demo_speech
    from stream.sources.file import FileSource

    blocks = [block.samples for block in FileSource(demo_speech(), pace="fast")]
    once = np.concatenate(blocks)
    return np.resize(once, int((seconds + START_SECONDS + SPEECH_MARGIN_SECONDS) * SAMPLE_RATE))


class Viewer:
    """The product's own off-screen viewer, `posetalk view --view offscreen`, drawing a video."""

    def __init__(self, url: str, folder: Path) -> None:
        from posetalk.children import start

        record = str(folder / "viewer.mp4")
        self.child = start([url, "--once", "--view", "offscreen", "--record", record])
        self.pid = self.child.process.pid
        self._path = folder / "viewer.mp4"

    def finish(self, cpu_before: float | None, seconds: float) -> dict[str, Any]:
        """What it has drawn and used; raises BenchmarkError when it failed."""
        memory, cpu = resident_mb(self.pid), cpu_seconds(self.pid)
        self.child.finish(VIEWER_FINISH_SECONDS)
        if self.child.failed or not self._path.exists():
            raise BenchmarkError(f"the viewer: {self.child.last_words}")
        share = None if cpu is None or cpu_before is None else (cpu - cpu_before) / seconds
        return {
            "said": self.child.last_words.replace(str(self._path), self._path.name),
            "memory_mb": memory,
            "cores": None if share is None else round(share, 4),
        }


@contextlib.contextmanager
def viewing(url: str) -> Iterator[Viewer]:
    """A viewer while the block runs."""
    with tempfile.TemporaryDirectory(prefix="posetalk-bench-") as folder:
        viewer = Viewer(url, Path(folder))
        try:
            yield viewer
        finally:
            if not viewer.child.gone:
                viewer.child.end()


@contextlib.contextmanager
def waiting(label: str) -> Iterator[None]:
    """Say what goes on; one line written once, as a moving bar would disturb what is measured."""
    if not sys.stderr.isatty():
        print(label, file=sys.stderr, flush=True)
        yield
        return
    print(f"\r\x1b[K{label} ...", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 measured, 1 failed, 2 wrong usage, 130 Ctrl-C."""
    command = tyro.cli(
        BenchLatency, prog="bench-latency", args=arguments, config=(tyro.conf.FlagCreatePairsOff,)
    )
    try:
        command.run()
    except KeyboardInterrupt:
        return 130
    except (OSError, ValueError, RuntimeError) as error:
        print(f"bench-latency: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
