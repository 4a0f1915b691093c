"""The viewer that `live` starts beside itself, in a process of its own.

Drawing then never makes the model wait (one interpreter runs one of them at a time), and a graphics
driver that crashes takes nothing else with it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO

from head.errors import PosetalkError
from posetalk.app.settings.tokens import OPERATOR_VARIABLE, TOKEN_VARIABLE

WATCHING = "watching"
"""A viewer says this once it can draw and has reached its server."""
VARIABLES = (TOKEN_VARIABLE, OPERATOR_VARIABLE)
"""Of our own, which a viewer gets only where it needs one."""
FINISH_SECONDS = 60.0
"""A recording may be that far behind on a slow machine; a window ends at once."""


class ViewerFailed(PosetalkError, RuntimeError):
    """The viewer's process ended by itself; the line has its last words."""


@dataclass
class Child:
    """A `posetalk view` process."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    _reader: threading.Thread | None = None

    def listen(self, stream: IO[str]) -> None:
        """Keep its last lines as they come, on a thread of its own."""
        self._reader = threading.Thread(
            target=_collect, args=(stream, self.lines), name="viewer-messages", daemon=True
        )
        self._reader.start()

    @property
    def gone(self) -> bool:
        return self.process.poll() is not None

    @property
    def ready(self) -> bool:
        """Whether it draws; until then, what it is sent may be lost."""
        return any(WATCHING in line for line in self.lines)

    @property
    def failed(self) -> bool:
        return self.gone and self.process.returncode != 0

    def finish(self, seconds: float) -> None:
        """Wait for it to end by itself, else end it."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.end()

    def end(self) -> None:
        """End it: politely, then not."""
        self.process.terminate()
        try:
            self.process.wait(5.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def last_words(self) -> str:
        """Why it failed, once it is gone."""
        if self._reader is not None:
            self._reader.join(1.0)
        return self.lines[-1].removeprefix("posetalk: ") if self.lines else "it crashed"


def start(arguments: Sequence[str], *, token: str | None = None) -> Child:
    """Start `posetalk view ARGUMENTS`, out of reach of the terminal's Ctrl-C.

    A token goes along in its environment, which only this user sees.  The one who starts it ends
    it, by ending the stream: so it can still draw what was on its way.
    """
    command = [sys.executable, "-P", "-m", "posetalk", "view", *arguments]
    flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    if token is not None:
        environment[TOKEN_VARIABLE] = token
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=os.name != "nt",
        creationflags=flags,
    )
    child = Child(process)
    assert process.stderr is not None
    child.listen(process.stderr)
    return child


def _collect(stream: IO[str], lines: list[str]) -> None:
    with contextlib.suppress(ValueError), stream:
        for line in stream:
            lines.append(line.rstrip())
            del lines[:-50]
