"""The names of the backends, for options; needs nothing."""

from __future__ import annotations

from typing import Literal, get_args

from head.errors import WrongValue

BackendName = Literal[
    "auto",
    "onnxruntime",
    "onnxruntime-cuda",
    "onnxruntime-tensorrt",
    "tensorrt",
    "tensorrt-rtx",
    "torch",
    "fake",
]
"""`auto` is the best that is installed; `onnxruntime` alone runs on the CPU."""

Precision = Literal["fp32", "bf16", "fp16"]
"""Of torch's matrix products; other backends have theirs in what was exported."""

OF_EXPORTS = ("int8", "fp8")
"""Precisions of exported graphs and engines alone."""

BACKENDS: tuple[str, ...] = get_args(BackendName)


def check_precision(backend: str, precision: str | None) -> None:
    """Judge a request for a precision, which torch alone can fulfil; `auto` then means torch.

    Raises:
        ValueError: another backend, or no such precision.
    """
    if precision is None:
        return
    if precision not in get_args(Precision):
        raise WrongValue(f"no precision {precision!r}: choose {', '.join(get_args(Precision))}")
    if backend in ("auto", "torch"):
        return
    why = "its precision is that of the exported graphs (`posetalk export --precision`)"
    if backend.startswith("tensorrt"):
        why = "its precision is that of the engines (`posetalk export --precision`)"
    elif backend == "fake":
        why = "it has no network"
    raise WrongValue(f"--precision {precision} goes with --backend torch, not {backend}: {why}")
