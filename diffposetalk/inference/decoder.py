"""The denoiser's layers for inference, laid out for speed; the same numbers to rounding.

They take the places of `audio_terms.DecoderLayer` inside a `Denoiser`, which does not notice.
The stream between the layers, norms and softmax stay in float32; products are in the precision.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffposetalk.inference.packed_linear import PackedLinear, attend
from diffposetalk.network.audio_terms import AudioTerms, CrossAttention, DecoderLayer


class FastLayer(nn.Module):
    """A decoder layer whose products are laid out for `dtype`.

    Args:
        layer: whose weights it takes.
        last: whether it is the last one, which is asked for some of its rows only.

    Raises:
        ValueError: real cross-attention (an alignment mask of another width than 1).
    """

    def __init__(self, layer: DecoderLayer, dtype: torch.dtype, *, last: bool) -> None:
        super().__init__()
        own, d = layer.self_attn, layer.norm1.normalized_shape[0]
        weight, bias = own.in_proj_weight, own.in_proj_bias
        self.heads = own.n_heads
        self.last = last
        cut = d if last else 3 * d
        self.inputs = PackedLinear(weight[:cut], bias[:cut], dtype)
        self.memory = PackedLinear(weight[d:], bias[d:], dtype) if last else None
        self.out = PackedLinear.of(own.out_proj, dtype)
        self.multihead_attn = FastCrossAttention(layer.multihead_attn, dtype)
        self.widen = PackedLinear.of(layer.linear1, dtype, gelu=True)
        self.narrow = PackedLinear.of(layer.linear2, dtype)
        self.norm1, self.norm2, self.norm3 = layer.norm1, layer.norm2, layer.norm3

    def forward(
        self, x: Tensor, terms: AudioTerms, layer: int, first: int, allowed: Tensor | None
    ) -> Tensor:
        """As `DecoderLayer.forward`: tokens (B, N, d) -> (B, N - first, d)."""
        if self.memory is None:
            query, key, value = self.inputs(x).chunk(3, -1)
            query = query[:, first:]
        else:
            query = self.inputs(x[:, first:])
            key, value = self.memory(x).chunk(2, -1)
        x = self.norm1(x[:, first:] + self.out(attend(query, key, value, self.heads)))
        x = self.norm2(x + self.multihead_attn.read(x, terms, layer, first))
        return self.norm3(x + self.narrow(self.widen(x)))


class FastCrossAttention(nn.Module):
    """`CrossAttention` under an alignment mask of width 1."""

    def __init__(self, attention: CrossAttention, dtype: torch.dtype) -> None:
        super().__init__()
        d = attention.out_proj.in_features
        weight, bias = attention.in_proj_weight, attention.in_proj_bias
        self.heads = attention.n_heads
        self.query = PackedLinear(weight[:d], bias[:d], dtype)
        self.memory = PackedLinear(weight[d:], bias[d:], dtype)
        self.out = PackedLinear.of(attention.out_proj, dtype)

    def terms(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `CrossAttention.terms`."""
        key, value = self.memory(features).chunk(2, -1)
        return self.out(value), key, value

    def read(self, x: Tensor, terms: AudioTerms, layer: int, first: int) -> Tensor:
        """As `CrossAttention.read`."""
        motion = terms.motion(layer)
        if first:
            return motion[:, first - 1 :]
        query = self.query(x[:, :1])
        key, value = (part(layer).to(query.dtype) for part in (terms.key, terms.value))
        token0 = self.out(attend(query, key, value, self.heads))
        return torch.cat([token0.to(motion.dtype), motion], dim=1)
