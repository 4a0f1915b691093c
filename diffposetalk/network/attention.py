"""Transformer layers with the parameter names of released checkpoints (those of torch.nn).

They are our own so that cross-attention can be taken apart (`audio_terms`), and so that nothing in
them depends on data: the same code trains, streams and exports.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from head.errors import WrongValue


class Attention(nn.Module):
    """Weights of multi-head attention, named as in `nn.MultiheadAttention`, and its parts.

    `in_proj_weight` (3 d, d) holds the rows of Q, K and V in this order.
    """

    def __init__(self, d_model: int, n_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if d_model % n_heads:
            raise WrongValue(f"{n_heads} heads do not divide a width of {d_model}")
        self.n_heads = n_heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * d_model, d_model))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * d_model))
        self.out_proj = nn.Linear(d_model, d_model)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, first_query: int = 0) -> Tensor:
        """Self-attention, full: x (B, N, d) -> (B, N - first_query, d), rows from `first_query`."""
        if first_query:
            query = self.project_query(x[:, first_query:])
            key, value = self.project_memory(x)
        else:
            query, key, value = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        return self.attend(query, key, value)

    def project_query(self, x: Tensor) -> Tensor:
        """Q of x, (B, N, d)."""
        d = x.shape[-1]
        return F.linear(x, self.in_proj_weight[:d], self.in_proj_bias[:d])

    def project_memory(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """K and V of memory, (B, M, d) each."""
        d = memory.shape[-1]
        both = F.linear(memory, self.in_proj_weight[d:], self.in_proj_bias[d:])
        key, value = both.chunk(2, -1)
        return key, value

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None = None
    ) -> Tensor:
        """Projected (B, N, d) over (B, M, d), then `out_proj`; `allowed` (N, M) bool or None."""
        mixed = F.scaled_dot_product_attention(
            self._split(query),
            self._split(key),
            self._split(value),
            attn_mask=allowed,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.out_proj(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, d) -> (B, heads, N, d / heads)."""
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


class PostNormLayer(nn.Module):
    """What encoder and decoder layers share: self-attention and a feed-forward block."""

    def __init__(self, d_model: int, n_heads: int, mlp_ratio: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(d_model, n_heads, dropout)
        self.linear1 = nn.Linear(d_model, mlp_ratio * d_model)
        self.linear2 = nn.Linear(mlp_ratio * d_model, d_model)
        self.norm1 = nn.LayerNorm(d_model)
        self.norm2 = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)

    def feed_forward(self, x: Tensor) -> Tensor:
        """(B, N, d) -> (B, N, d); exact (erf) GELU."""
        return self.dropout(self.linear2(self.dropout(F.gelu(self.linear1(x)))))


class EncoderLayer(PostNormLayer):
    """Post-norm transformer encoder layer."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, d) -> (B, N, d)."""
        x = self.norm1(x + self.dropout(self.self_attn(x)))
        return self.norm2(x + self.feed_forward(x))


class Stack(nn.Module):
    """Layers under the name `layers`; the caller runs them."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)


class SinusoidTable(nn.Module):
    """Sinusoidal rows (Vaswani et al. 2017): even channels sin, odd channels cos, base 10000.

    `pe` is (1, length, d).  `persistent` says whether the table is part of the state dict.
    """

    pe: Tensor

    def __init__(self, d_model: int, length: int, *, persistent: bool) -> None:
        super().__init__()
        rate = 10_000.0 ** (-torch.arange(0, d_model, 2) / d_model)
        angle = torch.arange(length)[:, None] * rate
        table = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
        self.register_buffer("pe", table[None, :, :d_model], persistent=persistent)
