"""Shared fixtures: quiet threads, the optional data folder, and files of speech to work on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before numpy or torch start their pools: tests run beside other work on small machines.
os.environ.setdefault("OMP_NUM_THREADS", "2")
# Before anything imports OpenGL: one platform per process, and tests have no display.
os.environ.setdefault("PYOPENGL_PLATFORM", "egl")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real speech and phone times: `POSETALK_DATA`, else `../shared/data`."""
    named = os.environ.get("POSETALK_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"not run: no data folder at {folder} (set POSETALK_DATA)")
    return folder
