"""What to install when a package is missing: the extra of posetalk that brings it."""

from __future__ import annotations

EXTRAS = {
    "torch": "torch",
    "transformers": "torch",
    "onnx": "export",
    "onnxruntime": "cpu",
    "accelerate": "train",
    "lmdb": "train",
    "matplotlib": "train",
    "scipy": "train",
    "tensorboard": "train",
    "tqdm": "train",
    "tensorrt": "trt",
    "tensorrt_rtx": "trt-rtx",
    "OpenGL": "viewer",
    "pyglet": "viewer",
    "pyrender": "viewer",
    "trimesh": "viewer",
}
"""Extra by the name that is imported."""


def advice(error: ImportError) -> str:
    """One line on an import that failed: what is missing, and the command that brings it."""
    name = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and name in EXTRAS:
        return f"this needs {name}: run `pip install 'posetalk[{EXTRAS[name]}]'`"
    text = " ".join(str(error).split()) or "a package is missing"
    return f"{text}; `posetalk doctor` tells what to install"
