"""TensorRT engines of a bundle's graphs, by `tensorrt` 10 and 11 or by `tensorrt_rtx`.

The networks are strongly typed: precision is that of the ONNX graph, no builder flag.  TensorRT for
RTX builds without a GPU, for every GPU that it knows; `tensorrt` builds for the GPU it finds.
An engine is keyed by library, version and GPU in its manifest, and is built again, never trusted,
when one of them is another (`stream.backends.tensorrt_backend`).
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from diffposetalk.bundle import Bundle
from diffposetalk.graphs import Manifest, network_hash
from diffposetalk.spec import ModelSpec
from export.graph import OPSET
from export.onnx_export import ExportError, build_graphs, describe, home_of, in_place_of

LIBRARIES: Mapping[str, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
PRECISIONS = ("fp32", "fp16", "bf16")
MOST_BATCH = 8
"""Sessions that one call of an engine can hold."""
ANY_GPU = "any"


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
        "batch": Range(1, 1, MOST_BATCH),
        "frames": Range(1, usual, spec.T_w),
        "branches": Range(1, 1 if live.audio_guidance == live.style_guidance == 1.0 else 3, 3),
        "samples": Range(frame, heard * frame, (spec.T_p + spec.T_w) * frame),
    }


def export_engines(
    bundle: Bundle, steps: Sequence[int | None], *, target: str, precision: str = "fp32",
    out: Path | None = None,
) -> tuple[Path, Manifest]:
    """Build engines into a bundle's own folder, or into a copy of it.

    Args:
        steps: of each sampler engine; None (any number) has no engine.
        target: `tensorrt` or `tensorrt-rtx`.
        precision: fp32, fp16 or bf16.
        out: folder of the copy; None: the bundle's own.

    Returns:
        The folder of the engines, and what is in it.

    Raises:
        ExportError: a precision or step count that has no engine, the library is not here or
            cannot build, or the folder cannot be written.
    """
    if precision not in PRECISIONS:
        raise ExportError(
            f"{target} engines cannot be in {precision} here (it needs calibrated scales): choose "
            f"one of {', '.join(PRECISIONS)}; int8 for the CPU is `--to onnx --precision int8`"
        )
    wanted = [k for k in steps if k is not None]
    if not wanted:
        raise ExportError("an engine holds a fixed number of steps: choose --steps, 1 to 20")
    trt = library(target)
    graphs = build_graphs(bundle, wanted, precision=precision, refer=False)
    bounds = ranges(bundle.spec)
    home = home_of(bundle, out)
    with in_place_of(home / target) as made:
        files = {}
        for name, model in graphs.items():
            path = made / f"{name}.engine"
            path.write_bytes(build(trt, model, bounds))
            files[name] = describe(path, model)
        manifest = Manifest(
            bundle=bundle.hash,
            network=network_hash(bundle),
            target=target,
            precision=precision,
            opset=OPSET,
            ranges={name: [r.least, r.most] for name, r in bounds.items()},
            weights="",
            tools={
                "posetalk": importlib.metadata.version("posetalk"),
                LIBRARIES[target]: trt.__version__,
                "gpu": ANY_GPU if target == "tensorrt-rtx" else gpu_name(),
            },
            graphs=files,
        )
        manifest.write(made)
    return home / target, manifest


def library(target: str) -> Any:
    """The module of a target.

    Raises:
        ExportError: it is not installed, or does not load.
    """
    name = LIBRARIES[target]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        extra = "trt-rtx" if target == "tensorrt-rtx" else "trt"
        raise ExportError(
            f"{name} is not here ({error}): run `pip install 'posetalk[{extra}]'`, or export "
            "`--to onnx`"
        ) from None


def gpu_name() -> str:
    """The GPU that an engine of `tensorrt` is for.

    Raises:
        ExportError: there is none.
    """
    try:
        import torch

        if torch.cuda.is_available():
            major, minor = torch.cuda.get_device_capability()
            return f"{torch.cuda.get_device_name()} (sm {major}{minor})"
    except ImportError:
        pass
    raise ExportError("tensorrt builds engines for the GPU it runs on, and there is none here")


def build(trt: Any, model: onnx.ModelProto, bounds: Mapping[str, Range]) -> bytes:
    """The serialised engine of an ONNX graph.

    Raises:
        ExportError: TensorRT cannot read or build it; the message is its own.
    """
    log = _Log(trt)
    builder = trt.Builder(log)
    typed = 0
    rtx = trt.__name__.endswith("rtx")
    if not rtx and int(trt.__version__.split(".")[0]) < 11:
        typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)  # 11 and RTX are always strongly typed
    parser = trt.OnnxParser(network, log)
    if not parser.parse(readable(model).SerializeToString()):
        error = parser.get_error(0)
        raise ExportError(f"TensorRT cannot read the graph: {' '.join(error.desc().split())}")
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if any(dim.dim_param for dim in dims):
            shapes = [
                tuple(getattr(bounds[d.dim_param], end) if d.dim_param else d.dim_value
                      for d in dims)
                for end in ("least", "usual", "most")
            ]  # fmt: skip
            profile.set_shape(value.name, *shapes)
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise ExportError(f"TensorRT cannot build the engine: {log.last or 'it does not say why'}")
    return bytes(engine)


def readable(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with 16-bit integer constants as 32-bit ones, which TensorRT asks for."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    for tensor in wide.graph.initializer:
        if tensor.data_type == TensorProto.INT16:
            values = numpy_helper.to_array(tensor).astype(np.int32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return wide


def _Log(trt: Any) -> Any:
    """A logger that keeps the last error and prints nothing."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last = ""

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.last = " ".join(message.split())

    return Log()
