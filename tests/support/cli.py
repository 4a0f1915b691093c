"""Running the commands as a user does: in a process of their own, or quickly in this one."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from patience import PATIENCE

from posetalk.__main__ import main
from posetalk.terminal.console import PACKAGES

COMMAND = [sys.executable, "-P", "-m", "posetalk"]


def start(*arguments: str, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """Start `posetalk ARGUMENTS` in `cwd`, with no display and no sound server."""
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    env["PULSE_SERVER"] = "none"
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=env | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], seconds: float = PATIENCE) -> tuple[int, str, str]:
    """(exit code, output, messages) once it has ended; no traceback may be among them."""
    try:
        output, messages = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        output, messages = process.communicate()
        pytest.fail(f"still running after {seconds} s: {messages}")
    assert "Traceback" not in messages, messages
    return process.returncode, output, messages


def wait_for_line(process: subprocess.Popen[str], text: str) -> str:
    """The first message that contains `text`."""
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"ended without saying {text!r}")


def wait_for_recording(process: subprocess.Popen[str], path: Path) -> None:
    """Until there is some video in a file that the process writes."""
    until = time.monotonic() + PATIENCE
    while not any(
        part.stat().st_size > 50_000
        for part in path.parent.glob(f"{path.stem}.unfinished-*{path.suffix}")
    ):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.02)


def brings(extra: str, message: str) -> bool:
    """Whether a message says how that extra is installed here: by pip, or by `run.py`."""
    return f"'posetalk[{extra}]'" in message or f"run.py setup {extra}" in message


def call(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run a command in this process: (exit code, output, messages)."""
    loggers = [logging.getLogger(name) for name in ("", *PACKAGES)]
    before = [(it.level, it.propagate, list(it.handlers)) for it in loggers]
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    capsys.readouterr()
    try:
        code = main(arguments)
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    finally:
        for it, (level, propagate, handlers) in zip(loggers, before, strict=True):
            it.setLevel(level)
            it.propagate = propagate
            it.handlers[:] = handlers
        for number, handler in signals.items():
            signal.signal(number, handler)
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


def watch_video(path: Path) -> tuple[list[NDArray[np.uint8]], NDArray[np.float32], dict[str, Any]]:
    """Decode a video: pictures (h, w, 3), sound (n,) at its own rate, metadata."""
    with av.open(str(path)) as container:
        metadata = dict(container.metadata)
        pictures = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    with av.open(str(path)) as container:
        sound = [f.to_ndarray().mean(axis=0) for f in container.decode(audio=0)]
    return pictures, np.concatenate(sound).astype(np.float32), metadata
