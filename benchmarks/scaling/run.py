"""`posetalk bench ray`: sessions through Ray's proxy and past it, replicas killed, corpora.

Everything runs on this machine: client, proxy and replicas share its cores.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from benchmarks.harness.environment import describe, environment
from benchmarks.harness.processes import BenchmarkError
from benchmarks.latency.live_run import waiting
from benchmarks.latency.percentiles import distribution
from benchmarks.scaling import cluster
from benchmarks.scaling.speakers import Speaker, all_speak, carried, speak_all, spoken_for
from head.files.json_file import write_json
from stream.backends.names import BackendName

Part = Literal["sessions", "kills", "corpus"]
PARTS: tuple[Part, ...] = ("sessions", "kills", "corpus")
IN_TIME_SECONDS = 0.3
"""From the middle of a frame's sound to its arrival: later is not in real time."""
AFTER_SECONDS = 6.0
"""That are still spoken after a replica was killed."""


@dataclass(frozen=True)
class Scaling:
    """Measure what lies past one machine; prints it, and writes JSON. Needs the extra `ray`.

    sessions: how many clients speak in real time by `serve`, through Ray Serve's proxy, and by a
    direct address. kills: replicas of a two-node cluster killed under talking clients. corpus: 200
    files by one worker, and by two.
    """

    parts: Annotated[tuple[Part, ...], tyro.conf.arg(metavar="PART ...")] = PARTS
    """Which of them."""
    counts: Annotated[tuple[int, ...], tyro.conf.arg(metavar="N ...")] = (4, 8, 12, 16, 20, 24)
    """Of `sessions`: so many at once, until they are too many."""
    seconds: Annotated[float, tyro.conf.arg(metavar="N")] = 10.0
    """Of each of these."""
    kills: Annotated[int, tyro.conf.arg(metavar="N")] = 20
    """How often a replica is killed."""
    clients: Annotated[int, tyro.conf.arg(metavar="N")] = 16
    """That speak meanwhile."""
    files: Annotated[int, tyro.conf.arg(metavar="N")] = 200
    """Of `corpus`, five seconds each."""
    backend: BackendName = "auto"
    """What runs the model."""
    json: Annotated[
        Path | None, tyro.conf.arg(metavar="OUT.json", help_behavior_hint="(default: none)")
    ] = None
    """Write the figures there."""

    def run(self) -> dict[str, Any]:
        """Measure; returns what `--json` writes."""
        results = environment("ray") | {"ray": version("ray")}
        print("\n".join(describe(results)), flush=True)
        work: dict[Part, Callable[[], dict[str, Any]]] = {
            "sessions": self._sessions,
            "kills": self._kills,
            "corpus": self._corpus,
        }
        for part in self.parts:
            with waiting(part):
                found = work[part]()
            results[part] = found | {"load": os.getloadavg()[0]}
            print(f"{part}: {results[part]}", flush=True)
            if self.json is not None:
                write_json(self.json, results)
        return results

    def _sessions(self) -> dict[str, Any]:
        found: dict[str, Any] = {"in_time_seconds": IN_TIME_SECONDS}
        most = max(self.counts)
        found["serve"] = by_serve(self.backend, most, self._climb)
        wanted = cluster.settings_of(self.backend, 1, most, direct=True)
        with cluster.nodes(1, len(os.sched_getaffinity(0))), cluster.application(wanted) as url:
            found["direct"] = self._climb(url, direct=True)
            found["proxy"] = self._climb(url)
        return found

    def _climb(self, url: str, direct: bool = False) -> dict[str, Any]:
        """The most of `counts` that are carried, and the ages of each."""
        best, ages = 0, {}
        for count in sorted(self.counts):
            speakers = spoken_for(count, url, self.seconds, direct=direct)
            ages[str(count)] = distribution(1e3 * np.concatenate([s.ages[50:] for s in speakers]))
            if not carried(speakers, IN_TIME_SECONDS):
                break
            best = count
        return {"sessions": best, "age_ms": ages}

    def _kills(self) -> dict[str, Any]:
        wanted = cluster.settings_of(self.backend, 2, 2 * self.clients)
        outcomes = []
        with cluster.nodes(2, len(os.sched_getaffinity(0))), cluster.application(wanted) as url:
            for number in range(self.kills):
                cluster.wait_for_replicas(2)
                outcomes.append(one_kill(url, self.clients, number))
                print(f"kill {number + 1}: {outcomes[-1]}", flush=True)
        return summary(outcomes)

    def _corpus(self) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            sounds = write_sounds(Path(folder) / "in", self.files)
            spent = {str(n): animate(sounds, Path(folder) / "out", n, self.backend) for n in (1, 2)}
        return {"files": self.files, "seconds": spent, "times": spent["1"] / spent["2"]}


def by_serve(
    backend: BackendName, sessions: int, measure: Callable[[str], dict[str, Any]]
) -> dict[str, Any]:
    """`posetalk serve` itself, measured."""
    port = cluster.free_port()
    command = [sys.executable, "-P", "-m", "posetalk", "serve", "--source", "none"]
    command += ["--backend", backend, "--port", str(port), "--sessions", str(sessions)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "serving at" in line:
                break
        threading.Thread(target=process.stderr.read, daemon=True).start()
        return measure(f"ws://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()


def one_kill(url: str, clients: int, number: int) -> dict[str, Any]:
    """Clients speak, a replica dies under them; what they noticed.

    Args:
        number: of the kill: they fall at different moments, on one replica and the other.
    """
    speakers = [Speaker(each) for each in range(clients)]
    struck: list[float] = []

    def is_over() -> bool:
        if not struck and all_speak(speakers, 50 + number):
            pids = cluster.replica_pids()
            struck.append(time.monotonic())
            cluster.kill(pids[number % len(pids)])
        return bool(struck) and time.monotonic() > struck[0] + AFTER_SECONDS

    asyncio.run(speak_all(speakers, url, is_over, resume=True))
    return judge(speakers)


def judge(speakers: Sequence[Speaker]) -> dict[str, Any]:
    """Figures of one kill: of those who had to move, and of all others."""
    moved = [s for s in speakers if s.moves]
    others = [s for s in speakers if not s.moves]
    steps = [step for s in moved for step in s.lip_steps()]
    gaps = [gap for s in moved for gap in s.move_gaps()]
    return {
        "moved": len(moved),
        "gap_seconds": max(gaps, default=0.0),
        "lip_step_mm": max(steps, default=0.0),
        "repeated": sum(s.repeated for s in speakers),
        "missing_of_moved": sum(s.missing for s in moved),
        "missing_of_others": sum(s.missing for s in others),
        "others_longest_gap_seconds": max((s.longest_gap() for s in others), default=0.0),
        "errors": [s.error for s in speakers if s.error],
    }


def summary(outcomes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of all kills."""
    if not outcomes:
        raise BenchmarkError("--kills 0: nothing was measured")
    worst = {
        name: max(outcome[name] for outcome in outcomes)
        for name in ("gap_seconds", "lip_step_mm", "others_longest_gap_seconds")
    }
    sums = {
        name: sum(outcome[name] for outcome in outcomes)
        for name in ("moved", "repeated", "missing_of_moved", "missing_of_others")
    }
    errors = [error for outcome in outcomes for error in outcome["errors"]]
    gaps = sorted(outcome["gap_seconds"] for outcome in outcomes)
    return {"kills": len(outcomes), **sums, **worst, "gaps": gaps, "errors": errors}


def write_sounds(folder: Path, count: int) -> Path:
    """Five seconds of the demo speech each, from another place on."""
    import soundfile

    from posetalk import demo_speech

    speech, rate = soundfile.read(demo_speech(), dtype="float32")
    folder.mkdir()
    length = 5 * rate
    for number in range(count):
        at = number * rate // 3 % (len(speech) - length)
        soundfile.write(folder / f"{number:04}.wav", speech[at : at + length], rate)
    return folder


def animate(sounds: Path, out: Path, workers: int, backend: BackendName) -> float:
    """Seconds that so many workers take, Ray's start not counted."""
    command = [sys.executable, "-P", "-m", "posetalk", "animate", str(sounds), "--ray", str(out)]
    command += ["--workers", str(workers), "--backend", backend, "--force"]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r" in ([\d.]+) s", done.stderr)
    if done.returncode != 0 or found is None:
        raise BenchmarkError(f"posetalk animate --ray failed: {done.stderr.strip()[-300:]}")
    return float(found[1])


def main(arguments: Sequence[str] | None = None) -> int:
    """`posetalk bench ray [PART ...]`."""
    tyro.cli(
        Scaling, prog="posetalk bench ray", args=arguments, config=(tyro.conf.FlagCreatePairsOff,)
    ).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
