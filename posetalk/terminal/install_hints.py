"""What to install when a package is missing: the extra of posetalk that brings it."""

from __future__ import annotations

from posetalk.terminal import installation

EXTRAS = {
    "torch": "torch",
    "transformers": "torch",
    "onnx": "export",
    "onnx_ir": "export",
    "onnxscript": "export",
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
    "mediapipe": "video",
    "cv2": "video",
    "pipecat": "pipecat",
    "ray": "ray",
    "grpc": "a2f",
    "nvidia_ace": "a2f",
    "nvidia_audio2face_3d": "a2f",
}
"""Extra by the name that is imported."""


def advice(error: ImportError | AttributeError) -> str:
    """One line on an import that failed: what is missing, and the command that brings it."""
    if isinstance(error, AttributeError):
        return f"onnxruntime is damaged: run `{installation.mend_onnxruntime()}`"
    name = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and name in EXTRAS:
        return f"this needs {name}: run `{installation.install_extra(EXTRAS[name])}`"
    text = " ".join(str(error).split()) or "a package is missing"
    return f"{installation.here(text)}; `posetalk doctor` tells what to install"


def is_damaged_package(error: Exception) -> bool:
    """Whether a package answered without what it is made of.

    Of `onnxruntime` and `onnxruntime-gpu`, which share a folder, one was removed.
    """
    module = getattr(error, "obj", None)
    return isinstance(error, AttributeError) and getattr(module, "__name__", "") == "onnxruntime"
