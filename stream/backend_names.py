"""The names of the backends, for options; needs nothing."""

from __future__ import annotations

from typing import Literal, get_args

BackendName = Literal[
    "auto", "onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt", "tensorrt", "tensorrt-rtx",
    "torch", "fake",
]
"""`auto` is the best that is installed; `onnxruntime` alone runs on the CPU."""

BACKENDS: tuple[str, ...] = get_args(BackendName)
