"""Cross-attention to speech, taken apart so that almost none of it is left in the sampling loop.

With an alignment mask of width 1, motion token i sees one speech feature a_i only: its softmax is
over a single entry, so its cross-attention is out_proj(V(a_i)), whatever x_t, t and style are
(Sun et al. 2024, section 3.2).  That term is computed once per feature and layer.  Token 0 attends
to every feature, and its keys and values do not change between steps either.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from diffposetalk.network.attention import Attention, PostNormLayer


class AudioTerms(NamedTuple):
    """What the decoder needs of n frames of speech, for its L layers.

    Attributes:
        rows: (B, n, 3 L d): a frame's motion terms of all layers, then its keys, then its values.
            A motion term out_proj(V(a)) is added to the motion token of the same frame; keys and
            values are for token 0.
        layers: L.
    """

    rows: Tensor
    layers: int

    def motion(self, layer: int) -> Tensor:
        """Motion terms of a layer, (B, n, d)."""
        return self._part(layer)

    def key(self, layer: int) -> Tensor:
        """Keys of a layer, (B, n, d)."""
        return self._part(self.layers + layer)

    def value(self, layer: int) -> Tensor:
        """Values of a layer, (B, n, d)."""
        return self._part(2 * self.layers + layer)

    def _part(self, index: int) -> Tensor:
        width = self.rows.shape[-1] // (3 * self.layers)
        return self.rows[..., index * width : (index + 1) * width]


class CrossAttention(Attention):
    """Cross-attention from the decoder's tokens to speech features."""

    def terms(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B, n, d) -> this layer's part of `AudioTerms`, (B, n, d) each."""
        key, value = self.project_memory(features)
        return self.out_proj(value), key, value

    def read(self, x: Tensor, terms: AudioTerms, layer: int, first: int) -> Tensor:
        """Cross-attention under a mask of width 1: x (B, N - first, d), tokens from `first` on.

        No softmax but token 0's, and that only when token 0 is asked for (first = 0).
        """
        motion = terms.motion(layer)
        if first:
            return motion[:, first - 1 :]
        token0 = self.attend(self.project_query(x[:, :1]), terms.key(layer), terms.value(layer))
        return torch.cat([token0, motion], dim=1)


class DecoderLayer(PostNormLayer):
    """Post-norm transformer decoder layer that reads speech from `AudioTerms`."""

    def __init__(self, d_model: int, n_heads: int, mlp_ratio: int, dropout: float) -> None:
        super().__init__(d_model, n_heads, mlp_ratio, dropout)
        self.multihead_attn = CrossAttention(d_model, n_heads, dropout)
        self.norm3 = nn.LayerNorm(d_model)

    def forward(
        self, x: Tensor, terms: AudioTerms, layer: int, first: int, allowed: Tensor | None
    ) -> Tensor:
        """Tokens x (B, N, d) -> (B, N - first, d), the rows from `first` on.

        Args:
            x: all tokens.
            terms: of the N - 1 frames.
            layer: this layer's index in `terms`.
            first: first row wanted; only the last layer asks for less than all.
            allowed: None for an alignment mask of width 1, else the (N, N - 1) mask of real
                cross-attention, True where a token may look.
        """
        x = self.norm1(x[:, first:] + self.dropout(self.self_attn(x, first)))
        if allowed is None:
            speech = self.multihead_attn.read(x, terms, layer, first)
        else:
            speech = self.multihead_attn.attend(
                self.multihead_attn.project_query(x),
                terms.key(layer),
                terms.value(layer),
                allowed[first:],
            )
        x = self.norm2(x + self.dropout(speech))
        return self.norm3(x + self.feed_forward(x))
