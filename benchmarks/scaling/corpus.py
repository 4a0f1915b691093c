"""A corpus that so many workers animate, and how long they take."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from benchmarks.harness.processes import BenchmarkError
from stream.backends.names import BackendName

TIMES_BAR = 1.5
"""What is asked: so many times faster by two workers than by one."""


def write_sounds(folder: Path, count: int) -> Path:
    """Five seconds of the demo speech each, from another place on."""
    import soundfile

    from posetalk import demo_speech

    speech, rate = soundfile.read(demo_speech(), dtype="float32")
    folder.mkdir()
    length = 5 * rate
    for number in range(count):
        at = number * rate // 3 % (len(speech) - length)
        soundfile.write(folder / f"{number:04}.wav", speech[at : at + length], rate)
    return folder


def animate(sounds: Path, out: Path, workers: int, backend: BackendName) -> float:
    """Seconds that so many workers take, Ray's start not counted."""
    command = [sys.executable, "-P", "-m", "posetalk", "animate", str(sounds), "--ray", str(out)]
    command += ["--workers", str(workers), "--backend", backend, "--force"]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r" in ([\d.]+) s", done.stderr)
    if done.returncode != 0 or found is None:
        raise BenchmarkError(f"posetalk animate --ray failed: {done.stderr.strip()[-300:]}")
    return float(found[1])
