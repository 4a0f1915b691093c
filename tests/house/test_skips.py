"""Where everything is installed, nothing that can run is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

SKIPPED = """
import pytest

@pytest.fixture
def sound():
    pytest.skip("not run: PulseAudio is not installed")

def test_microphone(sound): ...
def test_display(): pytest.skip("not run: Xvfb is not installed")
def test_speech(data_dir): ...
def test_gpu(): pytest.skip("not run: no GPU")
"""


@pytest.mark.parametrize(("required", "failed"), [("", 0), ("1", 2)])
def test_a_skip_of_what_is_installed_is_a_failure(
    required: str, failed: int, tmp_path: Path
) -> None:
    (tmp_path / "test_it.py").write_text(SKIPPED)
    environment = {k: v for k, v in os.environ.items() if k != "POSETALK_DATA"}
    environment |= {"POSETALK_REQUIRE_ALL": required, "PYTHONPATH": str(TESTS)}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-p", "conftest", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == (1 if failed else 0), ran.stdout + ran.stderr
    assert f"{4 - failed} skipped" in ran.stdout.splitlines()[-1]
    assert "not run: set POSETALK_DATA" in ran.stdout and "not run: no GPU" in ran.stdout
    for test in ("test_microphone", "test_display"):
        assert (f"{test} - must not be skipped" in ran.stdout) == bool(failed)


@pytest.mark.skipif(sys.platform == "win32", reason="not run: no shell on Windows")
def test_the_checks_find_the_data_folder_beside_the_repository(tmp_path: Path) -> None:
    (tmp_path / "repository" / ".ci").mkdir(parents=True)
    script = shutil.copy(TESTS.parent / ".ci" / "run", tmp_path / "repository" / ".ci")
    (tmp_path / "repository" / "run.py").write_text(
        "import os; print(os.environ['POSETALK_REQUIRE_ALL'], os.environ.get('POSETALK_DATA'))"
    )

    def told(**environment: str) -> str:
        bare = {k: v for k, v in os.environ.items() if not k.startswith("POSETALK")}
        ran = subprocess.run(
            ["sh", script], cwd="/", env=bare | environment, capture_output=True, text=True
        )
        return ran.stdout.strip()

    assert told() == "1 None"
    (tmp_path / "shared" / "data").mkdir(parents=True)
    assert told() == f"1 {tmp_path}/shared/data"
    assert told(POSETALK_DATA="/elsewhere") == "1 /elsewhere"
