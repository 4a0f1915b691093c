"""Building a TensorRT engine of an exported graph, by `tensorrt` 10 and 11 or by `tensorrt_rtx`.

Only what all three have is used: strongly typed networks with an explicit batch (in 11 and in
TensorRT for RTX there are no others), precision from the graph's own types and never from a builder
flag, an optimisation profile for each size of a batch, `build_serialized_network`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffposetalk.spec import ModelSpec
from stream.backends.protocol import RuntimeProblem

LIBRARIES: Mapping[str, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
EXTRAS: Mapping[str, str] = {"tensorrt": "trt", "tensorrt-rtx": "trt-rtx"}
BATCHES = (1, 2, 4, 8, 16, 32, 64)
"""Sessions in a call of an engine: a profile each, as kernels for one size are faster than those
for a range; calls of other sizes are filled up to the next one."""
LEAST_CAPABILITY: Mapping[str, float] = {"bf16": 8.0, "fp8": 8.9}
"""Compute capability of the oldest GPU that has such arithmetic."""
RTX_CAPABILITIES = (7.5, 8.6, 8.9)
"""What TensorRT for RTX runs on, besides 12.0 and newer."""

Dims = Mapping[str, Sequence[int | str]]
"""Dimensions of a graph's inputs by name; free ones by name, too."""


@dataclass(frozen=True)
class Range:
    """A free dimension: its least, its usual and its largest value."""

    least: int
    usual: int
    most: int


def ranges(spec: ModelSpec) -> dict[str, Range]:
    """Ranges of the free dimensions of a bundle's graphs, by name."""
    frame = spec.frame_samples
    live = spec.live
    adjacent = live.window_rule == "adjacent"
    usual = live.hop + live.lookahead if adjacent else spec.T_w
    heard = live.hop if adjacent else spec.T_p + spec.T_w
    return {
        "batch": Range(1, 1, BATCHES[-1]),
        "frames": Range(1, usual, spec.T_w),
        "branches": Range(1, 1 if live.audio_guidance == live.style_guidance == 1.0 else 3, 3),
        "samples": Range(frame, heard * frame, (spec.T_p + spec.T_w) * frame),
    }


def library(target: str) -> Any:
    """The module of a target.

    Raises:
        RuntimeProblem: it is not installed, or does not load.
    """
    name = LIBRARIES[target]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RuntimeProblem(
            f"{name} is not here ({error}): run `pip install 'posetalk[{EXTRAS[target]}]'`, or use "
            "onnxruntime"
        ) from None


def check_capability(precision: str, capability: float, target: str = "tensorrt") -> None:
    """Whether a GPU is one of a library's, and has the arithmetic of a precision.

    Raises:
        RuntimeProblem: it is not, or has not.
    """
    if target == "tensorrt-rtx" and capability < 12.0 and capability not in RTX_CAPABILITIES:
        raise RuntimeProblem(
            "TensorRT for RTX runs on GPUs of compute capability 7.5, 8.6, 8.9 and 12.x, and this "
            f"one has {capability}: choose `--backend torch`, `onnxruntime-cuda` or `tensorrt`"
        )
    least = LEAST_CAPABILITY.get(precision, 0.0)
    if capability < least:
        raise RuntimeProblem(
            f"{precision} needs a GPU of compute capability {least} or newer, and this one has "
            f"{capability}: choose fp16 or int8"
        )


def build_engine(
    trt: Any,
    graph: bytes,
    inputs: Dims,
    bounds: Mapping[str, Range],
    weights: Path | None = None,
    batches: Sequence[int] = BATCHES,
) -> bytes:
    """The serialised engine of an ONNX graph.

    Args:
        trt: the module.
        graph: the ONNX file.
        inputs: its inputs, as a manifest has them.
        bounds: of their free dimensions.
        weights: folder of the file that holds its weights; None: they are inside.
        batches: sizes of a batch, in rising order.

    Raises:
        RuntimeProblem: TensorRT cannot read or build it; the message is its own.
    """
    log = _logger(trt)
    builder = trt.Builder(log)
    network = builder.create_network(network_flags(trt))
    parser = trt.OnnxParser(network, log)
    # The path is that of the graph, from which the weights' place is reckoned.
    path = None if weights is None else str(weights / "graph.onnx")
    if not parser.parse(graph, path):
        said = " ".join(parser.get_error(0).desc().split())
        raise RuntimeProblem(f"TensorRT cannot read the graph: {said}")
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # fp32 is fp32
    for size in batches:
        profile = builder.create_optimization_profile()
        sizes = {**bounds, "batch": Range(size, size, size)}
        for name, dims in inputs.items():
            if any(isinstance(dim, str) for dim in dims):
                ends = (
                    tuple(_end(sizes[d], which) if isinstance(d, str) else d for d in dims)
                    for which in range(3)
                )
                profile.set_shape(name, *ends)
        config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise RuntimeProblem(
            f"TensorRT cannot build the engine: {log.last or 'it does not say why'}"
        )
    return bytes(engine)


def network_flags(trt: Any) -> int:
    """Creation flags of a strongly typed network: 10 has to be told, later ones know no other."""
    if trt.__name__.endswith("rtx") or int(trt.__version__.split(".")[0]) >= 11:
        return 0
    return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


def _end(bound: Range, which: int) -> int:
    return (bound.least, bound.usual, bound.most)[which]


def _logger(trt: Any) -> Any:
    """A logger that keeps the last error and prints nothing."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last = ""

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.last = " ".join(message.split())

    return Log()
