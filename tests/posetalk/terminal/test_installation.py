"""Hints are told from where they are printed: a checkout, a wheel, a machine without network."""

from __future__ import annotations

import importlib.metadata
import logging
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cli import call

from head.errors import NotInstalled
from posetalk.__main__ import explain
from posetalk.terminal import console, doctor_checks, installation

PIP = f"{sys.executable} -m pip"


@pytest.fixture(autouse=True)
def linux_without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Linux machine with network, without GPU, torch or settings of pip."""
    monkeypatch.setattr(installation.sys, "platform", "linux")
    monkeypatch.setattr(installation.shutil, "which", lambda name: None)
    monkeypatch.setattr(installation, "online", lambda: True)
    monkeypatch.setattr(installation, "_own_indexes", lambda: iter(()))
    find = installation.importlib.util.find_spec
    monkeypatch.setattr(
        installation.importlib.util,
        "find_spec",
        lambda name: None if name == "torch" else find(name),
    )


def test_a_checkout_that_run_set_up_is_told_to_set_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = installation.ROOT
    monkeypatch.setattr(installation.sys, "prefix", str(root / ".venv"))
    monkeypatch.chdir(root)
    assert installation.install_extra("export") == "python3 run.py setup export"
    assert installation.install_extra("viewer") == "python3 run.py setup"
    with_index = "PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu python3 run.py setup"
    assert installation.install_extra("torch") == f"{with_index} torch"
    monkeypatch.chdir(tmp_path)
    assert installation.install_extra("export") == f"python3 {root}/run.py setup export"
    assert installation.restore("head/data") == f"git -C {root} checkout -- head/data"


def test_a_wheel_is_told_to_ask_the_pip_of_its_own_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(installation, "ROOT", tmp_path / "lib" / "python3.11" / "site-packages")
    assert installation.install_extra("export") == f"{PIP} install 'posetalk[export]'"
    assert "run.py" not in installation.install_extra("viewer")
    wheel = tmp_path / "a wheel.whl"
    monkeypatch.setattr(installation, "_installed_from", lambda: str(wheel))
    again = f"{PIP} install --force-reinstall --no-deps '{wheel}'"
    assert installation.restore("head/data") == again


def test_torch_comes_without_cuda_where_nothing_can_use_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(installation, "ROOT", tmp_path)
    index = "--extra-index-url https://download.pytorch.org/whl/cpu"
    small = f"{PIP} install {index} 'posetalk[torch]'"
    plain = f"{PIP} install 'posetalk[torch]'"
    assert installation.install_extra("torch") == small
    with monkeypatch.context() as changed:
        changed.setattr(installation, "_own_indexes", lambda: iter(["https://mirror/simple"]))
        assert installation.install_extra("torch") == plain
    with monkeypatch.context() as changed:
        changed.setattr(installation.sys, "platform", "darwin")
        assert installation.install_extra("torch") == plain
    monkeypatch.setattr(installation.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert installation.install_extra("torch") == plain, "there is a GPU"


def test_without_network_the_line_takes_a_folder_of_wheels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(installation, "ROOT", tmp_path)
    monkeypatch.setattr(installation, "online", lambda: False)
    line = installation.install_extra("export")
    assert line.startswith(f"{PIP} install --no-index --find-links wheels 'posetalk[export]' ")
    assert "pip download -d wheels 'onnx>=" in line and "\n" not in line


def test_pips_own_settings_are_read(tmp_path: Path) -> None:
    """In a module of its own kind: the fixture above stands in for these functions."""
    spec = importlib.util.spec_from_file_location("fresh_installation", installation.__file__)
    assert spec is not None and spec.loader is not None
    fresh: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nextra-index-url = file:///shelf\n")
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("PIP_CONFIG_FILE", str(config))
        assert "file:///shelf" in list(fresh._own_indexes()) and not fresh.wants_cpu_torch("torch")
        changed.setenv("PIP_NO_INDEX", "1")
        assert not fresh.online()


def test_what_a_library_names_is_told_as_it_is_typed_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(installation, "ROOT", tmp_path)
    error = NotInstalled("datasets need lmdb: run `pip install 'posetalk[train]'` first")
    assert f"run `{PIP} install --extra-index-url" in explain(error)
    assert explain(NotInstalled(explain(error))) == explain(error), "as a process beside us says it"
    assert explain(OSError("reinstall it with `pip install av`")) == (
        f"reinstall it with `{PIP} install av`"
    )


def test_whatever_is_said_names_what_is_typed_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not only what ends a command: what it goes on without, too, and what our packages warn of."""
    monkeypatch.setattr(installation, "ROOT", tmp_path)
    line = "torch runs the model: onnxruntime is missing: run `pip install 'posetalk[viewer]'`"
    console.say(line)
    record = logging.LogRecord("stream", logging.WARNING, "", 0, line, None, None)
    console._Say().emit(record)
    wanted = f"posetalk: {line.replace('pip', PIP)}\n"
    assert capsys.readouterr().err == 2 * wanted


def versions(monkeypatch: pytest.MonkeyPatch, *there: str) -> None:
    """As if of both builds of onnxruntime, those in `there` were installed."""
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name in installation.ONNXRUNTIMES:
            if name not in there:
                raise importlib.metadata.PackageNotFoundError(name)
            return "1.31.1"
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_two_builds_of_onnxruntime_and_one_removed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    versions(monkeypatch, "onnxruntime", "onnxruntime-gpu")
    found = doctor_checks._runtime()
    assert "write into the same folder" in found.detail
    assert "pip uninstall -y onnxruntime-gpu && " in found.mend
    monkeypatch.setattr(installation, "set_up_by_run", lambda: False)
    line = installation.install_extra("gpu")
    assert line == f"{PIP} uninstall -y onnxruntime && {PIP} install 'posetalk[gpu]'"
    with monkeypatch.context() as card:
        card.setattr(installation.shutil, "which", lambda name: f"/usr/bin/{name}")
        assert installation.mend_onnxruntime().startswith(f"{PIP} uninstall -y onnxruntime && ")
    versions(monkeypatch, "onnxruntime")
    with monkeypatch.context() as gone:
        gone.setattr(installation, "_is_there", lambda module: False)
        error = NotInstalled("onnxruntime is not installed: run `pip install 'posetalk[cpu]'`")
        mended = f"run `{PIP} install --force-reinstall --no-deps onnxruntime`"
        assert explain(error).endswith(mended), "pip would say that it is there"
    versions(monkeypatch, "onnxruntime-gpu")
    monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))
    found = doctor_checks._runtime()
    assert "is damaged" in found.detail
    assert found.mend == f"{PIP} install --force-reinstall --no-deps onnxruntime-gpu"
    code, output, messages = call(["doctor"], capsys)
    assert code in (0, 1) and not messages
    lines = {line[9:].split()[0]: line for line in output.splitlines()[:-1]}
    assert "is damaged" in lines["onnxruntime"] and "bundle" in lines and "gpu" in lines
    try:
        _ = sys.modules["onnxruntime"].InferenceSession
    except AttributeError as error:
        assert explain(error) == f"onnxruntime is damaged: run `{found.mend}`"


def test_without_anything_that_runs_it_the_bundle_is_not_the_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nor does what a library says of its own installation stand beside what is typed here."""

    def nothing(*_: object) -> None:
        raise NotInstalled("torch is not installed: run `pip install 'posetalk[torch]'`")

    monkeypatch.setattr(installation, "ROOT", tmp_path)
    monkeypatch.setattr("stream.backends.registry.load_backend", nothing)
    found = doctor_checks._bundle()
    assert (found.state, found.mend) == ("missing", f"{PIP} install 'posetalk[cpu]'")
    said = (
        "GLError: cannot load OpenGL (No module named 'pyrender'); `pip install 'posetalk[viewer]'`"
    )
    done = subprocess.CompletedProcess([], 1, "", said)
    monkeypatch.setattr(doctor_checks.subprocess, "run", lambda *_, **__: done)
    found = doctor_checks._drawing()
    assert "pyrender" in found.detail and "pip install" not in found.detail


def test_a_look_that_breaks_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor_checks, "_port", lambda: 1 // 0)
    _, output, _ = call(["doctor"], capsys)
    assert "without  port          ZeroDivisionError" in output


@pytest.mark.parametrize(
    ("system", "where"),
    [("darwin", "System Settings > Privacy & Security"), ("win32", "Privacy & security")],
)
def test_each_system_says_where_the_microphone_is_allowed(
    system: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.sources.native.portaudio.list_microphones", lambda: [])
    monkeypatch.setattr(doctor_checks.sys, "platform", system)
    assert where in doctor_checks._microphone().mend
