"""The findings of `posetalk doctor`: each looks at one thing and never raises."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from posetalk.app.settings import DEFAULT_HOST, DEFAULT_PORT

SYSTEM_GL = "sudo apt-get install -y libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri"
INSTALL = "python3 run.py setup"
NETWORKS = "pip install 'posetalk[torch]'"
EXPORT = "pip install 'posetalk[export]'"
DATASETS = "pip install 'posetalk[train]'"
ENGINES = "pip install 'posetalk[trt-rtx]'"

_PROBE_GL = """
from head.rig import builtin_head
from viewer.render.renderer import Renderer
from viewer.render import gl
head = builtin_head()
with Renderer(head, 64, 64) as renderer:
    renderer.render(head.template)
    from OpenGL.GL import GL_RENDERER, glGetString
    print(gl.platform_name() + ": " + glGetString(GL_RENDERER).decode())
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what.
        state: `ok`, `without` (works, with less) or `missing` (`posetalk live` cannot run).
        detail: what was found.
        mend: the command or step that mends it, if it can be mended.
    """

    name: str
    state: str
    detail: str
    mend: str = ""

    def line(self) -> str:
        """One line for people."""
        mark = {"ok": "ok     ", "without": "without", "missing": "MISSING"}[self.state]
        mend = f"  ->  {self.mend}" if self.mend else ""
        return f"{mark}  {self.name:<12}  {self.detail}{mend}"


def live_can_run(findings: Iterable[Finding]) -> bool:
    """Whether nothing that `posetalk live` needs is missing."""
    return all(finding.state != "missing" for finding in findings)


def examine() -> Iterator[Finding]:
    """Look at everything, one finding after the other."""
    yield _python()
    for name in ("numpy", "safetensors", "websockets", "soundfile", "av"):
        yield _package(name, "missing", INSTALL)
    yield _runtime()
    for name in ("torch", "transformers"):
        yield _package(name, "without", NETWORKS, "training and released checkpoints need it")
    yield _package("onnx", "without", EXPORT, "posetalk export needs it")
    yield _package("lmdb", "without", DATASETS, "datasets and training on them need it")
    yield _engines()
    yield _head()
    yield _bundle()
    yield _microphone()
    yield _drawing()
    yield _window()
    yield _port()
    yield _gpu()


def _python() -> Finding:
    where = "in .venv" if sys.prefix != sys.base_prefix else "no virtual environment"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return Finding("python", "ok", f"{platform.python_version()} ({where}), {machine}")


def _package(name: str, absent: str, mend: str, why: str = "") -> Finding:
    try:
        return Finding(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, absent, f"not installed{f' ({why})' if why else ''}", mend)


def _runtime() -> Finding:
    for name in ("onnxruntime-gpu", "onnxruntime"):
        try:
            return Finding("onnxruntime", "ok", f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    if importlib.util.find_spec("torch") is not None:
        return Finding("onnxruntime", "without", "not installed (torch runs the model)", INSTALL)
    return Finding("onnxruntime", "missing", "not installed, nor torch", INSTALL)


def _engines() -> Finding:
    found = []
    for name in ("tensorrt-rtx-cu13", "tensorrt-cu13"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    if found:
        return Finding("tensorrt", "ok", ", ".join(found))
    mend = ENGINES if shutil.which("nvidia-smi") else ""
    return Finding("tensorrt", "without", "not installed (engines for GPUs need it)", mend)


def _head() -> Finding:
    try:
        from head.rig import builtin_head

        head = builtin_head()
    except (ImportError, ValueError, OSError) as error:
        return Finding("head", "missing", _one_line(error), "git checkout -- head/data")
    return Finding("head", "ok", f"{head.id}, {len(head.template)} vertices")


def _bundle() -> Finding:
    mend = "git checkout -- diffposetalk/bundles"
    try:
        from stream.backends.registry import load_backend

        instead = ""
        try:
            backend = load_backend("onnxruntime", "starter")
        except (ImportError, ValueError, RuntimeError) as error:
            instead = f", as onnxruntime cannot: {_one_line(error)}"
            backend = load_backend("torch", "starter")
    except ImportError as error:
        return Finding("bundle", "missing", _one_line(error), INSTALL)
    except (ValueError, OSError, RuntimeError) as error:
        return Finding("bundle", "missing", _one_line(error), mend)
    live, styles = backend.spec.live, list(backend.styles)
    settings = f"hop {live.hop}, lookahead {live.lookahead}, steps {live.steps}"
    detail = f"starter {backend.bundle_hash[:12]} on {backend.name}; {settings}; styles "
    return Finding("bundle", "ok", detail + ", ".join(styles) + instead)


def _microphone() -> Finding:
    from stream.sources.microphone import MicrophoneError, list_microphones

    try:
        found = list_microphones()
    except MicrophoneError as error:
        mend = "sudo apt-get install -y libportaudio2" if sys.platform == "linux" else INSTALL
        return Finding("microphone", "without", f"{_one_line(error)}", mend)
    if not found:
        mend = "plug one in, or start the sound server"
        # PortAudio speaks ALSA; sound servers are reached through its plug-ins.
        plugins = Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")
        if sys.platform == "linux" and not any(plugins):
            mend = "sudo apt-get install -y libasound2-plugins"
        return Finding("microphone", "without", "none; live plays the demo speech", mend)
    default = next((device for device in found if device.is_default), found[0])
    return Finding("microphone", "ok", f"{default.name} ({len(found)} in all)")


def _drawing() -> Finding:
    # In a process of its own: a broken GL driver may end the process that asks it.
    probe = [sys.executable, "-P", "-W", "ignore", "-c", _PROBE_GL]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("drawing", "without", f"the GL driver does not answer ({error})")
    if done.returncode == 0:
        return Finding("drawing", "ok", done.stdout.strip())
    reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1].split(": ", 1)[-1]
    mend = SYSTEM_GL if shutil.which("apt-get") else INSTALL
    return Finding("drawing", "without", f"no video, no window ({reason[:160]})", mend)


def _window() -> Finding:
    from viewer.render.gl import display_available

    if display_available():
        return Finding("window", "ok", os.environ.get("DISPLAY", "native"))
    return Finding("window", "without", "no display; live renders off-screen and records a video")


def _port() -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((DEFAULT_HOST, DEFAULT_PORT))
        except OSError as error:
            detail = f"{DEFAULT_PORT} cannot be had ({error.strerror})"
            return Finding("port", "without", detail, "choose another with --port")
    return Finding("port", "ok", f"{DEFAULT_PORT} is free")


def _gpu() -> Finding:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Finding("gpu", "without", "no NVIDIA GPU; the starter runs on the CPU")
    query = [tool, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return Finding("gpu", "without", "nvidia-smi does not answer")
    if done.returncode != 0 or not done.stdout.strip():
        return Finding("gpu", "without", "nvidia-smi sees no GPU")
    return Finding("gpu", "ok", "; ".join(done.stdout.strip().splitlines()))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
