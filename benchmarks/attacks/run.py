"""Every attack against `posetalk serve`: `posetalk bench attacks`.

A real server with the starter, a well-behaved viewer, and one attacker after the other: niced, held
to one core, on this machine only, for a few seconds each.  Beside each attack runs a control, the
same load aimed at nothing, which tells what the attacker takes of the machine itself.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from benchmarks.attacks.attack import ATTACKS, Attack
from benchmarks.attacks.attacker import KINDS
from benchmarks.attacks.floods import FULL_HOUSE
from benchmarks.attacks.serve_process import START_SECONDS, Meter, ServeProcess
from benchmarks.attacks.verdict import HEADER, Result, summary, unreadable
from benchmarks.attacks.watcher import Watcher, clients_now, newcomer
from benchmarks.harness.environment import describe, environment
from benchmarks.harness.processes import BenchmarkError, Helper
from benchmarks.hostile.run import HEADER as FILES_HEADER
from benchmarks.hostile.run import KINDS as FILES
from benchmarks.hostile.run import FileResult, run_files
from head.files.json_file import write_json
from stream.backends.names import BackendName
from stream.backends.registry import load_backend

assert KINDS, "they enter the attacks"

SETTLE_SECONDS = 10.0
"""In which memory must be back."""
TRIES = 3
"""Of an attack that misses the bar of the gap and no other: what the attack does it does each time,
what the rest of a busy machine does it does not.  The last one counts, and their number is told."""


def run_attack(
    server: ServeProcess, watcher: Watcher, kind: Attack, nothing: int, seconds: float
) -> Result:
    """One attack: its control, itself, and how the server is ten seconds later."""
    aimed = {"name": kind.name, "seconds": seconds}
    with Helper("benchmarks.attacks.attacker", {**aimed, "port": nothing}) as control:
        control.receive(60)
        watcher.phase()
        with contextlib.suppress(BenchmarkError):
            control.receive(seconds + 20)
        beside = watcher.phase()
    before, meter, printed = server.megabytes, Meter(server), len(server.lines)
    secret = {"POSETALK_TOKEN": server.token}
    with Helper("benchmarks.attacks.attacker", {**aimed, "port": server.port}, secret) as one:
        one.receive(60)
        watcher.phase()
        end = time.monotonic() + 0.9 * seconds
        with meter.running():
            time.sleep(0.4 * seconds)
            waited = newcomer(server.address)
            time.sleep(max(0.0, end - time.monotonic()))
            meter.clients = clients_now(server.address)
            with contextlib.suppress(BenchmarkError):
                one.receive(seconds + 20)
        seen = watcher.phase()
    after, until = server.megabytes, time.monotonic() + SETTLE_SECONDS
    while after > before + 5.0 and time.monotonic() < until:
        time.sleep(0.25)
        after = min(after, server.megabytes)
    failure = watcher.failure
    if server.process.poll() is not None:
        failure = f"the server ended: {' '.join(server.lines[-2:])}"
    return Result(
        kind.name,
        seen.gap,
        beside.gap,
        seen.lost,
        seen.finite,
        before,
        max(meter.height, before),
        after,
        waited,
        meter.clients,
        unreadable(server.lines[printed:]),
        failure,
    )


def run_all(
    kinds: Sequence[Attack], backend: BackendName, seconds: float, folder: Path
) -> Iterator[Result]:
    """All of them, those against TLS and tokens last."""
    with Helper("benchmarks.attacks.nothing", {}) as nothing:
        port = int(nothing.receive(60)["port"])
        for guarded in (False, True):
            some = [kind for kind in kinds if kind.guarded is guarded]
            some.sort(key=lambda kind: kind.name != FULL_HOUSE)  # of a server that has seen nothing
            if not some:
                continue
            with (
                ServeProcess(backend, guarded, folder) as server,
                Watcher(server.address) as watcher,
            ):
                waited = newcomer(server.address)
                if waited > START_SECONDS:
                    raise BenchmarkError("the server sends no frames")
                for kind in some:
                    result = run_attack(server, watcher, kind, port, seconds)
                    while result.missed_the_gap_only and result.tries < TRIES:
                        again = run_attack(server, watcher, kind, port, seconds)
                        result = replace(again, tries=result.tries + 1)
                    yield result


@dataclass(frozen=True)
class Attacks:
    """Attack a server of one's own in every way there is, and see who notices."""

    seconds: Annotated[float, tyro.conf.arg(metavar="S")] = 5.0
    """Of each attack, and of its control."""
    backend: BackendName = "auto"
    """What runs the starter; `fake` is no model."""
    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """Attacks and hostile files to run, instead of all."""
    json: Annotated[
        Path | None, tyro.conf.arg(metavar="OUT.json", help_behavior_hint="(default: none)")
    ] = None
    """Write the figures there."""

    def run(self) -> list[Result | FileResult]:
        """Attack; returns what came of it."""
        unknown = [name for name in self.only if name not in ATTACKS and name not in FILES]
        if unknown:
            raise BenchmarkError(
                f"no attack {unknown[0]!r}: there are {', '.join([*ATTACKS, *FILES])}"
            )
        kinds = [kind for name, kind in ATTACKS.items() if not self.only or name in self.only]
        files = [name for name in FILES if not self.only or name in self.only]
        about = environment("attacks")
        about["attacks"] = {
            "seconds": self.seconds,
            "backend": self.backend,
            "bundle_hash": load_backend(self.backend).bundle_hash,
        }
        print("\n".join(describe(about)), flush=True)
        results, read = self._attack(kinds), self._read(files)
        if self.json is not None:
            about["attacks"] |= {
                "results": [asdict(r) | {"faults": r.faults} for r in results],
                "files": [asdict(r) for r in read],
            }
            write_json(self.json, about)
        return [*results, *read]

    def _attack(self, kinds: Sequence[Attack]) -> list[Result]:
        """The server, by its clients."""
        results: list[Result] = []
        if kinds:
            print(f"\n{HEADER}", flush=True)
            with tempfile.TemporaryDirectory() as folder:
                for result in run_all(kinds, self.backend, self.seconds, Path(folder)):
                    results.append(result)
                    print(result.row(), flush=True)
                    if result.failure:
                        break
            print(summary(results), flush=True)
            for result in results:
                if result.name == FULL_HOUSE:
                    print(
                        f"{result.clients} clients that take all they can: "
                        f"+{result.height - result.before:.0f} MB, "
                        f"{result.megabytes_a_client:.2f} MB each"
                    )
        return results

    def _read(self, names: Sequence[str]) -> list[FileResult]:
        """The commands, by files; on Linux, which limits what a process may have."""
        read: list[FileResult] = []
        if names and sys.platform == "linux":
            print(f"\n{FILES_HEADER}", flush=True)
            with tempfile.TemporaryDirectory() as folder:
                for result in run_files(names, Path(folder)):
                    read.append(result)
                    print(result.row(), flush=True)
            held = sum(not result.faults for result in read)
            print(f"{held} of {len(read)} hostile files held")
        return read


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all held, 1 one did not, 2 wrong usage.

    Raises what `benchmarks.__main__` explains.
    """
    command = tyro.cli(Attacks, prog="posetalk bench attacks", args=arguments)
    results = command.run()
    return 1 if any(result.faults for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
