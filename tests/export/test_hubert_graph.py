"""HuBERT as a graph gives what transformers' model gives."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from bundles_for_export import PLAIN, save_random

from diffposetalk.bundle.tensor_file import TensorFile
from diffposetalk.spec import HubertSpec, LiveDefaults, ModelSpec, SpeechEncoderSpec
from export.graphs.hubert import hubert_graph
from export.onnx_export import export_onnx
from export.parity import TOLERANCE, answer, random_case
from stream.backends.onnx.backend import OnnxBackend
from stream.backends.torch_backend import TorchBackend

SIZES = HubertSpec(
    n_layers=2, n_heads=4, d_hidden=64, d_conv=16, position_kernel=32, position_groups=8
)


def test_a_small_hubert_is_the_same_at_every_length(tmp_path: Path) -> None:
    speech = SpeechEncoderSpec(kind="hubert", d_out=48, hubert=SIZES)
    spec = dataclasses.replace(PLAIN, speech=speech)
    bundle = save_random(tmp_path / "bundle", spec)
    model = bundle.model()
    weights = TensorFile(bundle.folder / "model.safetensors")
    session = onnxruntime.InferenceSession(
        hubert_graph(spec, weights, external_weights=False).SerializeToString()
    )
    for batch, frames in ((1, 1), (3, 7), (2, 40)):
        pcm = torch.randn(batch, 640 * frames)
        with torch.no_grad():
            expected = model.speech_features(pcm).numpy()
        (ours,) = session.run(None, {"pcm": pcm.numpy()})
        assert ours.shape == (batch, frames, spec.denoiser.d_model)
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(ours, expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_an_official_size_bundle_agrees(tmp_path: Path) -> None:
    """HuBERT base and 8 layers of 512, three branches, both window rules."""
    live = LiveDefaults(steps=2, window_rule="sliding")
    bundle = save_random(tmp_path / "official", ModelSpec(live=live), half=True)
    export_onnx(bundle, (2,))
    reference, other = TorchBackend(bundle, threads=2), OnnxBackend(bundle, threads=2)
    assert not other.incremental
    for rule, batch in (("sliding", 1), ("adjacent", 2)):
        case = random_case(bundle.spec, rule, batch, 2, scales=(1.15, 3.0))
        ours, theirs = answer(other, case), answer(reference, case)
        assert np.abs(theirs).max() > 0.1
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE["fp32"])
