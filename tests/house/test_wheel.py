"""The wheel and the source archive: what is in them, and a video from an empty environment."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import soundfile
from cli import watch_video
from draw_tree import HOUSES, ROOT

import posetalk


def build(kind: str, source: Path, folder: Path) -> Path:
    """An `sdist` or a `wheel` of the tree in `source`, made by its own build backend."""
    hook = f"from setuptools.build_meta import build_{kind} as b; print(b({str(folder)!r}))"
    made = subprocess.run([sys.executable, "-c", hook], cwd=source, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return folder / made.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """The files of the repository."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not run: this is no git checkout")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def sdist(tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, built from a copy of what is tracked."""
    copy = tmp_path_factory.mktemp("tree")
    for name in tracked:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    return build("sdist", copy, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from nothing but the source archive."""
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    [tree] = unpacked.iterdir()
    return build("wheel", tree, tmp_path_factory.mktemp("wheel"))


def test_the_source_archive_is_the_repository(sdist: Path, tracked: list[str]) -> None:
    with tarfile.open(sdist) as archive:
        there = {name.partition("/")[2] for name in archive.getnames()}
    assert not set(tracked) - there


def test_the_wheel_holds_the_product_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [metadata] = [name for name in names if name.endswith("/METADATA")]
        page = email.message_from_bytes(archive.read(metadata))
    tops = {name.partition("/")[0] for name in names}
    assert {name for name in tops if not name.endswith(".dist-info")} == set(HOUSES)
    assert not [
        name for name in names if "/modelling/" in name or "/making/" in name or "test_" in name
    ]
    assert {f"{package}/py.typed" for package in HOUSES} <= set(names)
    for needed in (
        "head/data/builtin.npz",
        "head/data/mira.npz",
        "diffposetalk/bundles/starter/onnx/manifest.json",
        "posetalk/demo/speech.flac",
        "training/starter/model_card.md",
        "viewer/web/index.html",
        "viewer/web/face/renderer.js",
        "benchmarks/peers/peers.mjs",
    ):
        assert needed in names
    text = page.get_payload()
    assert isinstance(text, str) and text.startswith("# posetalk")
    for name in HOUSES:
        assert f"`{name}`" in text, "the page names every top-level package"
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links and all(link.startswith("https://") for link in links)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_video_from_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=True)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    bare = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    pip = [str(scripts / "python"), "-m", "pip", "install", "-q", "--no-input", "--no-compile"]
    pip += ["-c", str(ROOT / "constraints.txt")]
    wanted = f"posetalk[cpu,viewer] @ {wheel.as_uri()}"
    done = subprocess.run([*pip, wanted], env=bare, capture_output=True, text=True)
    if re.search(r"No matching distribution|Could not find a version|Connection", done.stderr):
        pytest.skip(f"not run: no package index ({done.stderr.strip().splitlines()[-1]})")
    assert done.returncode == 0, done.stderr
    samples, rate = soundfile.read(posetalk.demo_speech(), start=8000, frames=32000)
    soundfile.write(tmp_path / "speech.wav", samples, rate)

    def run(*arguments: str) -> tuple[int, str]:
        command = [str(scripts / "posetalk"), *arguments]
        ran = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True)
        return ran.returncode, ran.stdout + ran.stderr

    code, text = run("animate", "speech.wav", "-o", "face.mp4")
    assert code == 0, text
    pictures, _, _ = watch_video(tmp_path / "face.mp4")
    assert len(pictures) == 50
    code, text = run("doctor")
    assert code == 0 and "run.py" not in text and "posetalk[torch]" in text, text
    code, text = run("export", "starter", "-o", "copy")
    assert code == 1 and "posetalk[export]" in text and len(text.splitlines()) == 1, text
