"""`posetalk bench`: measurements of speed and quality, in a program of their own.

Nothing here imports them: what measures posetalk stands outside it, and starts with nothing loaded.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import tyro

from posetalk.commands.options import Debug
from posetalk.terminal.interrupts import hold_back

BenchName = Literal[
    "throughput",
    "gpu",
    "soak",
    "attacks",
    "peers",
    "a2f",
    "ray",
    "pipecat",
    "curves",
    "voices",
    "official",
    "cost",
    "eight-bits",
    "parity",
    "pictures",
    "styles",
    "mouths",
    "head-sheet",
    "films",
    "page",
    "results",
]


@dataclass(frozen=True)
class Bench:
    """Measure speed, memory and quality on this machine, and write the pages on them.

    `throughput`: speed, memory over time, time to start; `gpu`: the whole path on one GPU;
    `soak`: an hour of clients that come and go; `attacks`: a server of one's own, attacked in every
    way; `peers`: other people's lips on the same sound; `a2f`: streams of Audio2Face-3D clients;
    `ray`: sessions and corpora past one machine; `pipecat`: lips and sound in a browser;
    `cost`: a hop on each backend; `pictures`: the viewer's drawing; `official`: a network of the
    official size; `curves`: quality against every live setting; `parity`: each backend
    against torch; `eight-bits`: int8 and fp8; `voices`: the synthetic speech that quality is heard
    on; `films`: tracking, and styles from films; `styles`, `mouths`, `head-sheet`: pictures
    for the docs; `page`, `results`: docs/performance.md and docs/results.md from files of figures.
    `posetalk bench NAME --help` lists the options of each; `bench-latency` measures the live path.
    """

    name: Annotated[BenchName, tyro.conf.Positional]
    """What to measure or to write."""
    arguments: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()
    debug: Debug = False

    def run(self) -> int:
        return hand_over([sys.executable, "-P", "-m", "benchmarks", self.name, *self.arguments])


def parse(arguments: Sequence[str]) -> Bench | None:
    """The command of `posetalk bench ARGUMENTS` if they begin with a known name, else None."""
    if not arguments or arguments[0] not in get_args(BenchName):
        return None
    name: BenchName = arguments[0]  # type: ignore[assignment]
    return Bench(name, tuple(arguments[1:]))


def hand_over(command: list[str]) -> int:
    """Become `command`, where the system can; otherwise run it and pass its exit code on."""
    if os.name != "nt":
        sys.stdout.flush()
        sys.stderr.flush()
        hold_back()
        os.execv(command[0], command)
    process = subprocess.Popen(command)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the program got it too, and ends in its own way
