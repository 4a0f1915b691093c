"""Files made to do harm: one line and an exit code, in little memory and time.

Each is read by the command that reads such files, in a process with a limit of address space.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

if sys.platform != "linux":
    pytest.skip("not run: limits of address space; this is for Linux", allow_module_level=True)

from cli import COMMAND
from hostile.files import HOSTILE, checkpoint_with_a_nested_key

RUNNER = Path(__file__).parents[2] / "support" / "hostile" / "runner.py"


class Runner:
    """A process that runs commands, each in a fork with limits."""

    def __init__(self, said: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(RUNNER), str(said)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def run(self, arguments: list[str]) -> tuple[int, str]:
        """Exit code and standard error of a command."""
        sent, got = _pipes(self._process)
        sent.write(json.dumps(arguments) + "\n")
        sent.flush()
        answer: dict[str, Any] = json.loads(got.readline())
        return answer["code"], answer["said"]

    def close(self) -> None:
        for pipe in _pipes(self._process):
            pipe.close()
        self._process.wait(30)


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None and process.stdout is not None
    return process.stdin, process.stdout


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with contextlib.closing(Runner(tmp_path_factory.mktemp("runner") / "said")) as made:
        yield made


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gets_one_line(name: str, runner: Runner, tmp_path: Path) -> None:
    make, says = HOSTILE[name]
    code, said = runner.run(make(tmp_path))
    lines = said.strip().splitlines()
    assert code == 1, (code, said)
    assert len(lines) == 1 and len(lines[0]) < 500, said
    assert re.search(says, lines[0]) and "should not happen" not in said, said
    assert not (tmp_path / "out.npz").exists()


def test_the_list_is_long_enough() -> None:
    assert len(HOSTILE) >= 40


def test_a_sound_checkpoint_can_be_read_after_a_hostile_one(tmp_path: Path) -> None:
    """The process that reads them is begun again; nothing of the last file is left."""
    import torch
    from hostile.files import checkpoint_with_an_empty_giant

    from diffposetalk.importing.archive import CheckpointError
    from diffposetalk.importing.checkpoint import read_checkpoint

    torch.save({"model": {"x": torch.arange(5.0)}}, tmp_path / "good.pt")
    bad = checkpoint_with_an_empty_giant(tmp_path)[1]
    for _ in range(2):
        with pytest.raises(CheckpointError):
            read_checkpoint(bad)
        assert read_checkpoint(tmp_path / "good.pt").content["model"]["x"].tolist() == [
            0,
            1,
            2,
            3,
            4,
        ]


def test_reading_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """SIGTERM while another process hashes without end: both end at once."""
    process = subprocess.Popen(
        [*COMMAND, *checkpoint_with_a_nested_key(tmp_path)],
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    reader = _wait_for_reader(process.pid)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == b"posetalk: interrupted\n"
    for _ in range(100):
        if not Path(f"/proc/{reader}").exists():
            return
        time.sleep(0.1)
    raise AssertionError("the process that reads is left behind")


def _wait_for_reader(parent: int) -> int:
    """The process that reads for `parent`."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.05)
    raise AssertionError("no process began to read")
