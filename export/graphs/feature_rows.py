"""Feature rows of the graphs: speech as the denoiser takes it, worked out once for each frame."""

from __future__ import annotations

from collections.abc import Sequence

from diffposetalk.spec import ModelSpec
from export.graphs.builder import Graph, Value

NET = "denoising_net"


def rows_are_terms(spec: ModelSpec) -> bool:
    """Whether feature rows are audio terms (`mel`: final, worked out once) or features."""
    return spec.speech.kind == "mel"


def row_width(spec: ModelSpec) -> int:
    """F, the width of a feature row."""
    terms = 3 * spec.denoiser.n_layers if rows_are_terms(spec) else 1
    return terms * spec.denoiser.d_model


def term_rows(g: Graph, spec: ModelSpec, features: Value) -> Value:
    """Features (B, m, d) -> audio terms (B, m, 3 L d): motion terms, keys, values by layer."""
    d = spec.denoiser.d_model
    parts: list[Sequence[Value]] = []
    for index in range(spec.denoiser.n_layers):
        name = f"{NET}.transformer.layers.{index}.multihead_attn"
        matrix, bias = g.transposed(f"{name}.in_proj_weight"), g.weight(f"{name}.in_proj_bias")
        memory = features @ g.slice(matrix, d, None, 1) + g.slice(bias, d, None, 0)
        key, value = g.ops("Split", memory, count=2, axis=-1, num_outputs=2)
        parts.append((g.linear(value, f"{name}.out_proj"), key, value))
    return g.concat(*(part for same in zip(*parts, strict=True) for part in same), axis=-1)
