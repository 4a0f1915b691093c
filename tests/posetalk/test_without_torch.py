"""The shipped starter runs where torch, transformers and onnx are not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli import brings, finish, start

import posetalk
from posetalk.__main__ import explain
from posetalk.terminal.install_hints import EXTRAS, advice

ABSENT = ("torch", "transformers", "onnx", "scipy")

# As if they were not installed, in this process and in those it starts.
HIDE = f"""
import importlib.machinery
found = importlib.machinery.PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.split(".")[0] in {ABSENT!r} else found(name, path, target)
importlib.machinery.PathFinder.find_spec = staticmethod(find_spec)
"""


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a process that cannot find them."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(HIDE)
    environment = {"PYTHONPATH": str(folder)}
    probe = f"import importlib.util as u; print([u.find_spec(n) for n in {ABSENT!r}])"
    seen = subprocess.run(
        [sys.executable, "-P", "-c", probe],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert seen.stdout.strip() == str([None] * len(ABSENT)), seen.stderr
    return environment


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples, rate = soundfile.read(posetalk.demo_speech(), start=8000, frames=24000)
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    soundfile.write(path, samples, rate)
    return path


def test_animate_gives_what_torch_gives(
    hidden: dict[str, str], speech: Path, tmp_path: Path
) -> None:
    code, _, messages = finish(start("animate", str(speech), "-o", "a.npz", cwd=tmp_path, **hidden))
    assert code == 0, messages
    assert "torch" not in messages
    ours = posetalk.Motion.load(tmp_path / "a.npz")
    theirs = posetalk.animate(speech, backend="torch")
    assert len(ours) == len(theirs) == 37
    np.testing.assert_allclose(ours.exp, theirs.exp, atol=1e-4)
    np.testing.assert_allclose(ours.pose, theirs.pose, atol=1e-4)


def test_live_runs_and_draws(hidden: dict[str, str], speech: Path, tmp_path: Path) -> None:
    arguments = ["--source", str(speech), "--backend", "onnxruntime", "--port", "0"]
    code, _, messages = finish(start("live", *arguments, cwd=tmp_path, **hidden))
    assert code == 0, messages
    assert "37 frames" in messages
    assert list(tmp_path.glob("posetalk-*.mp4")), messages


def test_doctor_says_which_backend_runs_the_model(hidden: dict[str, str], tmp_path: Path) -> None:
    code, output, _ = finish(start("doctor", "--json", cwd=tmp_path, **hidden))
    findings = {finding["name"]: finding for finding in json.loads(output)}
    assert code == 0
    assert " on onnxruntime;" in findings["bundle"]["detail"]
    assert brings("torch", findings["torch"]["mend"]) or findings["torch"]["state"] == "ok"


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["animate", "demo", "--backend", "torch", "-o", "a.npz"], "torch"),
        (["animate", "demo", "--mode", "paper", "-o", "a.npz"], "torch"),
        (["import", "x.pt", "-o", "copy"], "torch"),
        (["evaluate", "-o", "report"], "train"),
        (["style", "extract", "a.npz", "-o", "mine.npz"], "torch"),
        (["export", "starter", "-o", "copy"], "export"),
    ],
)
def test_what_needs_more_says_what_to_install(
    arguments: list[str], extra: str, hidden: dict[str, str], tmp_path: Path
) -> None:
    if arguments[0] == "style":
        posetalk.animate(posetalk.demo_speech(), backend="fake").save(tmp_path / "a.npz")
    code, _, messages = finish(start(*arguments, cwd=tmp_path, **hidden))
    assert code == 1
    assert brings(extra, messages) and len(messages.splitlines()) == 1, messages


def test_each_package_is_in_the_extra_that_is_named() -> None:
    root = Path(__file__).resolve().parents[2]
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    for module, extra in EXTRAS.items():
        wanted = extras["optional-dependencies"][extra]
        name = module.lower().replace("opengl", "pyopengl").replace("_", "-")
        brought = [line.lower() for line in wanted]
        # The first two come with pyrender, the third with mediapipe.
        assert name in ("pyopengl", "trimesh", "cv2") or any(
            line.startswith(name) for line in brought
        )


def test_an_import_that_nobody_planned_for_names_the_doctor() -> None:
    told = advice(ModuleNotFoundError("No module named 'scipy'", name="scipy.linalg"))
    assert told.startswith("this needs scipy: run `") and brings("train", told)
    broken = advice(ImportError("cannot import name 'x' from\n'torch'", name="torch"))
    assert broken == "cannot import name 'x' from 'torch'; `posetalk doctor` tells what to install"
    assert "posetalk doctor" in explain(ModuleNotFoundError("No module named 'y'", name="y"))
