"""A torch module as a piece of a graph: `torch.onnx.export`, and what runtimes want of its answer.

A piece is a small ONNX model whose weights are names: `export.graphs.assembly` puts the bundle's
own in their places.  It depends on shapes alone, not on what the weights are.
"""

from __future__ import annotations

import contextlib
import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx_ir
import torch
from numpy.typing import NDArray
from onnx import helper
from onnx_ir.passes import common
from onnxscript import opset20 as op
from onnxscript.optimizer import fold_constants
from torch import Tensor, nn

OPSET, IR_VERSION = 20, 10
"""Oldest with Gelu; read by onnxruntime 1.17 and TensorRT 10."""

SMALL = 1024
"""Elements of a constant that is worked out now; what is larger stays in the graph as its recipe,
so that graphs are small files (runtimes work it out when they load)."""

Dims = Sequence[int | str]
"""Dimensions; by name or as a multiple of one (`640*frames`): free."""


class Input(NamedTuple):
    """What goes into a module: an example, and its dimensions."""

    example: Tensor
    dims: Dims

    @property
    def kind(self) -> int:
        """Its element type."""
        return int(helper.np_dtype_to_tensor_dtype(self.example.numpy().dtype))


@dataclass(frozen=True)
class Piece:
    """A traced module.

    Attributes:
        nodes: in order, attributes inside; their inputs and outputs are names of values.
        inputs: by name, which is that of the value.
        outputs: names of values by the names of outputs.
        constants: by name.
        weights: names of values that are parameters or buffers of the bundle, by name there.
    """

    nodes: Sequence[onnx.NodeProto]
    inputs: Mapping[str, Input]
    outputs: Mapping[str, str]
    constants: Mapping[str, NDArray[Any]]
    weights: Mapping[str, str]


def trace(module: nn.Module, inputs: Mapping[str, Input], outputs: Sequence[str]) -> Piece:
    """A module as a piece.

    Args:
        module: its tensors that a bundle stores are those of its member `model`.
        inputs: in the module's order.
        outputs: their names; one may be called as an input is.

    Raises:
        AssertionError: a free dimension came out as the example's own.
    """
    made = {name: f"{name}:out" for name in outputs}
    free: dict[str, Any] = {}

    def size(dim: str) -> Any:
        times, _, name = dim.rpartition("*")
        known = free.setdefault(name, torch.export.Dim(name, min=1))
        return int(times) * known if times else known

    shapes = {
        key: {axis: size(dim) for axis, dim in enumerate(dims) if isinstance(dim, str)}
        for key, (_, dims) in inputs.items()
    }
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            kwargs={key: example for key, (example, _) in inputs.items()},
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=list(inputs),
            output_names=list(made.values()),
            opset_version=OPSET,
            optimize=False,
            verbose=False,
            custom_translation_table={
                torch.ops.aten.scaled_dot_product_attention.default: _attention
            },
        )
    assert program is not None
    for value in program.model.graph.inputs:
        assert value.name is not None and value.shape is not None
        fixed = [axis for axis in shapes[value.name] if isinstance(value.shape[axis], int)]
        assert not fixed, f"dimensions {fixed} of {value.name} came out as the example's"
    stored = set(module.state_dict())
    _fold(program.model, stored)
    _fix_shapes(program.model)
    weights, constants = {}, {}
    for name, value in list(program.model.graph.initializers.items()):
        if name in stored:
            weights[name] = name.removeprefix("model.")
        else:
            constants[name] = value.const_value.numpy()
    nodes = []
    for node in program.model.graph:
        if node.op_type == "Constant":
            constants[node.outputs[0].name] = node.outputs[0].const_value.numpy()
            continue
        node.metadata_props.clear()
        node.doc_string = None
        nodes.append(onnx_ir.to_proto(node))
    return Piece(nodes, inputs, made, constants, weights)


def _fold(model: Any, stored: set[str]) -> None:
    """Work out small constants; whatever follows from weights is left to whoever has them.

    Not the exporter's own optimisation: that takes weights that begin alike for one weight.
    """
    common.InlinePass()(model)
    fold_constants(
        model,
        input_size_limit=SMALL,
        output_size_limit=SMALL,
        should_fold=lambda node: (
            False if stored & {value.name for value in node.inputs if value} else None
        ),
    )
    common.RemoveUnusedNodesPass()(model)


def _attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Softmax attention without a mask, as the fewest operators.

    torch's own translation scales query and key both, by numbers that it works out in the graph,
    and transposes the key by way of two reshapes.
    """
    assert attn_mask is None and not is_causal and not enable_gqa
    size = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    scaled = op.Mul(query, op.CastLike(op.Constant(value_float=size), query))
    scores = op.MatMul(scaled, op.Transpose(key, perm=[0, 1, 3, 2]))
    return op.MatMul(op.Softmax(scores, axis=-1), value)


def _fix_shapes(model: Any) -> None:
    """Reshape by constants where all but one dimension is known or kept.

    torch writes each free dimension out, and what works it out costs more than the reshape.
    """
    graph = model.graph
    for node in list(graph):
        if node.op_type != "Reshape" or node.inputs[1].const_value is not None:
            continue
        before, after = node.inputs[0].shape, node.outputs[0].shape
        if before is None or after is None:
            continue
        target = [
            size
            if isinstance(size, int)
            else 0
            if axis < len(before) and str(size) == str(before[axis])
            else -1
            for axis, size in enumerate(after)
        ]
        if target.count(-1) > 1 or any(str(size) == "None" for size in after):
            continue
        name = f"{node.outputs[0].name}_shape"
        value = onnx_ir.Value(name=name, const_value=onnx_ir.tensor(np.array(target), name=name))
        graph.register_initializer(value)
        node.replace_input_with(1, value)
        node.attributes.pop("allowzero", None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's advice, which is for those who write models."""
    logs = [logging.getLogger(name) for name in ("torch.onnx", "torch.__trace")]
    levels = [log.level for log in logs]
    try:
        for log in logs:
            log.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
