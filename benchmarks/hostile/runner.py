"""Runs commands one after the other, each in a fork with little memory; for hostile files.

One request a line on standard input, a list of arguments; one answer a line, JSON with `code`,
`said` (standard error) and `megabytes`, what it took beyond this process. A command that takes
longer than `SECONDS` has the code -9.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

SECONDS = 120
MEMORY = 1200 << 20
"""Bytes of address space beyond what the process has when it begins a command."""


def run(arguments: list[str], said: Path) -> tuple[int, float]:
    """The exit code of one command, and the megabytes that it took."""
    child = os.fork()
    if not child:
        code = 99
        try:
            os.setsid()
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            with said.open("wb") as file:
                os.dup2(file.fileno(), 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.argv = ["posetalk", *arguments]
            from posetalk.__main__ import main

            code = main(arguments)
        except SystemExit as ending:
            code = int(ending.code or 0)
        except BaseException as error:
            os.write(2, f"escaped: {type(error).__name__} {error}".encode())
        finally:
            from diffposetalk.importing import checkpoint

            checkpoint.end_reader()
            os._exit(code)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), _beyond(used.ru_maxrss)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    _, _, used = os.wait4(child, 0)
    return -9, _beyond(used.ru_maxrss)


def _beyond(kilobytes: int) -> float:
    """Megabytes beyond what this process has, which a fork of it begins with."""
    own = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return max(0.0, (kilobytes * 1024 - own) / 1e6)


def main() -> None:
    """Load what commands load, then answer."""
    import diffposetalk.importing.released
    import diffposetalk.network.model
    import head.importing
    import posetalk.commands
    import stream.backends.onnx.session
    import training.faces.check

    assert all((diffposetalk, head, posetalk, stream, training))
    said = Path(sys.argv[1])
    out = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        code, megabytes = run(json.loads(line), said)
        text = said.read_text("utf-8", "replace")
        answer = {"code": code, "said": text, "megabytes": megabytes}
        out.write(json.dumps(answer) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
