"""The style encoder against torch's own transformer encoder, quirk included."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from diffposetalk.network.style_encoder import StyleEncoder
from diffposetalk.spec import ModelSpec, StyleEncoderSpec

TINY = ModelSpec(style=StyleEncoderSpec(d_style=16, n_heads=2, n_layers=2))


def make(spec: ModelSpec = TINY) -> StyleEncoder:
    torch.manual_seed(0)
    return StyleEncoder(spec).eval()


def test_released_names_and_shapes() -> None:
    with torch.device("meta"):
        encoder = StyleEncoder(ModelSpec())
    layer = {
        "self_attn.in_proj_weight": (384, 128),
        "self_attn.in_proj_bias": (384,),
        "self_attn.out_proj.weight": (128, 128),
        "self_attn.out_proj.bias": (128,),
        "linear1.weight": (512, 128),
        "linear1.bias": (512,),
        "linear2.weight": (128, 512),
        "linear2.bias": (128,),
        "norm1.weight": (128,),
        "norm1.bias": (128,),
        "norm2.weight": (128,),
        "norm2.bias": (128,),
    }
    expected = {"motion_proj.weight": (128, 54), "motion_proj.bias": (128,)} | {
        f"transformer.layers.{i}.{name}": shape for i in range(4) for name, shape in layer.items()
    }
    assert {name: tuple(t.shape) for name, t in encoder.state_dict().items()} == expected


@pytest.mark.parametrize("head_rotation,count", [(True, 800_128), (False, 799_744)])
def test_released_parameter_count(head_rotation: bool, count: int) -> None:
    with torch.device("meta"):
        encoder = StyleEncoder(ModelSpec(head_rotation=head_rotation))
    assert sum(p.numel() for p in encoder.parameters()) == count


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 100, 599])
def test_it_is_the_encoder_of_torch_with_one_positional_row(frames: int) -> None:
    encoder = make()
    layer = nn.TransformerEncoderLayer(16, 2, 64, activation="gelu", batch_first=True)
    reference = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    reference.load_state_dict(encoder.transformer.state_dict())
    motion = torch.randn(2, frames, 54)
    row = torch.tensor(
        [
            (math.sin if i % 2 == 0 else math.cos)(frames * 10_000 ** (-(i - i % 2) / 16))
            for i in range(16)
        ]
    )
    expected = reference(encoder.motion_proj(motion) + row).mean(1)
    torch.testing.assert_close(encoder(motion), expected, rtol=0, atol=2e-5)


@torch.no_grad()
def test_the_order_of_frames_does_not_matter_but_their_number_does() -> None:
    encoder = make()
    motion = torch.randn(1, 60, 54)
    shuffled = motion[:, torch.randperm(60)]
    torch.testing.assert_close(encoder(shuffled), encoder(motion), rtol=0, atol=1e-5)
    twice = motion.repeat(1, 2, 1)  # the same mean, another row of the table
    assert (encoder(twice) - encoder(motion)).abs().max() > 1e-3


@pytest.mark.parametrize("frames", [0, 600])
def test_clip_length(frames: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 599 frames, not {frames}"):
        make()(torch.zeros(1, frames, 54))
