"""The hubert front end: padding, rate and pairing as released, on a small HuBERT."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from diffposetalk.network.hubert import build_hubert, hubert_features, normalise_clip, pad_pcm


@pytest.fixture(scope="module")
def hubert() -> nn.Module:
    torch.manual_seed(0)
    return build_hubert(
        32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        conv_dim=(16,) * 7,
        num_conv_pos_embedding_groups=4,
    ).eval()


def test_padding_reflects_twice() -> None:
    pcm = torch.arange(1280.0)[None]
    padded = pad_pcm(pcm)[0]
    left = [*range(0, 21), *range(19, 0, -1)]  # x0 .. x20 .. x1, then x0, x1, ...
    assert padded[:40].tolist() == left
    assert padded[40:-40].tolist() == pcm[0].tolist()
    assert padded[-40:].flip(0).tolist() == [1279 - x for x in left]


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 2, 10, 25])
def test_one_feature_per_motion_frame(hubert: nn.Module, frames: int) -> None:
    pcm = torch.randn(2, 640 * frames)
    assert hubert(pad_pcm(pcm)).last_hidden_state.shape == (2, 2 * frames, 32)
    assert hubert_features(hubert, pcm).shape == (2, frames, 32)


@torch.no_grad()
def test_pair_mean_is_the_released_interpolation(hubert: nn.Module) -> None:
    pcm = torch.randn(1, 640 * 8)
    hidden = hubert(pad_pcm(pcm)).last_hidden_state
    expected = F.interpolate(hidden.mT, size=8, mode="linear", align_corners=False).mT
    torch.testing.assert_close(hubert_features(hubert, pcm), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("samples", [0, 639, 641])
def test_whole_frames_only(hubert: nn.Module, samples: int) -> None:
    with pytest.raises(ValueError, match=f"{samples} samples are not whole frames of 640"):
        hubert_features(hubert, torch.zeros(1, samples))


def test_clip_normalisation_is_unbiased() -> None:
    pcm = torch.tensor([[1.0, 3.0, 5.0, 7.0]])
    expected = (pcm - 4.0) / (20.0 / 3.0) ** 0.5
    torch.testing.assert_close(normalise_clip(pcm), expected, rtol=1e-4, atol=0)
    assert normalise_clip(torch.zeros(1, 8)).abs().max() == 0.0


def test_released_names_and_shapes() -> None:
    """The 211 tensors of HuBERT base, under transformers' names."""
    with torch.device("meta"):
        tensors = {name: tuple(t.shape) for name, t in build_hubert().state_dict().items()}
    expected: dict[str, tuple[int, ...]] = {
        "masked_spec_embed": (768,),
        "feature_extractor.conv_layers.0.conv.weight": (512, 1, 10),
        "feature_extractor.conv_layers.0.layer_norm.weight": (512,),
        "feature_extractor.conv_layers.0.layer_norm.bias": (512,),
        "feature_projection.layer_norm.weight": (512,),
        "feature_projection.layer_norm.bias": (512,),
        "feature_projection.projection.weight": (768, 512),
        "feature_projection.projection.bias": (768,),
        "encoder.pos_conv_embed.conv.bias": (768,),
        "encoder.pos_conv_embed.conv.parametrizations.weight.original0": (1, 1, 128),
        "encoder.pos_conv_embed.conv.parametrizations.weight.original1": (768, 48, 128),
        "encoder.layer_norm.weight": (768,),
        "encoder.layer_norm.bias": (768,),
    }
    for i in range(1, 7):
        kernel = 3 if i < 5 else 2
        expected[f"feature_extractor.conv_layers.{i}.conv.weight"] = (512, 512, kernel)
    for i in range(12):
        layer = f"encoder.layers.{i}"
        for part in "qkv":
            expected[f"{layer}.attention.{part}_proj.weight"] = (768, 768)
            expected[f"{layer}.attention.{part}_proj.bias"] = (768,)
        expected[f"{layer}.attention.out_proj.weight"] = (768, 768)
        expected[f"{layer}.attention.out_proj.bias"] = (768,)
        for norm in ("layer_norm", "final_layer_norm"):
            expected[f"{layer}.{norm}.weight"] = expected[f"{layer}.{norm}.bias"] = (768,)
        expected[f"{layer}.feed_forward.intermediate_dense.weight"] = (3072, 768)
        expected[f"{layer}.feed_forward.intermediate_dense.bias"] = (3072,)
        expected[f"{layer}.feed_forward.output_dense.weight"] = (768, 3072)
        expected[f"{layer}.feed_forward.output_dense.bias"] = (768,)
    assert tensors == expected
