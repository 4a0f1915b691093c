"""A screen that nobody sees, for windows: Xvfb.

`xvfb-run` waits for a signal that comes before it waits where the machine is busy, and then for
ever; here the server writes its number when it is ready.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from patience import PATIENCE

from benchmarks.harness.processes import end


@contextlib.contextmanager
def virtual_display(screen: str = "400x300x24") -> Iterator[dict[str, str]]:
    """The environment of programs whose windows open on a new screen of this size and depth."""
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("not run: xvfb is not installed")
    reading, writing = os.pipe()
    command = [program, "-displayfd", str(writing), "-screen", "0", screen, "-nolisten", "tcp"]
    with subprocess.Popen(
        command, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            os.close(writing)
            with os.fdopen(reading) as told:
                number = told.readline().strip()  # empty where it ended instead
            assert number, f"Xvfb ended with {server.wait(PATIENCE)}"
            # Which platform OpenGL takes is the program's own choice there.
            kept = {k: v for k, v in os.environ.items() if k != "PYOPENGL_PLATFORM"}
            yield {**kept, "DISPLAY": f":{number}"}
        finally:
            end(server, PATIENCE)
