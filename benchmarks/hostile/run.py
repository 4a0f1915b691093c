"""Hostile files, one after the other, each read in a child with a limit of address space."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from benchmarks.hostile import links
from benchmarks.hostile.files import HOSTILE

LINKS = "links_where_output_goes"
"""The kind that is no file to read: see `benchmarks.hostile.links`."""
KINDS = (*HOSTILE, LINKS)
LONGEST_LINE = 500


class Answer(NamedTuple):
    """How a command ended: its code, what it said, and the megabytes that it took."""

    code: int
    said: str
    megabytes: float


class Runner:
    """A process that runs commands, each in a fork with limits; a context manager.

    Args:
        said: a file for what they say.
    """

    def __init__(self, said: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "benchmarks.hostile.runner", str(said)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def run(self, arguments: Sequence[str]) -> Answer:
        """Run one command to its end, or to the end of its time."""
        sent, got = self._pipes()
        sent.write(json.dumps(list(arguments)) + "\n")
        sent.flush()
        answer: dict[str, Any] = json.loads(got.readline())
        return Answer(answer["code"], answer["said"], answer["megabytes"])

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self._pipes():
            pipe.close()
        self._process.wait(30)

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None and self._process.stdout is not None
        return self._process.stdin, self._process.stdout


@dataclass(frozen=True)
class FileResult:
    """What came of one hostile file.

    Attributes:
        name: its kind; code: the command's exit code; said: what it printed.
        seconds: that it took; megabytes: that the command took beyond what it has when it begins.
        faults: what should not be; empty: it held.
    """

    name: str
    code: int
    said: str
    seconds: float
    megabytes: float
    faults: Sequence[str]

    def row(self) -> str:
        """A line of the table."""
        verdict = "; ".join(self.faults) or "held"
        figures = f"{self.code:4d} {self.seconds:6.1f} {self.megabytes:6.0f}"
        return f"{self.name:41s} {figures}  {verdict}"


HEADER = f"{'hostile file':41s} {'code':>4s} {'s':>6s} {'MB':>6s}"


def judge(code: int, said: str, says: str) -> list[str]:
    """What is wrong with a command's end: it is to fail with one line that a person can read."""
    lines = said.strip().splitlines()
    wrong = {
        "it ran past its time": code == -9,
        f"exit code {code}": code != 1,
        f"{len(lines)} lines": len(lines) != 1,
        "a line that no person can read": not said.strip().isprintable()
        or "should not happen" in said
        or max(map(len, lines), default=0) >= LONGEST_LINE,
        f"nothing of {says!r}": not re.search(says, said),
    }
    return [what for what, is_so in wrong.items() if is_so]


def run_one(runner: Runner, name: str, folder: Path) -> FileResult:
    """Write one into an empty folder, and let its command read it."""
    arguments = links.plant(folder) if name == LINKS else HOSTILE[name][0](folder)
    began = time.monotonic()
    code, said, megabytes = runner.run(arguments)
    took = time.monotonic() - began
    found = links.faults(folder, code) if name == LINKS else judge(code, said, HOSTILE[name][1])
    if name != LINKS and (folder / "out.npz").exists():
        found.append("something was made of it")
    return FileResult(name, code, said.strip(), took, megabytes, found)


def run_files(names: Sequence[str], folder: Path) -> Iterator[FileResult]:
    """All of these, in folders of their own."""
    with Runner(folder / "said") as runner:
        for name in names:
            with tempfile.TemporaryDirectory(dir=folder) as place:
                yield run_one(runner, name, Path(place))
