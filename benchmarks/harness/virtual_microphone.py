"""A microphone without hardware: a PulseAudio daemon of our own, whose null sink we speak into.

PortAudio reaches it through ALSA's pulse plugin, so the product's capture path runs unchanged.
The user's own sound server is not touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.processes import BenchmarkError

_TOOLS = ("pulseaudio", "parec", "paplay")
# No rewinds: each one lets the sink's clock fall back by milliseconds, which no sound card does.
_CONFIG = """\
load-module module-native-protocol-unix auth-anonymous=1 socket={folder}/native
load-module module-null-sink sink_name=virtmic norewinds=1 rate=16000 channels=1 format=s16le
load-module module-remap-source master=virtmic.monitor source_name=mic
set-default-sink virtmic
set-default-source mic
"""
START_SECONDS = 10.0


def missing() -> str | None:
    """Why there can be none here, or None."""
    absent = [tool for tool in _TOOLS if shutil.which(tool) is None]
    return f"{', '.join(absent)} not installed" if absent else None


@dataclass
class VirtualMicrophone:
    """A running daemon.

    Attributes:
        environment: leads a process that is started with it to this microphone.
    """

    folder: Path
    environment: Mapping[str, str]
    daemon: subprocess.Popen[bytes]

    def speak(self, samples: NDArray[np.float32]) -> subprocess.Popen[bytes]:
        """Play (n,) samples in [-1, 1] at 16 kHz into the microphone, in the background."""
        path = self.folder / "speech.raw"
        path.write_bytes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
        command = [
            "paplay",
            "--latency-msec=20",
            "--device=virtmic",
            "--raw",
            "--rate=16000",
            "--channels=1",
            "--format=s16le",
            str(path),
        ]
        return _start(command, self.environment)

    def unplug(self) -> None:
        """Kill the daemon, as if the device had been pulled out."""
        self.daemon.kill()
        self.daemon.wait(5)

    @contextmanager
    def speaking(self, samples: NDArray[np.float32]) -> Iterator[None]:
        """Speak samples while the block runs; raises BenchmarkError if they were not played."""
        player = self.speak(samples)
        try:
            yield
            if player.poll() is not None and player.returncode:
                raise BenchmarkError("paplay failed: the microphone heard no speech")
        finally:
            _end(player)


@contextmanager
def virtual_microphone() -> Iterator[VirtualMicrophone]:
    """A virtual microphone while the block runs; raises BenchmarkError if it does not start."""
    with tempfile.TemporaryDirectory(prefix="posetalk-mic-") as name:
        folder = Path(name)
        folder.chmod(0o700)
        config = folder / "mic.pa"
        config.write_text(_CONFIG.format(folder=folder))
        environment = {"XDG_RUNTIME_DIR": name, "PULSE_SERVER": f"unix:{folder}/native"}
        started: list[subprocess.Popen[bytes]] = []
        try:
            daemon = _start(
                [
                    "pulseaudio",
                    "-n",
                    "-F",
                    str(config),
                    "--exit-idle-time=-1",
                    "--disallow-exit",
                    "--daemonize=no",
                    "--use-pid-file=no",
                ],
                environment,
            )
            started.append(daemon)
            until = time.monotonic() + START_SECONDS
            while not (folder / "native").exists():
                if daemon.poll() is not None or time.monotonic() > until:
                    raise BenchmarkError("pulseaudio did not start: try `--source file`")
                time.sleep(0.01)
            # A steady listener keeps the daemon's clock fine-grained; without one the first block
            # of the next listener takes up to 2 s.
            listen = ["parec", "--latency-msec=20", "-d", "mic", "--raw"]
            started.append(_start(listen, environment))
            time.sleep(0.3)
            yield VirtualMicrophone(folder, environment, daemon)
        finally:
            for process in reversed(started):
                _end(process)


def _start(command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait(5)
