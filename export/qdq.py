"""8-bit arithmetic as the graph's own types: quantise and dequantise around the large products.

For strongly typed TensorRT networks, which take precision from the graph alone.  Weights have a
scale for each output channel, activations one that a calibration found (`export.calibration`); both
are symmetric.  What is small, or stands where motion comes in and goes out, stays as it was.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from export.graphs.assembly import needed
from export.graphs.trace import OPSET
from export.int8 import KEPT
from head.errors import WrongValue

LARGEST: Mapping[str, float] = {"int8": 127.0, "fp8": 448.0}
STORED: Mapping[str, int] = {"int8": TensorProto.INT8, "fp8": TensorProto.FLOAT8E4M3FN}
FEWEST = 64 * 64
"""Weights of a product that is worth it."""


@dataclass(frozen=True)
class WeightedProduct:
    """A matrix product with weights.

    Attributes:
        node: its place in the graph.
        name: of the weights, the same at every sampling step.
        weights: (in, out), worked out as far as the graph leaves it to be worked out.
    """

    node: int
    name: str
    weights: NDArray[Any]


def products(model: onnx.ModelProto) -> list[WeightedProduct]:
    """The large products of activations (on the left) with weights of the network.

    Args:
        model: holding its weights.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    makers: dict[str, onnx.NodeProto] = {}  # of values that follow from weights and constants alone
    known: dict[str, tuple[str, NDArray[Any]] | None] = {}
    found = []
    for index, node in enumerate(model.graph.node):
        fixed = [not name or name in stored or name in makers for name in node.input]
        if all(fixed) and node.input:
            makers |= dict.fromkeys(node.output, node)
        elif node.op_type == "MatMul" and fixed[1]:
            value = node.input[1]
            if value not in known:
                known[value] = _weights(value, makers, stored)
            part = known[value]
            if part is not None:
                found.append(WeightedProduct(index, *part))
    return found


def tapped(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with one more output for each product: the largest size of what goes into it.

    The outputs are called as the weights are; the same weights at several steps give one output.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    largest: dict[str, list[str]] = {}
    for product in products(model):
        value, name = model.graph.node[product.node].input[0], product.name
        size, peak = f"{name}:size{product.node}", f"{name}:peak{product.node}"
        made.graph.node.append(helper.make_node("Abs", [value], [size]))
        made.graph.node.append(helper.make_node("ReduceMax", [size], [peak], keepdims=0))
        largest.setdefault(name, []).append(peak)
    for name, peaks in largest.items():
        made.graph.node.append(helper.make_node("Max", peaks, [f"peak:{name}"]))
        made.graph.output.append(helper.make_tensor_value_info(f"peak:{name}", 1, []))
    return made


def quantised(
    model: onnx.ModelProto, kind: str, peaks: Mapping[str, float], *, weights_only: bool = False
) -> onnx.ModelProto:
    """The model with its large products in `kind` (int8 or fp8).

    Args:
        model: holding its weights, in any precision; that of everything else.
        peaks: the largest size of the input of each product, by the name of its weights.
        weights_only: what is multiplied with the weights stays as it was.

    Raises:
        ValueError: a product without a peak: the calibration was of another network.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    before: dict[int, list[onnx.NodeProto]] = {}
    seen: dict[str, str] = {}
    for product in products(model):
        node = made.graph.node[product.node]
        value, name = node.input[0], product.name
        if name not in peaks:
            raise WrongValue(f"there is no calibrated range for {name}: calibrate again")
        fresh: list[onnx.NodeProto] = []
        if weights_only:
            seen[f"{value} {name}"] = value
        elif f"{value} {name}" not in seen:
            seen[f"{value} {name}"] = _activation(made, fresh, value, product, kind, peaks[name])
        if name not in seen:
            seen[name] = _stored(made, fresh, product, kind)
        node.input[0], node.input[1] = seen[f"{value} {name}"], seen[name]
        before[product.node] = fresh
    nodes = []
    for index, node in enumerate(made.graph.node):
        nodes += [*before.get(index, ()), node]
    del made.graph.node[:]
    made.graph.node.extend(needed(nodes, {value.name for value in made.graph.output}))
    used = {name for node in made.graph.node for name in node.input}
    kept = [tensor for tensor in made.graph.initializer if tensor.name in used]
    del made.graph.initializer[:]
    made.graph.initializer.extend(kept)
    return made


def _activation(
    model: onnx.ModelProto,
    nodes: list[onnx.NodeProto],
    value: str,
    product: WeightedProduct,
    kind: str,
    peak: float,
) -> str:
    """Nodes that quantise a value by one scale, and dequantise it."""
    dtype = product.weights.dtype
    name = f"{product.name}:in"
    known = {tensor.name for tensor in model.graph.initializer}
    if f"{name}:scale" not in known:
        scale = np.asarray(max(peak / LARGEST[kind], np.finfo(dtype).tiny), dtype)
        _keep(model, f"{name}:scale", scale)
        model.graph.initializer.append(_zero(f"{name}:zero", (), kind))
    small, back = f"{value}:{name}:{kind}", f"{value}:{name}"
    inputs = [f"{name}:scale", f"{name}:zero"]
    nodes.append(helper.make_node("QuantizeLinear", [value, *inputs], [small]))
    nodes.append(helper.make_node("DequantizeLinear", [small, *inputs], [back]))
    return back


def _stored(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], product: WeightedProduct, kind: str
) -> str:
    """Weights in `kind` with a scale for each output channel, and the node that dequantises."""
    wide = product.weights.astype(np.float32)
    dtype = product.weights.dtype
    scale = np.maximum(np.abs(wide).max(0) / LARGEST[kind], np.finfo(dtype).tiny).astype(dtype)
    small = wide / scale.astype(np.float32)
    name = f"{product.name}:{kind}"
    if kind == "int8":
        array = np.clip(np.rint(small), -127, 127).astype(np.int8)
        tensor = numpy_helper.from_array(array, name)
    else:
        array = np.clip(small, -448.0, 448.0).astype(ml_dtypes.float8_e4m3fn)
        tensor = helper.make_tensor(name, STORED[kind], array.shape, array.tobytes(), raw=True)
    model.graph.initializer.append(tensor)
    _keep(model, f"{name}:scale", scale)
    model.graph.initializer.append(_zero(f"{name}:zero", scale.shape, kind))
    back = f"{name}:wide"
    inputs = [name, f"{name}:scale", f"{name}:zero"]
    nodes.append(helper.make_node("DequantizeLinear", inputs, [back], axis=1))
    return back


def _zero(name: str, shape: tuple[int, ...], kind: str) -> onnx.TensorProto:
    """Zero points: TensorRT knows symmetric scales only."""
    size = int(np.prod(shape, dtype=int))
    return helper.make_tensor(name, STORED[kind], shape, bytes(size), raw=True)


def _keep(model: onnx.ModelProto, name: str, array: NDArray[Any]) -> None:
    model.graph.initializer.append(numpy_helper.from_array(array, name))


def _weights(
    value: str, makers: Mapping[str, onnx.NodeProto], stored: Mapping[str, onnx.TensorProto]
) -> tuple[str, NDArray[Any]] | None:
    """Name and array of the weights behind a fixed value; None: small, or not to be quantised."""
    nodes: list[onnx.NodeProto] = []
    names: list[str] = []
    front = [value]
    while front:
        name = front.pop()
        if name in makers:
            nodes.insert(0, makers[name])
            front += makers[name].input
        elif name:
            names.append(name)
    own = [name for name in names if "." in name]  # constants have no dot in their names
    if len(own) != 1 or any(part in own[0] for part in KEPT):
        return None
    kept = [stored[name] for name in dict.fromkeys(names)]
    array = numpy_helper.to_array(stored[own[0]])
    if nodes:
        out = helper.make_tensor_value_info(value, TensorProto.UNDEFINED, None)
        graph = helper.make_graph(nodes, "weights", [], [out], kept)
        opset = [helper.make_opsetid("", OPSET)]
        (array,) = ReferenceEvaluator(helper.make_model(graph, opset_imports=opset)).run(None, {})
    if array.ndim != 2 or array.size < FEWEST:
        return None
    # Parts of one matrix are told apart by how they were cut, whatever the precision.
    cuts = [node.op_type for node in nodes] + [
        str(numpy_helper.to_array(tensor).tolist()) for tensor in kept if tensor.name != own[0]
    ]
    part = f":{zlib.crc32(' '.join(cuts).encode()):08x}" if nodes else ""
    return own[0] + part, array
