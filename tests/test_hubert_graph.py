"""HuBERT as a graph gives what transformers' model gives."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from bundles_for_export import save_random
from safetensors.torch import save_file

from diffposetalk.hubert import build_hubert, hubert_features
from diffposetalk.spec import LiveDefaults, ModelSpec, SpeechEncoderSpec
from diffposetalk.tensor_file import TensorFile
from export.hubert_graph import hubert_graph
from export.onnx_export import export_onnx
from export.parity import TOLERANCE, answer, random_case
from stream.backends.onnx_backend import OnnxBackend
from stream.backends.torch_backend import TorchBackend

SMALL = {
    "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "conv_dim": (16,) * 7,
}  # fmt: skip


def test_a_small_hubert_is_the_same_at_every_length(tmp_path: Path) -> None:
    torch.manual_seed(0)
    hubert = build_hubert(48, **SMALL).eval()
    to_model = torch.nn.Linear(48, 24)
    tensors = {f"audio_encoder.{name}": value for name, value in hubert.state_dict().items()}
    tensors |= {f"audio_feature_map.{n}": value for n, value in to_model.state_dict().items()}
    for name, value in tensors.items():  # none of its parameters zero or one
        tensors[name] = (value + 0.1 * torch.randn_like(value)).contiguous()
    hubert.load_state_dict({n[14:]: v for n, v in tensors.items() if n[:14] == "audio_encoder."})
    to_model.load_state_dict({n[18:]: v for n, v in tensors.items() if "feature_map" in n})
    path = tmp_path / "model.safetensors"
    save_file(tensors, path)
    spec = dataclasses.replace(ModelSpec(), speech=SpeechEncoderSpec(kind="hubert", d_out=48))
    graph = hubert_graph(spec, TensorFile(path), refer=False, heads=4)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    for batch, frames in ((1, 1), (3, 7), (2, 40)):
        pcm = torch.randn(batch, 640 * frames)
        with torch.no_grad():
            expected = to_model(hubert_features(hubert, pcm)).numpy()
        (ours,) = session.run(None, {"pcm": pcm.numpy()})
        assert ours.shape == (batch, frames, 24)
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
