"""The pure part of the Unreal client, compiled with g++. The rest needs the engine: never compiled.

What moves a MetaHuman, Live Link Face, is in test_livelink.py and test_sending.py.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "clients" / "unreal" / "Posetalk" / "Source" / "Posetalk"
GOLDEN = ROOT / "tests" / "data" / "wire"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("not run: no C++ compiler here")
    path = tmp_path_factory.mktemp("unreal") / "golden"
    source = ROOT / "tests" / "clients" / "unreal" / "golden.cpp"
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined,address"]
    command = [compiler, *flags, f"-I{MODULE / 'Public'}", source, "-o", path]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return path


def test_golden_bytes(program: Path) -> None:
    manifest = json.loads((GOLDEN / "manifest.json").read_text())
    names = sorted(name for name in manifest if name.endswith(".bin"))
    ran = subprocess.run(
        [program, "wire", *(GOLDEN / name for name in names)], capture_output=True, text=True
    )
    assert ran.returncode == 0 and not ran.stderr, ran.stderr
    for name, line in zip(names, ran.stdout.splitlines(), strict=True):
        wanted, found = manifest[name], json.loads(line)
        if "error" in wanted:
            assert found == wanted, name
        elif "skip" in wanted:
            assert found["values"] == [], name
        else:
            scale = 32768 if wanted["type"] == 16 and wanted["flags"] & 1 else 1
            values = [value * scale for value in found.pop("values")]
            assert values == pytest.approx(wanted["values"], rel=1e-7), name
            assert found == {key: wanted[key] for key in found}, name


def test_sound_names_rotations_and_play_out(program: Path) -> None:
    ran = subprocess.run([program, "parts"], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "ok\n"), ran.stderr


def test_the_component_is_spelled_right() -> None:
    """Against declarations that are as the engine's documentation has them; nothing is run."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("not run: no C++ compiler here")
    stubs = ROOT / "tests" / "clients" / "unreal" / "stubs"
    flags = ["-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]
    sources = sorted((MODULE / "Private").glob("*.cpp"))
    command = [compiler, *flags, f"-I{MODULE / 'Public'}", f"-I{stubs}", *sources]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert len(sources) == 2 and checked.returncode == 0, checked.stderr


def test_the_pure_part_knows_no_engine() -> None:
    header = (MODULE / "Public" / "PosetalkWire.h").read_text()
    included = re.findall(r"#include (.*)", header)
    assert all(name.startswith("<") for name in included)
    assert not re.search(r"\b(TArray|FString|UPROPERTY|UCLASS|FVector)\b", header)
    for path in (MODULE / "Private").glob("*Component.cpp"):
        assert "Never compiled with the engine" in path.read_text()
