"""What a terminal shows while commands run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli import COMMAND
from patience import PATIENCE

from posetalk.terminal.status import StreamStatus
from stream.run.metrics import LiveStatistics
from stream.run.sinks import FrameTiming
from stream.serve.server_counts import ServerCounts
from stream.sources.pushed import PushedSource


def test_the_line_fits_a_terminal_after_a_day() -> None:
    statistics = LiveStatistics(history=1)
    statistics.add(FrameTiming(0.0, 0.09, 0.1, 0.1, 0.123), sent=0.125, late=False)
    speech = 0.01 * np.random.default_rng(0).standard_normal((100, 640))
    speech[8::11] = 0.0
    statistics.hear(0, speech.astype(np.float32).reshape(-1))
    statistics.frames, statistics.late, statistics.dropped = 2_160_000, 1234, 6400
    line = StreamStatus(statistics, ServerCounts(clients=2, dropped=3), PushedSource()).line()
    assert "p50 125 ms" in line and "p99 125 ms" in line
    assert "speech -4" in line or "speech -3" in line
    assert "frames 2160000" in line and "late 1234" in line and "dropped 13" in line
    assert "viewers 2" in line and line.endswith("pushed audio")
    assert len(line.removesuffix("pushed audio")) <= 105


def on_a_terminal(arguments: list[str], folder: Path) -> str:
    """What `posetalk ARGUMENTS` shows on a terminal, without its escape sequences."""
    import pty

    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "PULSE_SERVER": "none"}
    process = subprocess.Popen(
        [*COMMAND, *arguments], stderr=slave, cwd=folder, env=environment, close_fds=True
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:  # Linux says so when the last writer has gone
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    assert process.wait(PATIENCE) == 0, shown
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


@pytest.mark.skipif(sys.platform == "win32", reason="not run: no pseudo-terminals on Windows")
def test_live_keeps_one_line_up_to_date(tmp_path: Path) -> None:
    arguments = ["serve", "--backend", "fake", "--source", "demo", "--port", "0", "--seconds", "1"]
    shown = on_a_terminal(arguments, tmp_path)
    frames = [int(count) for count in re.findall(r"latency p50 .*?frames (\d+)", shown)]
    assert len(set(frames)) >= 3 and frames == sorted(frames)
    assert shown.rstrip().splitlines()[-1].startswith("posetalk: 25 frames of 1.0 s")


@pytest.mark.skipif(sys.platform == "win32", reason="not run: no pseudo-terminals on Windows")
def test_animate_shows_how_far_it_is(tmp_path: Path) -> None:
    shown = on_a_terminal(["animate", "demo", "--backend", "fake", "-o", "a.npz"], tmp_path)
    percents = [int(percent) for percent in re.findall(r"(\d+)%", shown)]
    assert percents[-1] == 100 and percents == sorted(percents)
    assert "x real time" in shown
