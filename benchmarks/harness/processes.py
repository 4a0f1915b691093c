"""Processes of a benchmark: JSON lines between them, their memory and their CPU time."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Self

from head.errors import PosetalkError

_PROC = Path("/proc")


class BenchmarkError(PosetalkError, RuntimeError):
    """Something could not be measured; one line that says why."""


def end(process: subprocess.Popen[Any], seconds: float) -> None:
    """Ask a process to end, and kill it where it has not ended after so many seconds."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Helper:
    """`python -m MODULE JSON` beside us: it answers in lines of JSON, and is told lines of text.

    A context manager: whatever happens, the process is gone afterwards.
    """

    def __init__(
        self,
        module: str,
        values: Mapping[str, object],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._module = module
        self._messages: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, json.dumps(values)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            text=True,
            env={"OPENBLAS_NUM_THREADS": "1", **os.environ, **(environment or {})},
            start_new_session=os.name != "nt",  # Ctrl-C is ours to handle
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, name=f"from {module}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self._lines.put(line)
        self._lines.put(None)

    def tell(self, text: str) -> None:
        """Send one line."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `receive` says why it is gone
            self.process.stdin.write(text + "\n")
            self.process.stdin.flush()

    def receive(self, seconds: float) -> dict[str, Any]:
        """The next answer.

        Raises `BenchmarkError` when none comes in time, or the process says what went wrong.
        """
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise BenchmarkError(f"{self._module} did not answer within {seconds:.0f} s") from None
        if line is None:
            raise BenchmarkError(f"{self._module} ended early: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BenchmarkError(str(answer["error"]))
        return answer

    def _last_words(self) -> str:
        self.process.wait(5)
        self._messages.seek(0)
        lines = self._messages.read().strip().splitlines()
        return lines[-1] if lines else f"exit code {self.process.returncode}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(5.0)
        for stream in (self.process.stdin, self._messages):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()


def answer(**values: object) -> None:
    """Answer from within a helper: one line of JSON to whoever started it."""
    print(json.dumps(values), flush=True)


def resident_mb(pid: int | None = None) -> float | None:
    """Resident memory of a process (this one if None) in megabytes, None where that is hidden."""
    with contextlib.suppress(OSError, StopIteration):
        status = (_PROC / str(pid or "self") / "status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024
    return None


def cpu_seconds(pid: int) -> float | None:
    """CPU time of a process so far, None where that is hidden."""
    with contextlib.suppress(OSError, IndexError):
        values = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")
    return None


def wait_until_idle(pid: int, longest: float = 10.0, share: float = 0.1) -> None:
    """Wait until a process uses less than `share` of a core: it has finished starting."""
    until = time.monotonic() + longest
    before = cpu_seconds(pid)
    while time.monotonic() < until:
        time.sleep(0.5)
        after = cpu_seconds(pid)
        if before is not None and after is not None and after - before < share * 0.5:
            return
        before = after
