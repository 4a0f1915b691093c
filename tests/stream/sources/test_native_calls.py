"""Calls of C code that may never come back."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are not handed on so there")
def test_without_standard_error_the_standard_output_stays_open() -> None:
    """As where a desktop starts a program: descriptor 2 is closed, and none can be put back."""
    program = """
        import os
        os.close(2)
        from stream.sources.native.calls import answered
        os.write(1, str(answered(lambda: 5)).encode())
    """
    command = [sys.executable, "-P", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, env=dict(os.environ), check=False)
    assert (done.returncode, done.stdout) == (0, b"5")
