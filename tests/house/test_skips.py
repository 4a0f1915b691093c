"""Where everything is installed, nothing that can run is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiers import chosen

TESTS = Path(__file__).resolve().parents[1]
PATH = str(TESTS)

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
    environment |= {"POSETALK_REQUIRE_ALL": required, "PYTHONPATH": PATH}
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
def test_the_checks_run_the_first_tier_then_what_there_is_time_for(tmp_path: Path) -> None:
    (tmp_path / "repository" / ".ci").mkdir(parents=True)
    script = shutil.copy(TESTS.parent / ".ci" / "run", tmp_path / "repository" / ".ci")
    run = tmp_path / "repository" / "run.py"
    run.write_text(
        "import os, sys\n"
        "print(*sys.argv[1:], os.environ['POSETALK_REQUIRE_ALL'], os.environ.get('POSETALK_DATA'))"
    )

    def told(*arguments: str, **environment: str) -> list[str]:
        bare = {k: v for k, v in os.environ.items() if not k.startswith("POSETALK")}
        command = ["sh", script, *arguments]
        ran = subprocess.run(
            command, cwd="/", env=bare | environment, capture_output=True, text=True
        )
        return ran.stdout.splitlines()

    first, second, *words = told()
    assert first == "test 1 None"
    assert second == "test --only-slow --minutes 30 1 None"
    assert words and all(line.startswith("not run: ") for line in words)
    assert told("-k", "wire") == ["test -k wire 1 None"], "what is asked for, and no more"
    (tmp_path / "shared" / "data").mkdir(parents=True)
    assert told()[0] == f"test 1 {tmp_path}/shared/data"
    assert told(POSETALK_DATA="/elsewhere")[0] == "test 1 /elsewhere"
    run.write_text("raise SystemExit(3)")
    assert subprocess.run(["sh", script], capture_output=True).returncode == 3


TIERS = """
import pytest

def test_quick(): ...
@pytest.mark.slow
def test_slow(): ...
@pytest.mark.extra("video")
def test_video(): ...
@pytest.mark.extra("video")
@pytest.mark.slow
def test_slow_video(): ...
@pytest.mark.extra("ray")
def test_ray(): ...
"""


HEAVY = 'import pytest\nimport what_is_not_here\npytestmark = pytest.mark.extra("a2f")\n'
VIDEO = "2 passed"


@pytest.mark.parametrize(
    ("arguments", "ran", "left_out"),
    [
        ([], "1 passed", ["slow", "extra ray", "extra video"]),
        (["--with", "video"], VIDEO, ["quick", "slow", "extra ray"]),
        (["--only-slow", "--minutes", "0"], "1 skipped", ["quick"]),
    ],
)
def test_each_tier_runs_its_tests_and_names_the_others(
    arguments: list[str], ran: str, left_out: list[str], tmp_path: Path
) -> None:
    (tmp_path / "test_it.py").write_text(TIERS)
    (tmp_path / "test_main.py").write_text("import what_the_extra_lacks" if ran == VIDEO else "")
    (tmp_path / "test_extra.py").write_text(HEAVY)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("POSETALK")}
    environment |= {"PYTHONPATH": PATH, "POSETALK_REQUIRE_ALL": "1"}
    plugins = ["-p", "conftest", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestWarning"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", *plugins, *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ran in done.stdout.splitlines()[-1]
    for name in left_out:
        assert f"of tier `{name}` (`python3 run.py test" in done.stdout
    if not arguments:
        assert "not run: test_extra.py (`python3 run.py test --with a2f`)" in done.stdout
    if "--minutes" in arguments:
        assert "not run: no time left: test_it.py::test_slow" in done.stdout


@pytest.mark.parametrize(
    ("options", "tiers"),
    [
        ({}, {"quick"}),
        ({"--slow": True}, {"quick", "slow"}),
        ({"markexpr": "slow"}, {"quick", "slow"}),
        ({"--only-slow": True}, {"slow"}),
        ({"--slow": True, "extra": "ray"}, {"extra ray"}),
    ],
)
def test_the_options_choose_the_tiers(options: dict[str, object], tiers: set[str]) -> None:
    asked = {"markexpr": "", **options}
    assert chosen(SimpleNamespace(getoption=asked.get)) == tiers


@pytest.mark.extra("video")
def test_an_extra_has_an_environment_of_its_own() -> None:
    assert Path(sys.prefix).name == ".venv-video"
