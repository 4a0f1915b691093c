"""Dynamic quantisation for the CPU: weights in 8 bits, activations quantised as they come.

For onnxruntime's CPU kernels, whose half-precision ones are slow or missing.
"""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import onnx

from head.errors import NotInstalled

KEPT = ("feature_proj", "motion_dec", "diff_step_map", "person_proj")
"""Layers that stay in fp32: they are small, and stand where motion comes in and goes out."""


def quantised(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its large matrix products in 8 bits.

    Args:
        model: in fp32, holding its weights.

    Raises:
        RuntimeError: onnxruntime's quantisation tools are not here.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import, which would start it
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise NotInstalled(f"int8 needs onnxruntime and onnx ({error})") from None
    kept = []
    for index, node in enumerate(model.graph.node):
        node.name = f"n{index}"  # the tool asks for names
        if node.op_type == "MatMul" and any(part in node.input[1] for part in KEPT):
            kept.append(node.name)
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises a pre-processing that these graphs do not need
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "int8.onnx"
            quantize_dynamic(
                model,
                path,
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=kept,
                extra_options={"MatMulConstBOnly": True},
            )
            return onnx.load(str(path))
    finally:
        root.setLevel(level)
