"""Graphs put together of traced pieces: steps unrolled or in a loop, nothing twice.

Equal nodes become one, so that the steps of a sampler share what does not change between them, and
what a loop does not change stands before it.  Weights are not copied where they can be referred to:
a bundle's graphs read them out of its own `model.safetensors`, which is an ONNX external data file
like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from diffposetalk.bundle.tensor_file import TensorFile
from export.graphs.trace import IR_VERSION, OPSET, Dims, Piece

FLOAT, FLOAT16, BFLOAT16 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16
INT64, BOOL = TensorProto.INT64, TensorProto.BOOL
STORED = {"F32": FLOAT, "F16": FLOAT16, "BF16": BFLOAT16}


class Graph:
    """One graph being put together; values are names.

    Args:
        weights: the file that holds the network.
        precision: element type of weights (FLOAT, FLOAT16 or BFLOAT16).
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
        self._body: list[onnx.NodeProto] | None = None  # nodes of the loop being written
        self._changing: set[str] = set()  # values that change from round to round
        self._count = 0

    def input(self, name: str, dims: Dims, kind: int = FLOAT) -> str:
        """An input, made once; dimensions by name are free."""
        if all(name != known.name for known in self._inputs):
            self._inputs.append(helper.make_tensor_value_info(name, kind, list(dims)))
        return name

    def output(self, name: str, value: str, dims: Dims, kind: int = FLOAT) -> None:
        """An output."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, kind, list(dims)))

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """A constant, kept once."""
        return self._array(np.asarray(value, dtype))

    def call(self, piece: Piece, values: Mapping[str, str]) -> dict[str, str]:
        """A piece's outputs by their names.

        Args:
            values: what goes in, by name; others stay out.  What is missing is an input of the
                graph, of the same name.
        """
        names = {"": ""}
        for name, each in piece.inputs.items():
            names[name] = values.get(name) or self.input(name, each.dims, each.kind)
        names |= {value: self._array(array) for value, array in piece.constants.items()}
        names |= {value: self._weight(name) for value, name in piece.weights.items()}
        for node in piece.nodes:
            made = self._node(node, [names[value] for value in node.input])
            names |= zip(node.output, made, strict=True)
        return {name: names[value] for name, value in piece.outputs.items()}

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output."""
        return self._node(helper.make_node(kind, inputs, ["out"], **attributes), inputs)[0]

    def loop(
        self, count: str, start: Sequence[str], step: Callable[[str, Sequence[str]], Sequence[str]]
    ) -> list[str]:
        """Run `step(i, values) -> values` for i in 0..count - 1 (scalars), from `start`, floats.

        What it makes is out of reach afterwards.
        """
        names = ["round", "going", *(f"carried{i}" for i in range(len(start)))]
        self._body, self._changing, seen = [], {*names}, dict(self._seen)
        after = step("round", names[2:])
        ends = ["goes_on", *(f"next{i}" for i in range(len(start)))]
        for end, value in zip(ends, ["going", *after], strict=True):
            self._body.append(helper.make_node("Identity", [value], [end]))
        kinds = [INT64, BOOL, *(FLOAT for _ in start)]
        scalars = {"round", "going", "goes_on"}
        body = helper.make_graph(
            self._body,
            "step",
            *(
                [
                    helper.make_tensor_value_info(n, k, [] if n in scalars else None)
                    for n, k in zip(own, kinds[len(kinds) - len(own) :], strict=True)
                ]
                for own in (names, ends)
            ),
        )
        self._seen = seen | {k: v for k, v in self._seen.items() if not self._changing & {*v}}
        self._body, self._changing = None, set()
        out = self._fresh(len(start))
        inputs = [count, self.constant(True, np.bool_), *start]
        self._nodes.append(helper.make_node("Loop", inputs, out, body=body))
        return out

    def model(self, name: str) -> onnx.ModelProto:
        """All of it that outputs follow from."""
        nodes = needed(self._nodes, {value.name for value in self._outputs})
        used = {value for node in nodes for value in reads(node)}
        kept = [tensor for key, tensor in self._initializers.items() if key in used]
        return helper.make_model(
            helper.make_graph(nodes, name, self._inputs, self._outputs, kept),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="posetalk",
        )

    # --- parts ---------------------------------------------------------------------------------
    def _node(self, node: onnx.NodeProto, inputs: Sequence[str]) -> list[str]:
        """The outputs of a node like this one with other inputs, made once."""
        if node.op_type == "Transpose" and inputs[0] in self._initializers:
            held = self._initializers[inputs[0]]
            if not self._external_weights and list(node.attribute[0].ints) == [1, 0]:
                array = np.ascontiguousarray(numpy_helper.to_array(held).T)
                return [self._array(array, f"{held.name}.T")]
        if node.op_type == "Slice" and list(inputs[1:3]) == self._everything():
            return [inputs[0]]
        own = onnx.NodeProto(op_type=node.op_type, domain=node.domain, input=inputs)
        own.attribute.extend(sorted(node.attribute, key=lambda each: each.name))
        key = (own.SerializeToString(deterministic=True), len(node.output))
        if key not in self._seen:
            own.output.extend(self._fresh(len(node.output)))
            changes = bool(self._changing.intersection(inputs))
            if changes:
                self._changing.update(own.output)
            nodes = self._body if changes and self._body is not None else self._nodes
            nodes.append(own)
            self._seen[key] = list(own.output)
        return self._seen[key]

    def _everything(self) -> list[str]:
        """Start and end of a slice that takes all there is."""
        return [self._array(np.array([end], np.int64)) for end in (0, np.iinfo(np.int64).max)]

    def _weight(self, name: str) -> str:
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
        return name if kind == self.precision else self.op("Cast", name, to=self.precision)

    def _array(self, array: NDArray[Any], name: str | None = None) -> str:
        key = name or ("constant", str(array.dtype), array.shape, array.tobytes())
        if key not in self._seen:
            made = name or f"c{len(self._initializers):x}"
            self._initializers[made] = numpy_helper.from_array(array, made)
            self._seen[key] = [made]
        return self._seen[key][0]

    def _fresh(self, count: int) -> list[str]:
        self._count += count
        return [f"v{self._count - count + i:x}" for i in range(count)]


def needed(nodes: Sequence[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    """The nodes that outputs follow from."""
    wanted, kept = set(wanted), []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(reads(node))
            kept.append(node)
    return kept[::-1]


def reads(node: onnx.NodeProto) -> set[str]:
    """The values that a node takes, those of a loop's body among them."""
    bodies = [each.g for each in node.attribute if each.HasField("g")]
    return {*node.input, *(value for g in bodies for inner in g.node for value in reads(inner))}


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write a model's file, with equal bytes for equal graphs."""
    path.write_bytes(model.SerializeToString(deterministic=True))


def _convert(array: NDArray[Any], kind: int) -> NDArray[Any]:
    """An array in the element type of a graph; integers stay."""
    if array.dtype.kind != "f":
        return array
    return array.astype(helper.tensor_dtype_to_np_dtype(kind))
