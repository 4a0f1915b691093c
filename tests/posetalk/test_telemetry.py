"""Nothing is reported to anybody: onnxruntime's telemetry is off wherever posetalk loads it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SPY = """
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
    FILE *file = fopen(getenv("SPY"), "a");
    fprintf(file, "%s\\n", name ? name : "-");
    fclose(file);
    return EAI_NONAME;
}
"""
"""Writes down every name that a process asks for, and finds none."""
OURS = "import posetalk; posetalk.Session(backend='onnxruntime')"
SECONDS = 10  # the query comes 8 s after the import


def written(code: str, home: Path, **more: str) -> set[str]:
    """Files below its home that `code` leaves behind, run without any setting of ours."""
    home.mkdir(exist_ok=True)
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "XDG_"))}
    environment = {**keep, "HOME": str(home), **more}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}


@pytest.mark.skipif(sys.platform != "linux", reason="the vendor's folder is for Linux here")
def test_no_file_of_the_vendors_appears(tmp_path: Path) -> None:
    assert not [name for name in written(OURS, tmp_path) if "onnxruntime" in name.lower()]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the spy is for Linux")
def test_no_name_is_asked_for(tmp_path: Path) -> None:
    """The spy hears the vendor's own default, and nothing of ours."""
    if shutil.which("gcc") is None:
        pytest.skip("not run: no C++ compiler")
    (tmp_path / "spy.c").write_text(SPY)
    library = tmp_path / "spy.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "spy.c"], check=True)
    asked = {}
    for name, code in (("theirs", "import onnxruntime"), ("ours", OURS)):
        record = tmp_path / f"{name}.txt"
        record.touch()
        wait = f"{code}\nimport time; time.sleep({SECONDS})"
        written(wait, tmp_path / name, LD_PRELOAD=str(library), SPY=str(record))
        asked[name] = record.read_text()
    assert "events" in asked["theirs"], "the spy hears nothing: this test shows nothing"
    assert asked["ours"] == ""
