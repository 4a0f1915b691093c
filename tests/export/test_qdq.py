"""8 bits by explicit nodes: what is quantised, how much it differs, and whose ranges they are."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from benchmarks.quality.eight_bits import losses
from diffposetalk.bundle.bundle import Bundle, load_bundle
from export.calibration import Calibration, calibrate
from export.onnx_export import ExportError, build_graphs
from export.parity import TOLERANCE, babble
from export.qdq import LARGEST, products, quantised


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle("starter")


@pytest.fixture(scope="module")
def plain(bundle: Bundle) -> dict[str, onnx.ModelProto]:
    return build_graphs(bundle, [1], external_weights=False)


@pytest.fixture(scope="module")
def calibration(bundle: Bundle) -> Calibration:
    return calibrate(bundle, babble(16_000 * 4))


def test_the_large_products_are_quantised_by_measured_ranges(bundle, plain, calibration) -> None:
    assert calibration.source.startswith(f"4 s of speech, hop {bundle.spec.live.hop}")
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
    for name, model in build_graphs(bundle, [1], precision="fp16", external_weights=False).items():
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


def test_both_move_like_fp32(bundle) -> None:
    """The starter's own hop, and a closed loop on speech that the ranges do not come from."""
    int8, fp8 = losses(bundle, babble(16_000 * 12))
    assert (int8.precision, fp8.precision) == ("int8", "fp8")
    assert 1e-3 < int8.rms < 0.05 and int8.largest < TOLERANCE["int8"]
    assert 1e-3 < fp8.rms < 0.1 and fp8.largest < 2 * TOLERANCE["int8"]
    for loss in (int8, fp8):  # seconds differ by chance as well: a blink more or less
        assert 0.7 < loss.spread < 1.4 and 0.7 < loss.speed < 1.4


def test_what_cannot_be_calibrated_gets_one_line(bundle, plain) -> None:
    with pytest.raises(ExportError, match="2 s of speech"):
        calibrate(bundle, babble(16_000))
    with pytest.raises(ValueError, match="no calibrated range for"):
        quantised(plain["speech"], "int8", {})
