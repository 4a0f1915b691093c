"""Ctrl-C while a program starts: one line and code 130, whatever is being loaded."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
IN_AN_IMPORT = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "tyro":
            exec("os.kill(os.getpid(), signal.SIGINT)")  # as where a dataclass is made
sys.meta_path.insert(0, Interrupting())
from {module} import {function}
sys.exit({function}(["--help"]))
"""
BEFORE_ANY = """
import os, signal, sys
from posetalk.terminal.interrupts import hold_back
hold_back()
os.kill(os.getpid(), signal.SIGINT)
os.execv(sys.executable, [sys.executable, "-P", "-m", "{program}", "--help"])
"""


def ended(program: str) -> tuple[int, str]:
    """Exit code and messages of a program in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_interrupt_in_an_import_is_one_line(name: str) -> None:
    module, function = SCRIPTS[name].split(":")
    program = IN_AN_IMPORT.format(module=module, function=function)
    assert ended(program) == (130, f"{name}: interrupted\n")


@pytest.mark.skipif(sys.platform == "win32", reason="no program becomes another there")
@pytest.mark.parametrize("name", ["posetalk", "benchmarks.latency"])
def test_an_interrupt_before_a_program_is_ready_waits_for_it(name: str) -> None:
    code, said = ended(BEFORE_ANY.format(program=name))
    assert code == 130 and said.endswith(": interrupted\n") and said.count("\n") == 1
