"""Heavy libraries stay behind their seams, and the light parts start without them."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("head", "diffposetalk", "stream", "training", "viewer", "posetalk", "export")
HEAVY = (
    "torch",
    "transformers",
    "onnxruntime",
    "sounddevice",
    "soundfile",
    "pyrender",
    "OpenGL",
    "websockets",
    "av",
    "mediapipe",
    "cv2",
    "scipy",
)

SEAMS = {
    "sounddevice": {"stream/sources/native/portaudio.py", "viewer/play/speaker.py"},
    "websockets": {
        "stream/serve/listener.py",
        "stream/serve/client/attendance.py",
        "viewer/client/link.py",
    },
    "grpc": {"stream/serve/a2f/server.py", "stream/serve/a2f/service.py"},
    "nvidia_ace": {"stream/serve/a2f/messages.py"},
    "nvidia_audio2face_3d": {"stream/serve/a2f/messages.py"},
    "pipecat": {"posetalk/pipecat/processor.py"},
    "prometheus_client": {"stream/serve/metrics.py"},
    "pythonosc": {"stream/senders/vmc.py"},
    "av": {
        "training/speech/lines.py",
        "viewer/play/video.py",
        "viewer/play/pictures.py",
        "stream/sources/decoding/libav.py",
        "posetalk/tracking/scenes.py",
        "posetalk/tracking/sources/film.py",
        "posetalk/tracking/sources/sound.py",
    },
    "mediapipe": {"posetalk/tracking/landmarks/tracker.py"},
    "cv2": {"posetalk/tracking/sources/camera.py"},
    "onnxruntime": {"stream/backends/onnx/session.py", "export/int8.py"},
}
"""The only files of the product that may import a library."""

LIGHT = {
    "posetalk": HEAVY,
    "posetalk.commands": HEAVY,
    "viewer.client.watching": ("torch", "transformers", "sounddevice", "pyrender"),
    "viewer.render.renderer": ("torch", "transformers", "sounddevice", "websockets"),
    "viewer.play.video": ("torch", "transformers", "sounddevice", "websockets"),
    "stream.core.session": HEAVY,
    "stream.backends.fake": HEAVY,
    "stream.backends.onnx.backend": HEAVY,
    "stream.backends.tensorrt.backend": HEAVY,
    "export.shipped_graphs": HEAVY,
    "stream.wire.codec": HEAVY,
    "head": HEAVY,
    "diffposetalk.spec": HEAVY,
}
"""Modules, and what importing them must not load."""


def imports(path: Path) -> Iterator[str]:
    """Top-level packages that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("library", SEAMS)
def test_a_heavy_library_is_imported_in_its_seam_only(library: str) -> None:
    found = {
        str(path.relative_to(ROOT).as_posix())
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if library in imports(path)
    }
    assert found == SEAMS[library]


def test_light_modules_load_nothing_heavy() -> None:
    """One process for each module, all started at once."""
    probe = "import sys, importlib; importlib.import_module(sys.argv[1]); print(*sys.modules)"
    running = {
        module: subprocess.Popen(
            [sys.executable, "-P", "-c", probe, module], stdout=subprocess.PIPE, text=True
        )
        for module in LIGHT
    }
    for module, process in running.items():
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, module
        loaded = {name for name in output.split() if name in LIGHT[module]}
        assert not loaded, f"{module} loads {loaded}"
