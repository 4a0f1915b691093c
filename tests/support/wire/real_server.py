"""`posetalk serve` in a process of its own, that clients in other languages talk to."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from cli import finish, start, wait_for_line


class RealServer:
    """Serves what clients push, or another source, with the fake backend; may be restarted.

    Attributes:
        port: the same after a restart.
    """

    def __init__(self, folder: Path, *options: str, source: str = "push") -> None:
        self._folder, self._options = folder, options
        self._source = source
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = start(
            "serve",
            "--source",
            self._source,
            "--backend",
            "fake",
            "--port",
            str(self.port),
            *self._options,
            cwd=self._folder,
        )
        found = re.search(r"127\.0\.0\.1:(\d+)", wait_for_line(self._process, "serving at"))
        assert found is not None
        self.port = int(found[1])

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            code, _, messages = finish(self._process, 20)
            assert code in (0, 130), messages
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    """What a client prints, line by line."""
    assert process.stdout is not None
    for line in process.stdout:
        yield line.rstrip("\n")
