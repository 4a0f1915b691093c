"""Hops of many streams in one graph, whose states lie in slots: one tensor a state, (slots, ...).

What is new in a round comes as one matrix, so that it crosses to the device in one copy.  The graph
gathers the states of the slots that the matrix names, makes their hops (`export.graphs.hop`), and
scatters the states back.  The memory of an input pool may be that of its output: no other node
reads a pool than the gathering one, and what is scattered follows from what was gathered.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import helper

from diffposetalk.bundle.tensor_file import TensorFile
from diffposetalk.spec import ModelSpec
from export.graphs.builder import BOOL, FLOAT, INT64, IR_VERSION, OPSET, Graph, Value
from export.graphs.hop import write_hop
from stream.backends.slots.hop_slots import row_parts, row_width

BRANCHES = ("branch_gives", "branch_weights")


def round_graph(
    spec: ModelSpec,
    weights: TensorFile,
    steps: int,
    *,
    precision: int = FLOAT,
    external_weights: bool = True,
) -> onnx.ModelProto:
    """The graph of one hop of B streams of S slots, at the live defaults' H, R and window rule.

    Inputs: fresh (B, W) float32, laid out by `row_parts`; the states of `hop_graph` with S in the
    place of B; branch_gives and branch_weights, where `hop_graph` has them.
    Outputs: new_motion (B, H, D), and the states after the hop, next_*, with S likewise.

    Raises:
        ValueError: a network that cannot be exported.
    """
    g = _RoundGraph(spec, weights, precision, external_weights)
    write_hop(g, spec, steps)
    return g.model(f"round_{steps}")


class _RoundGraph(Graph):
    """A graph of a hop whose inputs are columns of `fresh` or gathered, and outputs scattered."""

    def __init__(
        self, spec: ModelSpec, weights: TensorFile, precision: int, external_weights: bool
    ) -> None:
        super().__init__(weights, precision, external_weights=external_weights)
        self._parts = row_parts(spec, spec.live.hop)
        self._pools: dict[str, Value] = {}
        self._fresh = super().input("fresh", ["batch", row_width(self._parts)])
        slot = self.slice(self._fresh, 0, 1, 1)
        self._at = self.cast(slot, INT64)  # (B, 1)
        self._slots = self.reshape(self._at, -1)

    def input(self, name: str, dims: Sequence[int | str], kind: int = FLOAT) -> Value:
        if name in BRANCHES:
            return super().input(name, dims, kind)
        if name in self._parts:
            columns, shape = self._parts[name]
            part = self.slice(self._fresh, columns.start, columns.stop, 1)
            return part if len(shape) == 1 else self.reshape(part, -1, *shape)
        pool = self._pools[name] = super().input(name, ["slots", *dims[1:]], kind)
        return self.op("Gather", pool, self._slots, axis=0)

    def output(self, name: str, value: Value, dims: Sequence[int | str], kind: int = FLOAT) -> None:
        if not name.startswith("next_"):
            super().output(name, value, dims, kind)
            return
        pool = self._pools[name.removeprefix("next_")]
        # No Identity behind it: the pool's own memory is written into.
        names = [pool.name, self._at.name, self.cast(value, kind).name]
        self._nodes.append(helper.make_node("ScatterND", names, [name]))
        self._outputs.append(helper.make_tensor_value_info(name, kind, ["slots", *dims[1:]]))


def slots_graph(round_model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph that takes the state in one slot out, and may put another in.

    Inputs: the states of a round's graph; slot (1,) int64; write (1,) bool, whether to put in; and
    put_* (1, ...), what.  Outputs: own_* (1, ...), what was there, and the states after, next_*.
    """
    inputs = [
        helper.make_tensor_value_info("slot", INT64, [1]),
        helper.make_tensor_value_info("write", BOOL, [1]),
    ]
    outputs, nodes = [], [helper.make_node("Unsqueeze", ["slot", "one"], ["at"])]
    for value in round_model.graph.input:
        name, kind = value.name, value.type.tensor_type.elem_type
        sizes = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        if sizes[0] != "slots":
            continue
        row = [1, *sizes[1:]]
        inputs += [value, helper.make_tensor_value_info(f"put_{name}", kind, row)]
        outputs.append(helper.make_tensor_value_info(f"own_{name}", kind, row))
        outputs.append(helper.make_tensor_value_info(f"next_{name}", kind, sizes))
        chosen, own = f"chosen_{name}", f"own_{name}"
        nodes += [
            helper.make_node("Gather", [name, "slot"], [own], axis=0),
            helper.make_node("Where", ["write", f"put_{name}", own], [chosen]),
            helper.make_node("ScatterND", [name, "at", chosen], [f"next_{name}"]),
        ]
    one = helper.make_tensor("one", INT64, [1], [1])
    return helper.make_model(
        helper.make_graph(nodes, "slots", inputs, outputs, [one]),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="posetalk",
    )
