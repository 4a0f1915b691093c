"""The network of `diffposetalk.network.denoiser` in a graph: all its guidance branches, a step at a
time.

Nothing is done twice: speech, context, person and masks are worked out once a call, and a step is
what is left.

Shapes: B entries, G guidance branches, R = G B rows, n frames, M = T_p + n, N = 1 + M tokens, d
channels, L layers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from diffposetalk.spec import ModelSpec
from export.graphs.builder import INT64, Graph, Value
from export.graphs.feature_rows import NET, rows_are_terms, term_rows


class Inputs(NamedTuple):
    """What one call of the sampler takes, see `sampler_graph`.

    Attributes:
        known_motion, known: None: no frame is known, ever.
        style: None where the model has no styles.
        condition_mask, weights: of the guidance branches, which conditions each has, and its
            weight; None where the network takes the scales itself.
    """

    noise: Value
    noise_scale: Value
    features: Value
    context_features: Value
    context_motion: Value
    known_motion: Value | None
    shape: Value
    style: Value | None
    audio_scale: Value
    style_scale: Value
    missing: Value
    valid: Value
    known: Value | None
    condition_mask: Value | None
    weights: Value | None


class _Terms(NamedTuple):
    """A layer's share of speech: motion (R, M, d), key (R, h, d / h, M), value (R, h, M, d / h)."""

    motion: Value
    key: Value
    value: Value


class DenoiserGraph:
    """The network in the call of `inputs`."""

    def __init__(self, spec: ModelSpec, graph: Graph, inputs: Inputs) -> None:
        self.spec, self.g = spec, graph
        self.net = spec.denoiser
        self.d = spec.denoiser.d_model
        self.d_head = self.d // self.net.n_heads
        self.condition_mask = inputs.condition_mask
        g = graph
        self.n = g.size(inputs.noise, 1)
        self.frame = g.count_up(self.n)
        slot = g.unsqueeze(
            g.constant(np.arange(spec.T_p), np.int64) < g.unsqueeze(inputs.missing, 1), 2
        )  # (B, T_p, 1)
        self.terms = self._terms(inputs.features, inputs.context_features, slot)
        start = g.weight("start_motion_feat")
        context = g.where(slot, start, g.cast(inputs.context_motion, g.precision))
        if not self.net.past_mouth:
            told = np.ones(spec.d_motion, np.float32)
            told[list(spec.articulated)] = 0.0
            context = context * g.cast(g.constant(told), g.precision)
        is_frame = g.cast(self.frame < g.unsqueeze(inputs.valid, 1), g.precision)  # (B, n)
        self._tokens_once(
            context, is_frame, inputs.shape, inputs.style, inputs.audio_scale, inputs.style_scale
        )

    # --- what a call has in common -------------------------------------------------------------
    def _terms(self, features: Value, context_features: Value, slot: Value) -> list[_Terms]:
        """Speech for every layer, the window's nulled in branches without audio."""
        g, layers = self.g, self.net.n_layers
        window, context = (g.cast(rows, g.precision) for rows in (features, context_features))
        if not rows_are_terms(self.spec):
            window, context = (term_rows(g, self.spec, rows) for rows in (window, context))
        start = term_rows(g, self.spec, g.weight("start_audio_feat"))  # (1, T_p, F)
        context = g.where(slot, start, context)
        if self.condition_mask is None:
            rows = g.concat(context, window, axis=1)
        else:
            null = term_rows(g, self.spec, g.weight("null_audio_feat"))  # (1, 1, F)
            hears = g.reshape(g.slice(self.condition_mask, 0, 1, 1), -1, 1, 1, 1) > 0.5
            window = g.where(hears, g.unsqueeze(window, 0), g.unsqueeze(null, 0))
            every = g.concat(
                g.size(self.condition_mask, 0), g.constant([1, 1, 1], np.int64), axis=0
            )
            context = g.op("Expand", g.unsqueeze(context, 0), every)
            rows = self._flat(g.concat(context, window, axis=2))
        width = 3 * layers
        parts = g.ops("Split", rows, count=width, axis=-1, num_outputs=width)
        heads = (0, 0, self.net.n_heads, self.d_head)
        return [
            _Terms(
                parts[layer],
                g.transpose(g.reshape(parts[layers + layer], *heads), 0, 2, 3, 1),
                g.transpose(g.reshape(parts[2 * layers + layer], *heads), 0, 2, 1, 3),
            )
            for layer in range(layers)
        ]

    def _flat(self, rows: Value) -> Value:
        """(G, B, m, k) -> (G B, m, k)."""
        g = self.g
        tail = g.op("Shape", rows, kind=INT64, start=2, end=4)
        return g.op("Reshape", rows, g.concat(g.constant([-1], np.int64), tail, axis=0))

    def _tokens_once(
        self,
        context: Value,
        is_frame: Value,
        shape: Value,
        style: Value | None,
        audio_scale: Value,
        style_scale: Value,
    ) -> None:
        """The parts of the tokens that stay: person, context, and positions with the indicator."""
        g, T_p, D = self.g, self.spec.T_p, self.spec.d_motion
        if self.net.learnable_pe:
            table = g.weight(f"{NET}.PE")
            tokens = self.n + (1 + T_p)
            first, before = g.slice(table, 0, 1, 1), g.slice(table, 1, 1 + T_p, 1)
            after = g.slice(table, 1 + T_p, tokens, 1)
        else:
            row = g.op("Gather", g.weight(f"{NET}.PE.pe"), self.n + (1 + T_p), axis=1)
            first = before = after = row  # (1, 1, d): released weights expect row N throughout
        matrix = g.transposed(f"{NET}.feature_proj.weight")  # (D or D + 1, d)
        bias = g.weight(f"{NET}.feature_proj.bias")
        self.project = g.slice(matrix, 0, D, 0) if self.net.use_indicator else matrix
        # Context frames carry the indicator 0.
        self.context_tokens = context @ self.project + (before + bias)
        self.frame_part = after + bias
        if self.net.use_indicator:
            indicator = g.unsqueeze(is_frame, 2) * g.slice(matrix, D, None, 0)
            self.frame_part = self.frame_part + indicator  # (B, n, d)
        person = self._person(shape, style)
        if self.net.guidance_input:
            scales = g.concat(
                g.unsqueeze(audio_scale - 1.0, 1), g.unsqueeze(style_scale - 1.0, 1), axis=1
            )
            taken = g.cast(scales, g.precision) @ g.transposed(f"{NET}.guidance_proj.weight")
            person = person + g.unsqueeze(taken, 1)
        self.person = person + first
        if self.condition_mask is not None:
            self.context_tokens = self._repeat(self.context_tokens)

    def _person(self, shape: Value, style: Value | None) -> Value:
        """Token 0's projection: (G B, 1, d)."""
        g = self.g
        shape = g.cast(shape, g.precision)

        def projected(*parts: Value) -> Value:
            return g.linear(g.unsqueeze(g.concat(*parts, axis=1), 1), f"{NET}.person_proj")

        if style is None:
            person = projected(shape)
            return person if self.condition_mask is None else self._repeat(person)
        person = projected(shape, g.cast(style, g.precision))  # (B, 1, d)
        if self.condition_mask is None:
            return person
        null = g.slice(g.weight("null_style_feat"), 0, 1, 0)  # (1, 1, d_style)
        entries = g.concat(g.size(shape, 0), g.constant([1], np.int64), axis=0)
        null = g.op("Expand", g.reshape(null, 1, -1), entries)
        styled = g.reshape(g.slice(self.condition_mask, 1, 2, 1), -1, 1, 1, 1) > 0.5
        both = g.where(
            styled, g.unsqueeze(person, 0), g.unsqueeze(projected(shape, null), 0)
        )  # (G, B, 1, d)
        return g.reshape(both, -1, 1, self.d)

    def _repeat(self, x: Value) -> Value:
        """(B, m, k) -> (G B, m, k), once for each branch."""
        g = self.g
        assert self.condition_mask is not None
        every = g.concat(g.size(self.condition_mask, 0), g.constant([1, 1, 1], np.int64), axis=0)
        return self._flat(g.op("Expand", g.unsqueeze(x, 0), every))

    # --- one step ------------------------------------------------------------------------------
    def __call__(self, x_t: Value, time: Value) -> Value:
        """D: x_t (B, n, D) and its time's row (1, 1, d) -> (G B, n, D)."""
        g = self.g
        time = g.linear(g.gelu(g.linear(time, f"{NET}.diff_step_map.0")), f"{NET}.diff_step_map.2")
        frames = x_t @ self.project + self.frame_part
        if self.condition_mask is not None:
            frames = self._repeat(frames)
        x = g.concat(self.person + time, self.context_tokens, frames, axis=1)
        for index in range(self.net.n_layers):
            x = self._layer(x, index)
        hidden = g.gelu(g.linear(x, f"{NET}.motion_dec.0"))
        return g.linear(hidden, f"{NET}.motion_dec.2")

    def _layer(self, x: Value, index: int) -> Value:
        """A decoder layer; the last one gives the window's frames only."""
        g, terms = self.g, self.terms[index]
        name = f"{NET}.transformer.layers.{index}"
        first = 1 + self.spec.T_p if index == self.net.n_layers - 1 else 0
        query = g.slice(x, first, None, 1) if first else x
        x = g.layer_norm(
            query + self._self_attention(x, query, f"{name}.self_attn"), f"{name}.norm1"
        )
        if first:
            speech = g.slice(terms.motion, self.spec.T_p, None, 1)
        else:
            token0 = self._token0(g.slice(x, 0, 1, 1), terms, f"{name}.multihead_attn")
            speech = g.concat(token0, terms.motion, axis=1)
        x = g.layer_norm(x + speech, f"{name}.norm2")
        hidden = g.gelu(g.linear(x, f"{name}.linear1"))
        return g.layer_norm(x + g.linear(hidden, f"{name}.linear2"), f"{name}.norm3")

    def _self_attention(self, x: Value, query: Value, name: str) -> Value:
        g, h, d_head = self.g, self.net.n_heads, self.d_head
        matrix, bias = g.transposed(f"{name}.in_proj_weight"), g.weight(f"{name}.in_proj_bias")
        if query is x:
            parts = g.ops("Split", x @ matrix + bias, count=3, axis=-1, num_outputs=3)
        else:
            d = self.d
            asked = query @ g.slice(matrix, 0, d, 1) + g.slice(bias, 0, d, 0)
            memory = x @ g.slice(matrix, d, None, 1) + g.slice(bias, d, None, 0)
            parts = [asked, *g.ops("Split", memory, count=2, axis=-1, num_outputs=2)]
        q, k, v = (g.reshape(part, 0, 0, h, d_head) for part in parts)
        mixed = self._attend(
            g.transpose(q, 0, 2, 1, 3), g.transpose(k, 0, 2, 3, 1), g.transpose(v, 0, 2, 1, 3)
        )
        return g.linear(mixed, f"{name}.out_proj")

    def _token0(self, x: Value, terms: _Terms, name: str) -> Value:
        """Cross-attention of token 0, the only one that sees all of the speech: (R, 1, d)."""
        g, d = self.g, self.d
        matrix, bias = g.transposed(f"{name}.in_proj_weight"), g.weight(f"{name}.in_proj_bias")
        query = x @ g.slice(matrix, 0, d, 1) + g.slice(bias, 0, d, 0)
        # One token: its heads can be split without a transpose.
        query = g.reshape(query, 0, self.net.n_heads, 1, self.d_head)
        mixed = self._attend(query, terms.key, terms.value)
        return g.linear(mixed, f"{name}.out_proj")

    def _attend(self, query: Value, key: Value, value: Value) -> Value:
        """(R, h, q, k), (R, h, k, M), (R, h, M, k) -> (R, q, d)."""
        g = self.g
        scores = (query * (1.0 / math.sqrt(self.d_head))) @ key
        mixed = g.op("Softmax", scores, axis=-1) @ value
        return g.reshape(g.transpose(mixed, 0, 2, 1, 3), 0, 0, self.d)
