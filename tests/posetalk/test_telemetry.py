"""Nothing is reported to anybody: onnxruntime's telemetry is off wherever posetalk loads it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from draw_tree import HOUSES, ROOT

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
EXPORT = """
import pathlib
from posetalk.__main__ import main
main(["export", "starter", "-o", str(pathlib.Path.home() / "copy"), "--precision", "int8"])
"""
SECONDS = 10  # the query comes 8 s after the import


def written(code: str, home: Path, **more: str) -> set[str]:
    """Files below its home that `code` leaves behind, run without any setting of ours."""
    home.mkdir(exist_ok=True)
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "XDG_"))}
    environment = {**keep, "HOME": str(home), **more}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}


@pytest.mark.skipif(sys.platform != "linux", reason="the vendor's folder is for Linux here")
@pytest.mark.parametrize("code", [OURS, EXPORT])
def test_no_file_of_the_vendors_appears(code: str, tmp_path: Path) -> None:
    assert not [name for name in written(code, tmp_path) if "onnxruntime" in name.lower()]


def test_whoever_loads_onnxruntime_has_switched_it_off() -> None:
    """Or loads it by the module that does. Tests need not: `conftest.py` has done it."""
    loading = re.compile(r"^\s*(import|from) onnxruntime|import_module\(\"onnxruntime", re.M)
    quiet = re.compile(r"ORT_DISABLE_TELEMETRY\"\] = \"1\"|from stream\.backends\.onnx\.session")
    found = 0
    for path in (path for package in HOUSES for path in (ROOT / package).rglob("*.py")):
        text = path.read_text("utf-8")
        if load := loading.search(text):
            before = quiet.search(text)
            assert before and before.start() < load.start(), path
            found += 1
    assert found >= 3
    assert quiet.search((ROOT / "tests" / "mutants.py").read_text("utf-8")), "it loads all, once"


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
