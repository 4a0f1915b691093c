"""The findings of `posetalk doctor`: each looks at one thing and never raises."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from head.errors import NotInstalled
from posetalk.app.settings.address import DEFAULT_HOST, DEFAULT_PORT
from posetalk.terminal.installation import (
    ONNXRUNTIMES,
    here,
    install,
    install_extra,
    mend_onnxruntime,
    restore,
)

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
    """Look at everything, one finding after the other; whatever breaks is a finding too."""
    looks: dict[str, Callable[[], Finding]] = {"python": _python}
    for name in ("numpy", "safetensors", "websockets", "soundfile", "av"):
        looks[name] = partial(_package, name, "missing", partial(install, name))
    looks |= {
        "onnxruntime": _runtime,
        "torch": partial(_optional, "torch", "torch", "training and released checkpoints need it"),
        "transformers": partial(_optional, "transformers", "torch", "models with HuBERT need it"),
        "onnx": partial(_optional, "onnx", "export", "posetalk export needs it"),
        "lmdb": partial(_optional, "lmdb", "train", "datasets and training on them need it"),
        "mediapipe": partial(_optional, "mediapipe", "video", "films of people need it"),
        "tensorrt": _engines,
        "head": _head,
        "bundle": _bundle,
        "microphone": _microphone,
        "drawing": _drawing,
        "window": _window,
        "port": _port,
        "gpu": nvidia_driver,
    }
    for name, look in looks.items():
        try:
            yield look()
        except Exception as error:
            state = "missing" if name in ("onnxruntime", "head", "bundle") else "without"
            yield Finding(name, state, f"{type(error).__name__}: {_one_line(error)}")


def _python() -> Finding:
    where = "in .venv" if sys.prefix != sys.base_prefix else "no virtual environment"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return Finding("python", "ok", f"{platform.python_version()} ({where}), {machine}")


def _package(name: str, absent: str, mend: Callable[[], str], why: str = "") -> Finding:
    try:
        return Finding(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, absent, f"not installed{f' ({why})' if why else ''}", mend())


def _optional(name: str, extra: str, why: str) -> Finding:
    return _package(name, "without", partial(install_extra, extra), why)


def _runtime() -> Finding:
    """Which of the two builds is installed, and whether it is whole."""
    found = []
    for name in ONNXRUNTIMES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    torch = importlib.util.find_spec("torch") is not None
    absent, instead = (
        ("without", " (torch runs the model)") if torch else ("missing", ", nor torch")
    )
    if not found:
        return Finding("onnxruntime", absent, f"not installed{instead}", install_extra("cpu"))
    there = ", ".join(found)
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the first import
    try:
        onnxruntime = importlib.import_module("onnxruntime")
    except ImportError as error:
        return Finding("onnxruntime", absent, f"{there}: {_one_line(error)}", mend_onnxruntime())
    if not hasattr(onnxruntime, "InferenceSession"):
        why = f"{there} is damaged: another build, in the same folder, was removed"
        return Finding("onnxruntime", absent, why, mend_onnxruntime())
    if len(found) > 1:
        why = f"{there} write into the same folder: one of them hides the other"
        return Finding("onnxruntime", "without", why, mend_onnxruntime())
    return Finding("onnxruntime", "ok", there)


def _engines() -> Finding:
    found = []
    for name in ("tensorrt-rtx-cu13", "tensorrt-cu13"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    if found:
        return Finding("tensorrt", "ok", ", ".join(found))
    mend = install_extra("trt-rtx") if shutil.which("nvidia-smi") else ""
    return Finding("tensorrt", "without", "not installed (engines for GPUs need it)", mend)


def _head() -> Finding:
    try:
        from head.rig import builtin_head

        head = builtin_head()
    except (ImportError, ValueError, OSError) as error:
        return Finding("head", "missing", _one_line(error), restore("head/data"))
    return Finding("head", "ok", f"{head.id}, {len(head.template)} vertices")


def _bundle() -> Finding:
    try:
        from stream.backends.registry import load_backend

        instead = ""
        try:
            backend = load_backend("onnxruntime", "starter")
        except (AttributeError, ImportError, ValueError, RuntimeError) as error:
            instead = f", as onnxruntime cannot: {_one_line(error)}"
            backend = load_backend("torch", "starter")
    except (ImportError, NotInstalled):
        why = "nothing that could run it is installed"
        return Finding("bundle", "missing", why, install_extra("cpu"))
    except (ValueError, OSError, RuntimeError) as error:
        return Finding("bundle", "missing", _one_line(error), restore("diffposetalk/bundles"))
    live, styles = backend.spec.live, list(backend.styles)
    settings = f"hop {live.hop}, lookahead {live.lookahead}, steps {live.steps}"
    detail = f"starter {backend.bundle_hash[:12]} on {backend.name}; {settings}; styles "
    return Finding("bundle", "ok", detail + ", ".join(styles) + instead)


def _microphone() -> Finding:
    from stream.sources.native.portaudio import MicrophoneError, list_microphones

    try:
        found = list_microphones()
    except MicrophoneError:
        # On Windows and macOS PortAudio comes inside the package.
        mend = _system("libportaudio2") if sys.platform == "linux" else install("sounddevice")
        why = "sounddevice and PortAudio are needed; live plays the demo speech"
        return Finding("microphone", "without", why, mend)
    if not found:
        return Finding("microphone", "without", "none; live plays the demo speech", _let_hear())
    default = next((device for device in found if device.is_default), found[0])
    return Finding("microphone", "ok", f"{default.name} ({len(found)} in all)")


def _let_hear() -> str:
    """What makes a microphone that is there appear, on each system."""
    if sys.platform == "darwin":
        return "plug one in; allow it in System Settings > Privacy & Security > Microphone"
    if sys.platform == "win32":
        return "plug one in; allow it in Settings > Privacy & security > Microphone"
    # PortAudio speaks ALSA; sound servers are reached through its plug-ins.
    if not any(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
        return _system("libasound2-plugins")
    return "plug one in, or start the sound server"


def _system(*packages: str) -> str:
    """What brings libraries of a Linux system."""
    names = " ".join(packages)
    if shutil.which("apt-get"):
        return f"sudo apt-get install -y {names}"
    return f"with your system's package manager, what Debian calls {names}"


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
    reason = reason.partition("; ")[0]  # what follows is a hint, and ours is better
    if importlib.util.find_spec("pyrender") is None:
        mend = install_extra("viewer")
    else:
        from viewer.render import gl

        mend = _system(*gl.SYSTEM_GL) if sys.platform == "linux" else gl.DRIVER_HINT
    return Finding("drawing", "without", f"no video, no window ({reason[:160]})", mend)


def _window() -> Finding:
    from viewer.render.gl import display_available

    if display_available():
        native = {"win32": "Windows", "darwin": "macOS"}.get(sys.platform)
        return Finding("window", "ok", native or os.environ["DISPLAY"])
    return Finding("window", "without", "no display; live renders off-screen and records a video")


def _port() -> Finding:
    with socket.socket() as probe:
        if sys.platform != "win32":  # there it would take a port that is in use
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((DEFAULT_HOST, DEFAULT_PORT))
        except OSError as error:
            detail = f"{DEFAULT_PORT} cannot be had ({error.strerror})"
            return Finding("port", "without", detail, "choose another with --port")
    return Finding("port", "ok", f"{DEFAULT_PORT} is free")


def nvidia_driver() -> Finding:
    """The cards and the driver, as the vendor's own tool names them."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        detail = "no NVIDIA GPU; the starter runs on the CPU"
        if sys.platform == "darwin":
            detail = "macOS has none that posetalk uses; the starter runs on the CPU"
        return Finding("gpu", "without", detail)
    query = [tool, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return Finding("gpu", "without", "nvidia-smi does not answer")
    if done.returncode != 0 or not done.stdout.strip():
        return Finding("gpu", "without", "nvidia-smi sees no GPU")
    return Finding("gpu", "ok", "; ".join(done.stdout.strip().splitlines()))


def _one_line(error: BaseException) -> str:
    return here(" ".join(str(error).split())) or type(error).__name__
