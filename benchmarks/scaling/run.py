"""`posetalk bench ray`: sessions through Ray's proxy and past it, replicas killed, corpora.

Everything runs on this machine: client, proxy and replicas share its cores.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from benchmarks.harness.environment import FORMAT, describe, environment
from benchmarks.harness.processes import BenchmarkError
from benchmarks.latency.live_run import waiting
from benchmarks.scaling import cluster
from benchmarks.scaling.climb import IN_TIME_SECONDS, climb_at, served
from benchmarks.scaling.corpus import animate, write_sounds
from benchmarks.scaling.kills import one_kill, summary
from benchmarks.scaling.page import fill
from diffposetalk.bundle.bundle import load_bundle
from head.files.json_file import write_json
from head.new_file import new_file
from stream.backends.names import BackendName
from stream.backends.threads import usable_cores

Part = Literal["sessions", "kills", "corpus", "page"]
PARTS: tuple[Part, ...] = ("sessions", "kills", "corpus")
RESULTS = Path("benchmarks/results/ray.json")
GRID = Path("benchmarks/results/grid.json")
PAGE = Path("docs/scaling.md")


@dataclass(frozen=True)
class Scaling:
    """Measure what lies past one machine; prints it, and writes JSON. Needs the extra `ray`.

    sessions: how many clients speak in real time by `serve`, through Ray Serve's proxy, and by a
    direct address. kills: replicas of a two-node cluster killed under talking clients. corpus: 200
    files by one worker, and by two. page: nothing is measured, docs/scaling.md is filled.
    """

    parts: Annotated[tuple[Part, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PART ...")] = (
        PARTS
    )
    """Which of them."""
    counts: Annotated[tuple[int, ...], tyro.conf.arg(metavar="N ...")] = (8, 16, 24, 32)
    """Of `sessions`: so many at once, until they are too many; then halves between."""
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
    """Write the figures there; parts that the file has already, and that are not measured now,
    stay as they are."""

    def run(self) -> dict[str, Any]:
        """Measure; returns what `--json` writes."""
        results: dict[str, Any] = {"kind": "ray", "format": FORMAT}
        if self.json is not None and self.json.is_file():
            results |= measured(self.json)
        work: dict[Part, Callable[[], dict[str, Any]]] = {
            "sessions": self._sessions,
            "kills": self._kills,
            "corpus": self._corpus,
        }
        for part in self.parts:
            if part not in work:
                continue
            head = environment(f"ray, {part}") | {"bundle_hash": self._bundle()}
            head["versions"] |= {"ray": _version()}
            print("\n".join(describe(head)), flush=True)
            with waiting(part):
                found = work[part]()
            if part == "kills":  # each number of clients is a run of its own
                runs = {**results.get(part, {}), str(self.clients): head | found}
                results[part] = dict(sorted(runs.items(), key=lambda run: int(run[0])))
            else:
                results[part] = head | found
            print(f"{part}: {found}", flush=True)
            if self.json is not None:
                write_json(self.json, results)
        if "page" in self.parts:
            found = measured(self.json or RESULTS) | {"sizes": json.loads(GRID.read_text("utf-8"))}
            text = fill(PAGE.read_text("utf-8"), found)
            with new_file(PAGE) as path:
                path.write_text(text, "utf-8")
            print(f"wrote {PAGE}")
        return results

    def _bundle(self) -> str:
        return "fake" if self.backend == "fake" else load_bundle("starter").hash

    def _sessions(self) -> dict[str, Any]:
        found: dict[str, Any] = {"in_time_seconds": IN_TIME_SECONDS, "seconds": self.seconds}
        most, cores = max(self.counts), usable_cores()
        with served(self.backend, most) as url:
            found["serve"] = climb_at(url, self.counts, self.seconds)
        wanted = cluster.settings_of(self.backend, 1, most, cores, direct=True)
        with cluster.nodes(1, cores), cluster.application(wanted) as url:
            found["direct"] = climb_at(url, self.counts, self.seconds, direct=True)
            found["proxy"] = climb_at(url, self.counts, self.seconds)
        return found

    def _kills(self) -> dict[str, Any]:
        cores, outcomes = usable_cores(), []
        wanted = cluster.settings_of(self.backend, 2, 2 * self.clients, cores)
        with cluster.nodes(2, cores), cluster.application(wanted) as url:
            for number in range(self.kills):
                cluster.wait_for_replicas(2)
                outcomes.append(one_kill(url, self.clients, number))
                print(f"kill {number + 1}: {outcomes[-1]}", flush=True)
        return {"clients": self.clients} | summary(outcomes)

    def _corpus(self) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            sounds = write_sounds(Path(folder) / "in", self.files)
            spent = {str(n): animate(sounds, Path(folder) / "out", n, self.backend) for n in (1, 2)}
        return {"files": self.files, "seconds": spent, "times": spent["1"] / spent["2"]}


def measured(path: Path) -> dict[str, Any]:
    """The parts of a file of figures.

    Raises:
        BenchmarkError: the file is none of these.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
        if found["kind"] != "ray" or found["format"] != FORMAT:
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError):
        raise BenchmarkError(f"{path}: no file of `posetalk bench ray`: measure again") from None
    return {name: found[name] for name in PARTS if name in found}


def _version() -> str:
    try:
        return version("ray")
    except PackageNotFoundError:
        raise BenchmarkError("this measures Ray, and needs the extra ray") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """`posetalk bench ray [PART ...]`."""
    tyro.cli(
        Scaling, prog="posetalk bench ray", args=arguments, config=(tyro.conf.FlagCreatePairsOff,)
    ).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
