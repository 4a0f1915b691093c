"""TensorRT engines of a bundle: the graphs they are built from, and those built for what is here.

Strongly typed: precision is that of the ONNX graph, in 8 bits by explicit nodes (`export.qdq`).
Graphs stay beside the engines, so that a machine with another GPU or TensorRT builds its own
(`stream.backends.tensorrt.engine_store`).  TensorRT for RTX builds without a GPU, for every GPU
that it knows; `tensorrt` builds for the GPU it finds.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from diffposetalk.bundle.bundle import Bundle
from diffposetalk.bundle.graphs import Manifest, network_hash
from diffposetalk.bundle.reading import MODEL
from diffposetalk.spec import FloatArray
from export.calibration import Calibration, calibrate
from export.graphs.builder import OPSET, save
from export.onnx_export import ExportError, build_graphs, describe, home_of, hop_of, in_place_of
from export.qdq import quantised
from stream.backends.protocol import RuntimeProblem
from stream.backends.tensorrt.build import LIBRARIES, check_capability, library, ranges
from stream.backends.tensorrt.engine_store import EngineStore, engine_key
from stream.backends.tensorrt.session import gpu_here

PRECISIONS = ("fp32", "bf16", "fp16", "int8", "fp8")
BASE = "fp16"
"""Precision of what an engine in 8 bits does not do in 8 bits."""


def export_engines(
    bundle: Bundle,
    steps: Sequence[int | None],
    *,
    target: str,
    precision: str = "fp32",
    out: Path | None = None,
    sound: FloatArray | None = None,
    whole_hops: bool = False,
) -> tuple[Path, Manifest]:
    """Build engines into a bundle's own folder, or into a copy of it.

    Args:
        steps: of each sampler engine; None (any number) has no engine.
        target: `tensorrt` or `tensorrt-rtx`.
        precision: fp32, bf16, fp16, int8 or fp8.
        out: folder of the copy; None: the bundle's own.
        sound: (n,) speech at 16 kHz that ranges in 8 bits are measured on.
        whole_hops: engines of whole hops as well, at the live defaults.

    Returns:
        The folder of graphs and engines, and what is in it.

    Raises:
        ExportError: a precision or step count that has no engine, the library is not here or
            cannot build, or the folder cannot be written.
    """
    wanted = [k for k in steps if k is not None]
    if not wanted:
        raise ExportError("an engine holds a fixed number of steps: choose --steps, 1 to 20")
    try:
        trt = library(target)
        gpu = gpu_here() if target == "tensorrt" else None  # the other's run on others as well
        engine_key(target, trt, gpu)
        if gpu is not None:
            check_capability(precision, gpu.capability)
        graphs, calibration = typed_graphs(
            bundle, wanted, precision, sound, whole_hops=whole_hops, target=target
        )
        with home_of(bundle, out) as home, in_place_of(home / target) as made:
            files = {}
            for name, model in graphs.items():
                save(model, made / f"{name}.onnx")
                files[name] = describe(made / f"{name}.onnx", model)
            manifest = Manifest(
                bundle=bundle.hash,
                network=network_hash(bundle),
                target=target,
                precision=precision,
                opset=OPSET,
                ranges={n: [r.least, r.most] for n, r in ranges(bundle.spec).items()},
                weights=MODEL if calibration is None else "",
                tools={
                    "posetalk": importlib.metadata.version("posetalk"),
                    "onnx": importlib.metadata.version("onnx"),
                    LIBRARIES[target]: trt.__version__,
                },
                graphs=files,
                hop=hop_of(bundle.spec, files),
                calibration="" if calibration is None else calibration.source,
                peaks={} if calibration is None else calibration.peaks,
            )
            manifest.write(made)
            store = EngineStore(made, manifest, home, ranges(bundle.spec), trt, gpu)
            for name in graphs:
                store.keep(name, store.build(name), made)
    except RuntimeProblem as error:
        raise ExportError(str(error)) from None
    return home / target, manifest


def typed_graphs(
    bundle: Bundle,
    steps: Sequence[int],
    precision: str,
    sound: FloatArray | None = None,
    *,
    whole_hops: bool = False,
    target: str = "tensorrt",
) -> tuple[dict[str, onnx.ModelProto], Calibration | None]:
    """Graphs whose own types are the precision, and the calibration of those in 8 bits.

    In 8 bits they hold their weights; else they refer to the bundle's.  TensorRT for RTX takes
    int8 for weights alone: what is multiplied with them stays in BASE.

    Raises:
        ExportError: as `export_engines`.
    """
    if precision not in PRECISIONS:
        raise ExportError(f"no engine is in {precision}: choose one of {', '.join(PRECISIONS)}")
    if precision not in ("int8", "fp8"):
        graphs = build_graphs(bundle, steps, precision=precision, whole_hops=whole_hops)
        return {name: readable(model) for name, model in graphs.items()}, None
    if sound is None:
        raise ExportError(f"{precision} is calibrated on speech: choose a sound file")
    calibration = calibrate(bundle, sound)
    graphs = build_graphs(
        bundle, steps, precision=BASE, external_weights=False, whole_hops=whole_hops
    )
    return {
        name: quantised(
            readable(model),
            precision,
            calibration.peaks,
            weights_only=target == "tensorrt-rtx" and precision == "int8",
        )
        for name, model in graphs.items()
    }, calibration


def readable(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with 16-bit integer constants as 32-bit ones, which TensorRT asks for."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    for tensor in wide.graph.initializer:
        if tensor.data_type == TensorProto.INT16:
            values = numpy_helper.to_array(tensor).astype(np.int32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return wide
