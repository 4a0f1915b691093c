"""Shared: quiet threads, the optional data folder, and tests that may not be skipped.

With POSETALK_REQUIRE_ALL set, a test that is skipped for want of what `run.py test` installs
(virtual microphone, virtual display, drawing) fails instead: `.ci/run` sets it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

# Before numpy or torch start their pools: tests run beside other work on small machines.
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning ones would starve that work
# Before anything imports onnxruntime: tests report to nobody, as the product does not.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# Before anything imports OpenGL: one platform per process, and tests have no display.
os.environ.setdefault("PYOPENGL_PLATFORM", "egl")

# A shell has what it starts in the background ignore Ctrl-C, and all that tests start would, too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tiers"]

# Examples have no time limit: how long one takes is the matter of the machine and its other work.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

MAY_BE_MISSING = (
    "no time left",
    "package index",
    "git checkout",
    "POSETALK_DATA",
    "data folder",
    "GPU",
    "CUDA",
    "openssl",
    "microphone of its own",
    "npm",
    "C++ compiler",
    "on Windows",
    "is for Linux",
)
"""In the reasons of skips that stay skips: what no installation brings, or another system's."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of what should be installed into a failure."""
    report = yield
    required = os.environ.get("POSETALK_REQUIRE_ALL")
    if required and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(word in reason for word in MAY_BE_MISSING):
            report.outcome = "failed"
            report.longrepr = f"must not be skipped where POSETALK_REQUIRE_ALL is set: {reason}"
    return report


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real speech and phone times that `POSETALK_DATA` names."""
    named = os.environ.get("POSETALK_DATA")
    if not named:
        pytest.skip("not run: set POSETALK_DATA")
    folder = Path(named)
    if not folder.is_dir():
        pytest.skip(f"not run: no data folder at {folder}, set POSETALK_DATA")
    return folder
