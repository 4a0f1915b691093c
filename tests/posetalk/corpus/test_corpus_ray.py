"""`posetalk animate --ray`, on Ray itself: the same motion, resumed, failures listed."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli import finish, start

from posetalk import animate, demo_speech
from posetalk.formats.motion_file import Motion

pytestmark = pytest.mark.extra("ray")

SECONDS = 900.0
"""A machine that is busy starts Ray's many processes in minutes."""


def corpus(folder: Path, count: int, seconds: float) -> None:
    """Pieces of the demo speech."""
    speech, rate = soundfile.read(demo_speech(), dtype="float32")
    folder.mkdir()
    length = int(rate * seconds)
    for number in range(count):
        at = number * rate // 3 % (len(speech) - length)
        soundfile.write(folder / f"s{number:03}.wav", speech[at : at + length], rate)


def run(tmp_path: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """`posetalk animate in --ray out ...`: exit code and messages."""
    process = start("animate", "in", "--ray", "out", *arguments, cwd=tmp_path, **environment)
    code, _, messages = finish(process, SECONDS)
    return code, messages


@pytest.mark.timeout(2000)
def test_a_corpus_is_made_once_and_failures_are_listed(tmp_path: Path) -> None:
    corpus(tmp_path / "in", 6, 3.0)
    (tmp_path / "in" / "bad.wav").write_text("no sound")
    code, messages = run(tmp_path, "--workers", "2")
    assert code == 1, messages
    assert "6 files" in messages and "1 failed" in messages and "bad.wav" in messages
    assert (tmp_path / "out" / "failures.txt").read_text().count("\n") == 1
    made = Motion.load(tmp_path / "out" / "s003.npz")
    alone = animate(tmp_path / "in" / "s003.wav", tmp_path / "alone.npz")
    np.testing.assert_array_equal(made.exp, alone.exp)  # as if animated by itself, to the bit
    np.testing.assert_array_equal(made.pose, alone.pose)
    # What is there is not made again; what was cut short is.
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.npz")}
    (tmp_path / "out" / "s001.npz").unlink()
    (tmp_path / "in" / "bad.wav").unlink()
    code, messages = run(tmp_path, "--workers", "1")
    assert code == 0 and "1 files" in messages and "5 were there" in messages, messages
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.npz")}
    assert {name for name in after if after[name] != before[name]} == {"s001.npz"}
    assert not (tmp_path / "out" / "failures.txt").exists()
    code, messages = run(tmp_path, "--seed", "4")
    assert code == 2 and "made with another seed" in messages


def test_no_cluster_is_one_line(tmp_path: Path) -> None:
    corpus(tmp_path / "in", 1, 1.0)
    code, messages = run(tmp_path, RAY_ADDRESS="127.0.0.1:1")
    assert code == 1 and "no cluster answers at 127.0.0.1:1" in messages
    assert len(messages.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_workers_are_faster_than_one(tmp_path: Path) -> None:
    """Of 200 files, where two cores are free; the time of the work counts, not Ray's start."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("not run: one core")
    corpus(tmp_path / "in", 200, 5.0)
    spent = []
    for workers in ("1", "2"):
        code, messages = run(tmp_path, "--workers", workers, "--force")
        assert code == 0, messages
        found = re.search(r"in (\d+) s", messages)
        assert found is not None
        spent.append(int(found[1]))
    load = os.getloadavg()[0]
    print(json.dumps({"seconds": spent, "load": load}))
    if load > 1.5 * len(os.sched_getaffinity(0)):
        pytest.skip(f"not run: others use this machine (load {load:.0f})")
    assert spent[0] / spent[1] > 1.3
