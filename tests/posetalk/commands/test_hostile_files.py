"""Files made to do harm: one line and an exit code, in little memory and time.

Each is read by the command that reads such files, in a process with a limit of address space.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import PATIENCE

if sys.platform != "linux":
    pytest.skip("not run: limits of address space; this is for Linux", allow_module_level=True)

from cli import COMMAND

from benchmarks.hostile.checkpoints import (
    checkpoint_with_a_nested_key,
    checkpoint_with_an_empty_giant,
)
from benchmarks.hostile.run import KINDS, Runner, judge, run_one


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with Runner(tmp_path_factory.mktemp("runner") / "said") as made:
        yield made


@pytest.mark.parametrize("name", KINDS)
def test_a_hostile_file_gets_one_line(name: str, runner: Runner, tmp_path: Path) -> None:
    result = run_one(runner, name, tmp_path)
    assert not result.faults, result


def test_what_should_not_be_said() -> None:
    assert judge(1, "posetalk: a sentence on it\n", "sentence") == []
    for code, said in ((0, "a sentence"), (1, ""), (1, "a\nsentence"), (1, "x" * 600), (-9, "x")):
        assert judge(code, said, "sentence")


def test_the_list_is_long_enough() -> None:
    assert len(KINDS) >= 60


def test_a_sound_checkpoint_can_be_read_after_a_hostile_one(tmp_path: Path) -> None:
    """The process that reads them is begun again; nothing of the last file is left."""
    import torch

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


def test_a_file_is_not_blamed_where_torch_does_not_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from diffposetalk.importing import checkpoint
    from diffposetalk.importing.archive import CheckpointError

    torch.save({"model": {"x": torch.arange(5.0)}}, tmp_path / "good.pt")
    checkpoint._reader.end()
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", shutil.which("false"))
        with pytest.raises(CheckpointError, match="PyTorch does not load"):
            checkpoint.read_checkpoint(tmp_path / "good.pt")
    assert "model" in checkpoint.read_checkpoint(tmp_path / "good.pt").content


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
    assert process.wait(PATIENCE) == 143
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
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.05)
    raise AssertionError("no process began to read")
