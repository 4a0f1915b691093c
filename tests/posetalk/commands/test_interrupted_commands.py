"""Ctrl-C and its kin: what is made is kept, and nothing more is said than one line."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from cli import call, finish, start, wait_for_recording, watch_video

import posetalk

FAKE = ["--backend", "fake"]


def test_ctrl_c_keeps_what_is_animated(tmp_path: Path) -> None:
    process = start("animate", "demo", *FAKE, "-o", "part.mp4", "part.npz", cwd=tmp_path)
    wait_for_recording(process, tmp_path / "part.mp4")
    process.send_signal(signal.SIGINT)
    code, _, messages = finish(process)
    assert code == 130 and "part.npz stays as it was" in messages
    assert not (tmp_path / "part.npz").exists() and not (tmp_path / "part.mp4").exists()
    [kept], [recording] = tmp_path.glob("part.*.npz"), tmp_path.glob("part.*.mp4")
    motion = posetalk.Motion.load(kept)
    pictures, sound, _ = watch_video(recording)
    assert 10 < len(pictures) < 580
    assert abs(len(motion) - len(pictures)) <= 16, "both end where the work was cut"
    assert abs(len(sound) / 16000 - len(pictures) / 25) < 0.1, "and so do picture and sound"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_a_library_turned_into_an_error_is_one(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted_in_opengl(_self: object) -> int:
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt as error:
            raise ctypes.ArgumentError("argument 2: KeyboardInterrupt:") from error
        raise AssertionError("not interrupted")

    monkeypatch.setattr("posetalk.commands.doctor.Doctor.run", interrupted_in_opengl)
    assert call(["doctor"], capsys) == (128 + number, "", "posetalk: interrupted\n")


def test_an_interrupt_that_a_library_swallowed_ends_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where an interrupt vanishes in somebody's `except`, the next step of the work sees it."""
    from posetalk.formats.motion_file import MotionWriter

    append = MotionWriter.append

    def swallowing(self: MotionWriter, exp: np.ndarray, pose: np.ndarray) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        append(self, exp, pose)

    monkeypatch.setattr(MotionWriter, "append", swallowing)
    code, _, said = call(["animate", "demo", *FAKE, "-o", str(tmp_path / "a.npz")], capsys)
    assert code == 130 and said.endswith("posetalk: interrupted\n")
    assert not (tmp_path / "a.npz").exists()


def test_an_interrupt_in_a_destructor_ends_the_work_without_a_word_more(tmp_path: Path) -> None:
    """Python can raise nothing there: it prints a traceback, and goes on."""
    program = f"""
        import os, signal
        from posetalk.__main__ import main
        from posetalk.formats.motion_file import MotionWriter

        class Dying:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGINT)

        append = MotionWriter.append
        def dying(self, exp, pose):
            Dying()
            append(self, exp, pose)
        MotionWriter.append = dying
        raise SystemExit(main(["animate", "demo", *{FAKE!r}, "-o", "a.npz"]))
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130 and "Traceback" not in done.stderr, done.stderr
    assert done.stderr.endswith("posetalk: interrupted\n")
