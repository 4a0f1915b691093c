"""A loop in a graph that is being written."""

from __future__ import annotations

from typing import cast

import numpy as np
import onnxruntime

from diffposetalk.bundle.tensor_file import TensorFile
from export.graphs.builder import FLOAT, INT64, Graph


def test_a_loop_declares_its_condition_a_scalar_and_pins_no_carried_shape() -> None:
    graph = Graph(cast(TensorFile, {}))
    count = graph.input("count", [], INT64)
    start = graph.input("start", ["n", 3])
    [end] = graph.loop(count, [start], lambda i, held: [held[0] * 2.0 + graph.cast(i, FLOAT)])
    graph.output("end", end, ["n", 3])
    model = graph.model("loop")
    [loop] = [node for node in model.graph.node if node.op_type == "Loop"]
    going, carried = [output.type.tensor_type for output in loop.attribute[0].g.output]
    assert going.HasField("shape") and not going.shape.dim
    assert not carried.HasField("shape"), "a scalar is another shape than (n, 3)"
    session = onnxruntime.InferenceSession(model.SerializeToString())
    [ended] = session.run(None, {"count": np.array(3), "start": np.ones((2, 3), np.float32)})
    np.testing.assert_array_equal(ended, np.full((2, 3), 12.0))  # ((1 * 2 + 0) * 2 + 1) * 2 + 2
