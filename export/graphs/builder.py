"""Writing an ONNX graph: values with operators, weights by name, nothing twice.

Equal nodes become one (the steps of a sampler are unrolled, and share what does not change between
them), and weights are not copied where they can be referred to: a bundle's graphs read them out of
its own `model.safetensors`, which is an ONNX external data file like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from diffposetalk.bundle.tensor_file import TensorFile

OPSET, IR_VERSION = 20, 10
"""Oldest with Gelu; read by onnxruntime 1.17 and TensorRT 10."""

FLOAT, FLOAT16, BFLOAT16 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16
INT64, BOOL = TensorProto.INT64, TensorProto.BOOL
STORED = {"F32": FLOAT, "F16": FLOAT16, "BF16": BFLOAT16}


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: its name and element type."""

    graph: Graph
    name: str
    kind: int

    def __add__(self, other: Value | float) -> Value:
        return self.graph.op("Add", self, self.graph.like(other, self))

    def __sub__(self, other: Value | float) -> Value:
        return self.graph.op("Sub", self, self.graph.like(other, self))

    def __mul__(self, other: Value | float) -> Value:
        return self.graph.op("Mul", self, self.graph.like(other, self))

    def __truediv__(self, other: Value | float) -> Value:
        return self.graph.op("Div", self, self.graph.like(other, self))

    def __matmul__(self, other: Value) -> Value:
        return self.graph.op("MatMul", self, other)

    def __lt__(self, other: Value) -> Value:
        return self.graph.op("Less", self, other, kind=BOOL)

    def __gt__(self, other: Value | float) -> Value:
        return self.graph.op("Greater", self, self.graph.like(other, self), kind=BOOL)


class Graph:
    """One graph being written.

    Args:
        weights: the file that holds the network.
        precision: element type of weights and activations (FLOAT, FLOAT16 or BFLOAT16).
        external_weights: leave the weights where they lie (and convert them in the graph) instead
            of copying them into it.
    """

    def __init__(
        self, weights: TensorFile, precision: int = FLOAT, *, external_weights: bool = True
    ) -> None:
        self.weights, self.precision, self._external_weights = weights, precision, external_weights
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._seen: dict[Any, list[str]] = {}
        self._fixed: set[str] = set()  # values that follow from weights and constants alone
        self._body: list[onnx.NodeProto] | None = None  # nodes of the loop being written
        self._count = 0

    # --- what goes in and out ------------------------------------------------------------------
    def input(self, name: str, dims: Sequence[int | str], kind: int = FLOAT) -> Value:
        """An input; dimensions by name are free."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, list(dims)))
        return Value(self, name, kind)

    def output(self, name: str, value: Value, dims: Sequence[int | str], kind: int = FLOAT) -> None:
        """An output, converted to `kind`."""
        self._nodes.append(helper.make_node("Identity", [self.cast(value, kind).name], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, kind, list(dims)))

    def constant(self, value: Any, dtype: Any = np.float32) -> Value:
        """A small constant, kept once; floats take the graph's precision by `like`."""
        return self._array(np.asarray(value, dtype))

    def like(self, value: Value | float, other: Value) -> Value:
        """A number in the element type of `other`; values as they are."""
        if isinstance(value, Value):
            return value
        if other.kind == INT64:
            return self.constant(value, np.int64)
        return self.cast(self.constant(value), other.kind)

    def weight(self, name: str) -> Value:
        """A tensor of the network, in the graph's precision."""
        place = self.weights[name]
        if not self._external_weights:
            return self._array(_convert(self.weights.read(name), self.precision), name)
        kind = STORED[place.dtype]
        if name not in self._initializers:
            tensor = TensorProto(name=name, data_type=kind, dims=place.shape)
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (
                ("location", self.weights.path.name),
                ("offset", str(place.offset)),
                ("length", str(place.length)),
            ):
                tensor.external_data.add(key=key, value=value)
            self._initializers[name] = tensor
        return self.cast(Value(self, name, kind), self.precision)

    def transposed(self, name: str) -> Value:
        """A (out, in) matrix of the network as (in, out)."""
        if self._external_weights:
            return self.op("Transpose", self.weight(name), perm=[1, 0])
        array = _convert(self.weights.read(name).T, self.precision)
        return self._array(np.ascontiguousarray(array), f"{name}.T")

    # --- nodes ---------------------------------------------------------------------------------
    def op(
        self, kind_of_node: str, *inputs: Value | None, kind: int | None = None, **attributes: Any
    ) -> Value:
        """A node with one output, of the element type `kind` (default: its first input's)."""
        return self.ops(kind_of_node, *inputs, count=1, kind=kind, **attributes)[0]

    def ops(
        self,
        kind_of_node: str,
        *inputs: Value | None,
        count: int,
        kind: int | None = None,
        **attributes: Any,
    ) -> list[Value]:
        """A node with `count` outputs."""
        names = [value.name if value else "" for value in inputs]
        if kind is None:
            assert inputs[0] is not None
            kind = inputs[0].kind
        key = (kind_of_node, *names, count, repr(sorted(attributes.items())))
        if key not in self._seen:
            made = []
            for _ in range(count):
                made.append(f"v{self._count:x}")
                self._count += 1
            fixed = bool(names) and all(n in self._fixed or n in self._initializers for n in names)
            if fixed:
                self._fixed.update(made)
            nodes = self._nodes if self._body is None or fixed else self._body
            nodes.append(helper.make_node(kind_of_node, names, made, **attributes))
            self._seen[key] = made
        return [Value(self, name, kind) for name in self._seen[key]]

    def cast(self, value: Value, kind: int) -> Value:
        """The value in another element type."""
        return value if value.kind == kind else self.op("Cast", value, kind=kind, to=kind)

    def concat(self, *values: Value, axis: int) -> Value:
        """Values joined along an axis."""
        return values[0] if len(values) == 1 else self.op("Concat", *values, axis=axis)

    def reshape(self, value: Value, *dims: int) -> Value:
        """Reshape to dimensions known now; 0 keeps one, -1 is what is left."""
        return self.op("Reshape", value, self.constant(dims, np.int64))

    def transpose(self, value: Value, *perm: int) -> Value:
        """Axes in another order."""
        return self.op("Transpose", value, perm=list(perm))

    def slice(
        self, value: Value, start: int | Value, stop: int | Value | None, axis: int, step: int = 1
    ) -> Value:
        """Entries [start, stop) along an axis."""
        last = np.iinfo(np.int64).max if stop is None else stop
        ends = [
            end if isinstance(end, Value) else self.constant([end], np.int64)
            for end in (start, last)
        ]
        steps = [self.constant([step], np.int64)] if step != 1 else []
        return self.op("Slice", value, *ends, self.constant([axis], np.int64), *steps)

    def size(self, value: Value, axis: int) -> Value:
        """The size of one dimension, (1,) int64."""
        return self.op("Shape", value, kind=INT64, start=axis, end=axis + 1)

    def count_up(self, size: Value) -> Value:
        """0, 1, ... size - 1 for a size (1,) int64."""
        limit = self.op("Squeeze", size, self.constant([0], np.int64))
        return self.op("Range", self.constant(0, np.int64), limit, self.constant(1, np.int64))

    def unsqueeze(self, value: Value, *axes: int) -> Value:
        """Dimensions of 1 put in at `axes`."""
        return self.op("Unsqueeze", value, self.constant(axes, np.int64))

    def where(self, condition: Value, this: Value, other: Value) -> Value:
        """Choose entry by entry."""
        return self.op("Where", condition, this, other, kind=this.kind)

    def reduce(self, how: str, value: Value, *axes: int, keep: bool = False) -> Value:
        """`ReduceSum`, `ReduceMin`, ... over axes."""
        return self.op(how, value, self.constant(axes, np.int64), keepdims=int(keep))

    def loop(
        self,
        count: Value,
        start: Sequence[Value],
        step: Callable[[Value, Sequence[Value]], Sequence[Value]],
    ) -> list[Value]:
        """Run `step(i, values) -> values` for i in 0..count - 1, from `start`.

        Args:
            count: int64 scalar.
            step: writes one round; what it makes is out of reach afterwards.
        """
        names = ["round", "going", *(f"carried{i}" for i in range(len(start)))]
        self._body = []
        seen = dict(self._seen)
        carried = [Value(self, n, v.kind) for n, v in zip(names[2:], start, strict=True)]
        after = step(Value(self, "round", INT64), carried)
        ends = ["goes_on", *(f"next{i}" for i in range(len(start)))]
        self._body.append(helper.make_node("Identity", ["going"], ["goes_on"]))
        for end, value in zip(ends[1:], after, strict=True):
            self._body.append(helper.make_node("Identity", [value.name], [end]))
        kinds = [INT64, BOOL, *(value.kind for value in start)]
        body = helper.make_graph(
            self._body,
            "step",
            [
                helper.make_tensor_value_info(n, k, [] if n in names[:2] else None)
                for n, k in zip(names, kinds, strict=True)
            ],
            [
                helper.make_tensor_value_info(n, k, [] if n == "goes_on" else None)
                for n, k in zip(ends, kinds[1:], strict=True)
            ],
        )
        self._body = None
        # What the round made is not visible outside, except what went to the graph itself.
        self._seen = seen | {
            key: made
            for key, made in self._seen.items()
            if made[0] in self._fixed or made[0] in self._initializers
        }
        out = [f"v{self._count + i:x}" for i in range(len(start))]
        self._count += len(start)
        inputs = [count.name, self.constant(True, np.bool_).name, *(v.name for v in start)]
        self._nodes.append(helper.make_node("Loop", inputs, out, body=body))
        return [Value(self, name, v.kind) for name, v in zip(out, start, strict=True)]

    # --- layers of networks --------------------------------------------------------------------
    def linear(self, x: Value, name: str, bias: str | None = None) -> Value:
        """`nn.Linear` called `name`; parameters named otherwise are given by their full names."""
        matrix, bias = (f"{name}.weight", f"{name}.bias") if bias is None else (name, bias)
        return x @ self.transposed(matrix) + self.weight(bias)

    def layer_norm(self, x: Value, name: str) -> Value:
        """`nn.LayerNorm` over the last dimension."""
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-5)

    def gelu(self, x: Value) -> Value:
        """Exact (erf) GELU."""
        return self.op("Gelu", x)

    # --- the model -----------------------------------------------------------------------------
    def model(self, name: str) -> onnx.ModelProto:
        """All of it."""
        graph = helper.make_graph(
            self._nodes, name, self._inputs, self._outputs, list(self._initializers.values())
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="posetalk",
        )

    def _array(self, array: NDArray[Any], name: str | None = None) -> Value:
        key = name or ("constant", str(array.dtype), array.shape, array.tobytes())
        if key not in self._seen:
            made = name or f"c{len(self._initializers):x}"
            self._initializers[made] = numpy_helper.from_array(array, made)
            self._seen[key] = [made]
        made = self._seen[key][0]
        return Value(self, made, self._initializers[made].data_type)


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write a model's file, with equal bytes for equal graphs."""
    path.write_bytes(model.SerializeToString(deterministic=True))


def _convert(array: NDArray[Any], kind: int) -> NDArray[Any]:
    """An array in the element type of a graph; integers stay."""
    if array.dtype.kind != "f":
        return array
    return array.astype(helper.tensor_dtype_to_np_dtype(kind))
