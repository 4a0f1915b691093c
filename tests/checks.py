"""Every check of the repository, one after the other: what `python3 run.py test` runs.

All arguments but these go to pytest: `--slow` runs the slow tests as well, `--only-slow` those
alone, `--with EXTRA` those of an extra alone, and `--minutes N` starts no test after that long.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from stream.backends.threads import usable_cores

ROOT = Path(__file__).resolve().parents[1]
ALONE = {"--slow", "--only-slow", "--with", "-n", "-s", "--pdb", "-x", "--exitfirst"}
"""Options whose tests run one after the other: slow ones take the machine, and people look on."""
MOST_PROCESSES = 4


def processes(arguments: Sequence[str], cores: int) -> list[str]:
    """Options by which each core has a process of tests; a file's tests stay in one of them."""
    if cores < 2 or ALONE & {*arguments} or any("::" in argument for argument in arguments):
        return []
    count = str(min(cores, MOST_PROCESSES))
    return ["-n", count, "--dist", "loadfile", "--no-loadscope-reorder"]


def steps(python: str, arguments: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The name and the command of each check; static ones run in the first tier alone."""
    beside = processes(arguments, usable_cores()) if importlib.util.find_spec("xdist") else []
    tests = ("tests", [python, "-P", "-m", "pytest", "-q", *beside, *arguments])
    if {"--only-slow", "--with"} & {*arguments}:
        return [tests]
    lint = "from importlinter.cli import lint_imports_command as c; c()"
    return [
        ("ruff", [python, "-m", "ruff", "check", "--quiet", "."]),
        ("format", [python, "-m", "ruff", "format", "--quiet", "--check", "."]),
        ("mypy", [python, "-P", "-m", "mypy"]),
        ("layers", [python, "-c", lint, "--no-cache"]),
        tests,
    ]


def main(arguments: Sequence[str]) -> int:
    """Run every check, also after one failed, and end with one line on all of them."""
    results = []
    for name, command in steps(sys.executable, arguments):
        print(f"posetalk: {name} ...", file=sys.stderr, flush=True)
        started = time.monotonic()
        passed = subprocess.run(command, cwd=ROOT).returncode == 0
        results.append((name, passed, time.monotonic() - started))
    line = ", ".join(f"{name} {'ok' if ok else 'FAILED'} ({s:.0f} s)" for name, ok, s in results)
    failed = any(not passed for _, passed, _ in results)
    print(f"{'FAILED' if failed else 'all passed'}: {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
