"""8 bits by explicit nodes: what is quantised, how much it differs, and whose ranges they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from diffposetalk.bundle import Bundle, load_bundle
from export.calibration import Calibration, calibrate
from export.onnx_export import ExportError, build_graphs, write_graphs
from export.parity import TOLERANCE, answer, babble, random_case
from export.qdq import LARGEST, products, quantised
from stream.backends.onnx_backend import OnnxBackend


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle("starter")


@pytest.fixture(scope="module")
def plain(bundle: Bundle) -> dict[str, onnx.ModelProto]:
    return build_graphs(bundle, [1], refer=False)


@pytest.fixture(scope="module")
def calibration(bundle: Bundle) -> Calibration:
    return calibrate(bundle, babble(16_000 * 4))


def test_the_large_products_are_quantised_by_measured_ranges(plain, calibration) -> None:
    assert calibration.source.startswith("4 s of speech, hop 2")
    for model in plain.values():
        found = products(model)
        assert {p.name for p in found} <= set(calibration.peaks)
        assert all(0.01 < calibration.peaks[p.name] < 1e3 for p in found)
        assert not any("motion_dec" in p.name or "feature_proj" in p.name for p in found)
        small = quantised(model, "int8", calibration.peaks)
        onnx.checker.check_model(small, full_check=True)
        kept = sum(node.op_type == "QuantizeLinear" for node in small.graph.node)
        assert kept >= len({p.name for p in found})
        # Weights in 8 bits, and no others left over.
        assert small.ByteSize() < 0.6 * model.ByteSize()


def test_ranges_hold_for_the_same_network_in_other_precisions(bundle, plain, calibration) -> None:
    for name, model in build_graphs(bundle, [1], precision="fp16", refer=False).items():
        assert [p.name for p in products(model)] == [p.name for p in products(plain[name])]
        onnx.checker.check_model(quantised(model, "fp8", calibration.peaks), full_check=True)


def test_weights_keep_a_scale_for_each_channel(plain, calibration) -> None:
    model = plain["sampler_1"]
    product = next(p for p in products(model) if p.name.endswith("linear1.weight.T"))
    small = quantised(model, "int8", calibration.peaks)
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in small.graph.initializer}
    scale = tensors[f"{product.name}:int8:scale"]
    assert scale.shape == (product.weights.shape[1],)
    back = tensors[f"{product.name}:int8"].astype(np.float32) * scale
    assert np.abs(back - product.weights).max() <= 0.51 * scale.max()
    step = tensors[f"{product.name}:in:scale"]
    np.testing.assert_allclose(step, calibration.peaks[product.name] / LARGEST["int8"], rtol=1e-5)


def test_int8_moves_like_fp32(bundle, plain, calibration, tmp_path: Path) -> None:
    graphs = {n: quantised(m, "int8", calibration.peaks) for n, m in plain.items()}
    write_graphs(tmp_path / "q", graphs, bundle, precision="int8")
    ours, theirs = OnnxBackend(bundle, tmp_path / "q"), OnnxBackend(bundle)
    case = random_case(bundle.spec, "adjacent", 4, 1)
    gap = answer(ours, case) - answer(theirs, case)
    assert 1e-4 < np.abs(gap).max() < TOLERANCE["int8"]
    assert np.sqrt((gap**2).mean()) < 0.05


def test_fp8_moves_like_fp32(bundle, plain, calibration) -> None:
    """As onnxruntime's CPU kernels round it; its own fusions know no fp8, so they are off."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    pcm = babble(640 * 4)[None]
    state = OnnxBackend(bundle).speech_state()
    feed: dict[str, Any] = {"pcm": pcm}
    feed |= {name: part[None] for name, part in state._asdict().items()}
    rows = []
    for model in (plain["speech"], quantised(plain["speech"], "fp8", calibration.peaks)):
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        rows.append(session.run(["features"], feed)[0])
    gap = rows[1] - rows[0]
    assert 1e-4 < np.sqrt((gap**2).mean()) < 0.1 * rows[0].std()


def test_what_cannot_be_calibrated_gets_one_line(bundle, plain) -> None:
    with pytest.raises(ExportError, match="2 s of speech"):
        calibrate(bundle, babble(16_000))
    with pytest.raises(ValueError, match="no calibrated range for"):
        quantised(plain["speech"], "int8", {})
