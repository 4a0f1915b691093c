"""`posetalk bench throughput`: speed, memory over time, and how soon `posetalk live` is up.

Every part runs in processes of its own, one after the other.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from benchmarks.harness.environment import describe, environment
from benchmarks.harness.processes import BenchmarkError, Helper, end
from benchmarks.harness.setting import Setting
from benchmarks.latency.live_run import waiting
from benchmarks.latency.terminal_report import describe_live
from head.files.json_file import write_json
from stream.backends.names import BackendName

Part = Literal["animate", "render", "memory", "start"]
PARTS: tuple[Part, ...] = ("animate", "render", "memory", "start")
PATIENCE_SECONDS = 3600.0
UP_SECONDS = 60.0
RETRY_SECONDS = 0.02


@dataclass(frozen=True)
class Throughput:
    """Measure what latency does not show; prints it, and writes JSON for the page.

    animate: the session of `posetalk animate` over the demo speech, nothing drawn, as a multiple of
    real time. render: off-screen pictures per second. memory: one session over many simulated
    minutes. start: from the start of the process `posetalk live` to its first frame at a client.
    """

    parts: Annotated[tuple[Part, ...], tyro.conf.arg(metavar="PART ...")] = PARTS
    """Which of them."""
    repeats: Annotated[int, tyro.conf.arg(metavar="N")] = 3
    """Runs of `animate` and `start`."""
    minutes: Annotated[int, tyro.conf.arg(metavar="N")] = 30
    """Simulated minutes of `memory`."""
    frames: Annotated[int, tyro.conf.arg(metavar="N")] = 300
    """Pictures of `render`."""
    bundle: Annotated[str, tyro.conf.arg(metavar="starter|DIR")] = "starter"
    """Weights."""
    backend: BackendName = "auto"
    """What runs the model."""
    json: Annotated[
        Path | None, tyro.conf.arg(metavar="OUT.json", help_behavior_hint="(default: none)")
    ] = None
    """Write the figures there, for `posetalk bench page`."""

    def run(self) -> dict[str, Any]:
        """Measure; returns what `--json` writes."""
        if self.json is not None and not self.json.resolve().parent.is_dir():
            raise BenchmarkError(f"--json {self.json}: there is no such folder")
        results = environment("throughput")
        print("\n".join(describe(results)), flush=True)
        for part in self.parts:
            if part == "start":
                with waiting("start"):
                    results[part] = start_times(self.backend, self.bundle, self.repeats)
            else:
                results[part] = self._work(part)
            print(report(part, results[part]), flush=True)
            if self.json is not None:
                write_json(self.json, results)
        return results

    def _work(self, part: Part) -> dict[str, Any]:
        """A part's figures, from a fresh process."""
        request = {
            "part": part,
            "setting": asdict(Setting(backend=self.backend, bundle=self.bundle)),
            "repeats": self.repeats,
            "minutes": self.minutes,
            "frames": self.frames,
        }
        stage: str = part
        with Helper("benchmarks.throughput.workload", request) as helper:
            while True:
                with waiting(stage):
                    figures = helper.receive(PATIENCE_SECONDS)
                if "progress" not in figures:
                    return figures
                stage = f"{part}: {figures['progress']}"


def report(part: str, figures: dict[str, Any]) -> str:
    """One part as text."""
    if part == "animate":
        runs = ", ".join(f"{value:.1f}" for value in figures["times_real_time"])
        return (
            f"\nanimate  {figures['median']:.1f} times real time "
            f"({figures['audio_seconds']:.1f} s of speech; runs: {runs})\n"
            f"         {describe_live(figures['live'])}"
        )
    if part == "render":
        return (
            f"\nrender   {figures['per_second']:.0f} pictures per second at "
            f"{figures['size'][0]}x{figures['size'][1]} ({figures['platform']}; median "
            f"{figures['picture_ms']['p50']:.1f} ms, p99 {figures['picture_ms']['p99']:.1f} ms)"
        )
    if part == "memory":
        values = zip(figures["minute"], figures["memory_mb"], strict=True)
        text = ", ".join(
            f"{minute}: {'unknown' if mb is None else f'{mb:.1f}'}" for minute, mb in values
        )
        return f"\nmemory   of a session in MB, by simulated minute: {text}"
    return "\n" + "\n".join(
        f"start    first frame of `posetalk live --view {view}` after "
        + ", ".join(f"{value:.2f}" for value in seconds)
        + " s"
        for view, seconds in figures["seconds"].items()
    )


def start_times(backend: str, bundle: str, repeats: int) -> dict[str, Any]:
    """Seconds from the start of `posetalk live` to its first frame at a client, per `--view`."""
    seconds: dict[str, list[float]] = {}
    for view in ("none", "offscreen"):
        seconds[view] = [first_frame(backend, bundle, view) for _ in range(repeats)]
    return {
        "seconds": seconds,
        "median": {view: statistics.median(values) for view, values in seconds.items()},
        "bundle": bundle,
        "backend": backend,
    }


def first_frame(backend: str, bundle: str, view: str) -> float:
    """Start `posetalk live` on the demo speech and wait for a frame.

    Raises BenchmarkError when none comes, with the command's own words.
    """
    from viewer.client.watching import ClientThread, ReceivedMotion, ViewerClient

    with tempfile.TemporaryDirectory(prefix="posetalk-bench-") as folder:
        port = free_port()
        command = [
            *(sys.executable, "-P", "-m", "posetalk", "live", "--source", "demo"),
            *("--view", view, "--port", str(port), "--backend", backend, "--bundle", bundle),
            *(("--record", "viewer.mp4") if view == "offscreen" else ()),
        ]
        began = time.perf_counter()
        with running(command, Path(folder)) as (process, messages):
            until = began + UP_SECONDS

            def check() -> None:
                ended = process.poll() is not None
                if ended or time.perf_counter() > until:
                    text = messages.read_text().strip().splitlines() if ended else []
                    why = text[-1] if text else f"no frame within {UP_SECONDS:.0f} s"
                    raise BenchmarkError(f"posetalk live --view {view}: {why}")
                time.sleep(RETRY_SECONDS)

            while not listens(port):
                check()
            client = ViewerClient(
                f"ws://127.0.0.1:{port}", reconnect=False, clock=time.perf_counter
            )
            with ClientThread(client) as thread:
                while True:
                    for event in thread.take():
                        if isinstance(event, ReceivedMotion):
                            return event.arrival - began
                    check()


@contextlib.contextmanager
def running(command: list[str], folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A process in `folder`, ended with Ctrl-C's signal, and the file with its messages."""
    messages = folder / "messages.txt"
    with messages.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
        )
    try:
        yield process, messages
    finally:
        end(process, 20.0)


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 measured, 2 wrong usage; raises what `benchmarks.__main__` explains."""
    command = tyro.cli(
        Throughput,
        prog="posetalk bench throughput",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    command.run()
    return 0
