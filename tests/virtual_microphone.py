"""A real microphone without hardware: PulseAudio with a null sink that one can speak into.

PortAudio finds it through ALSA's pulse plugin, so the product's own capture path runs unchanged.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_CONFIG = """\
load-module module-native-protocol-unix auth-anonymous=1 socket={folder}/native
load-module module-null-sink sink_name=virtmic rate=16000 channels=1 format=s16le
load-module module-remap-source master=virtmic.monitor source_name=mic
set-default-sink virtmic
set-default-source mic
"""


class VirtualMicrophone:
    """A running PulseAudio daemon; what is played with `speak` is what the microphone hears."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        config = folder / "mic.pa"
        config.write_text(_CONFIG.format(folder=folder))
        self._daemon = subprocess.Popen(
            ["pulseaudio", "-n", "-F", str(config), "--exit-idle-time=-1", "--disallow-exit",
             "--daemonize=no", "--use-pid-file=no"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 10
        while not (folder / "native").exists():
            assert self._daemon.poll() is None, "pulseaudio did not start"
            assert time.monotonic() < deadline, "pulseaudio opened no socket within 10 s"
            time.sleep(0.01)
        # A second listener keeps the daemon's clock fine-grained; without it the first block takes
        # up to 2 s.
        self._listener = subprocess.Popen(
            ["parec", "--latency-msec=20", "-d", "mic", "--raw"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.2)

    def speak(self, samples: NDArray[np.float32]) -> subprocess.Popen[bytes]:
        """Play (n,) samples in [-1, 1] at 16 kHz into the microphone, in the background."""
        path = self.folder / "speech.raw"
        path.write_bytes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
        return subprocess.Popen(
            ["paplay", "--latency-msec=20", "--device=virtmic", "--raw", "--rate=16000",
             "--channels=1", "--format=s16le", str(path)],
        )  # fmt: skip

    def unplug(self) -> None:
        """Kill the daemon, as if the device had been pulled out."""
        self._daemon.send_signal(signal.SIGKILL)
        self._daemon.wait(5)

    def close(self) -> None:
        for process in (self._listener, self._daemon):
            process.kill()
            process.wait(5)


@contextmanager
def virtual_microphone() -> Iterator[VirtualMicrophone]:
    """A virtual microphone, with the environment that leads PortAudio to it."""
    saved = {name: os.environ.get(name) for name in ("XDG_RUNTIME_DIR", "PULSE_SERVER")}
    folder = Path(tempfile.mkdtemp(prefix="virtmic-"))
    folder.chmod(0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    os.environ["PULSE_SERVER"] = f"unix:{folder}/native"
    microphone = None
    try:
        microphone = VirtualMicrophone(folder)
        yield microphone
    finally:
        if microphone is not None:
            microphone.close()
        for name, value in saved.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        shutil.rmtree(folder, ignore_errors=True)


def missing() -> str | None:
    """Why a virtual microphone cannot run here, or None."""
    absent = [tool for tool in ("pulseaudio", "parec", "paplay") if shutil.which(tool) is None]
    return f"not run: {', '.join(absent)} not installed" if absent else None
