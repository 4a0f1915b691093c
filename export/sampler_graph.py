"""The sampler as one graph: noise, speech and context in, motion out, all K calls inside.

The network of `diffposetalk.denoiser` under `guidance` and `samplers.dpm_solver_pp_2m`, written out
so that nothing is done twice: speech, context, person and masks are worked out once a call, and a
step is what is left.  Every choice of a call is an input and may differ from entry to entry.

Shapes: B entries, G guidance branches, R = G B rows, n frames, M = T_p + n, N = 1 + M tokens, d
channels, L layers.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx

from diffposetalk.schedule import noise_schedule
from diffposetalk.solver import solver_table
from diffposetalk.spec import ModelSpec
from diffposetalk.tensor_file import TensorFile
from export.graph import FLOAT, INT64, Graph, Value

THRESHOLD_RANGE = (1.0, 4.0)
"""As `diffposetalk.guidance`'s."""

NET = "denoising_net"


def sampler_graph(
    spec: ModelSpec, weights: TensorFile, steps: int | None, *, precision: int = FLOAT,
    refer: bool = True,
) -> onnx.ModelProto:
    """The graph that samples in `steps` network calls, unrolled; None: in a loop, any number.

    Inputs (float32 unless said otherwise; F: see `speech_graph`):
        noise (B, n, D), noise_scale (B, D), features (B, n, F), context_features (B, T_p, F),
        context_motion (B, T_p, D), known_motion (B, n, D), shape (B, n_shape),
        style (B, d_style) where the model has styles, audio_guidance (B,), style_guidance (B,),
        missing, valid, known (B,) int64: leading context slots that hold the learned start
        features, frames that are not padding, leading frames that are committed;
        branch_gives (G, 2), branch_weights (G, 3), unless the network takes the scales itself:
        whether a branch gives audio and style, and its weight as coefficients of 1, w_a and w_s.
    With a loop, also times (K,) int64 and solver (K, 5), from `diffposetalk.solver`.
    Output: motion (B, n, D).

    Raises:
        ValueError: a network that cannot be exported, or a tensor that is not there.
    """
    if spec.denoiser.align_mask_width != 1:
        raise ValueError(
            f"an alignment mask of width {spec.denoiser.align_mask_width} cannot be exported, "
            "only of width 1: use the torch backend"
        )
    return _Sampler(spec, Graph(weights, precision, refer=refer)).write(steps)


class _Terms(NamedTuple):
    """A layer's share of speech: motion (R, M, d), key (R, h, d / h, M), value (R, h, M, d / h)."""

    motion: Value
    key: Value
    value: Value


class _Sampler:
    """The parts of one sampler graph."""

    def __init__(self, spec: ModelSpec, graph: Graph) -> None:
        self.spec, self.g = spec, graph
        self.net = spec.denoiser
        self.d = spec.denoiser.d_model
        self.d_head = self.d // self.net.n_heads
        self.branched = not self.net.guidance_input

    def write(self, steps: int | None) -> onnx.ModelProto:
        g, spec, D = self.g, self.spec, self.spec.d_motion
        width = row_width(spec)
        batch, frames = "batch", "frames"
        noise = g.input("noise", [batch, frames, D])
        noise_scale = g.unsqueeze(g.input("noise_scale", [batch, D]), 1)
        features = g.input("features", [batch, frames, width])
        context_features = g.input("context_features", [batch, spec.T_p, width])
        context_motion = g.input("context_motion", [batch, spec.T_p, D])
        known_motion = g.input("known_motion", [batch, frames, D])
        shape = g.input("shape", [batch, spec.n_shape])
        style = g.input("style", [batch, spec.style.d_style]) if spec.use_style else None
        audio_scale = g.input("audio_guidance", [batch])
        style_scale = g.input("style_guidance", [batch])
        missing = g.input("missing", [batch], INT64)
        valid = g.input("valid", [batch], INT64)
        known_frames = g.input("known", [batch], INT64)
        self.gives: Value | None = None
        self.mix: Value | None = None
        if self.branched:
            self.gives = g.input("branch_gives", ["branches", 2])
            weights = g.input("branch_weights", ["branches", 3])
            one = audio_scale * 0.0 + 1.0
            scales = g.concat(*(g.unsqueeze(s, 0) for s in (one, audio_scale, style_scale)), axis=0)
            self.mix = g.unsqueeze(weights @ scales, 2, 3)  # (G, B, 1, 1)

        # Once: what does not change between the steps.
        self.n = g.size(noise, 1)
        frame = g.count_up(self.n)
        slot = g.unsqueeze(
            g.constant(np.arange(spec.T_p), np.int64) < g.unsqueeze(missing, 1), 2
        )  # (B, T_p, 1)
        self.terms = self._terms(features, context_features, slot)
        start = g.weight("start_motion_feat")
        context = g.where(slot, start, g.cast(context_motion, g.precision))
        is_frame = g.cast(frame < g.unsqueeze(valid, 1), g.precision)  # (B, n)
        self._tokens_once(context, is_frame, shape, style, audio_scale, style_scale)
        is_known = g.unsqueeze(frame < g.unsqueeze(known_frames, 1), 2)  # (B, n, 1)

        solve = self._loop if steps is None else functools.partial(self._unrolled, steps)
        motion = solve(noise, noise_scale, known_motion, is_known)
        g.output("motion", motion, [batch, frames, D])
        return g.model("sampler" if steps is None else f"sampler_{steps}")

    # --- DPM-Solver++ (2M) ---------------------------------------------------------------------
    def _unrolled(
        self, steps: int, noise: Value, scale: Value, known_motion: Value, is_known: Value
    ) -> Value:
        """All steps one after the other; the solver's own arithmetic is float32."""
        g = self.g
        solver = solver_table(noise_schedule(self.spec.diffusion), steps)
        *_, alpha, sigma = solver.table[0].tolist()
        x = g.where(is_known, known_motion * alpha + noise * sigma, noise * scale)
        x0 = x
        for i, (a, b, c, alpha, sigma) in enumerate(solver.table.tolist()):
            t = int(solver.times[i])
            row = g.slice(g.weight(f"{NET}.TE.pe"), t, t + 1, 1)
            guided = self._guided(x, row, g.constant(alpha), g.constant(sigma))
            previous, x0 = x0, g.where(is_known, known_motion, guided)
            if i < steps - 1:
                x = x * a + x0 * b
                x = x + previous * c if c else x
        return x0

    def _loop(self, noise: Value, scale: Value, known_motion: Value, is_known: Value) -> Value:
        """The same with the solver's numbers as inputs."""
        g = self.g
        times, table = g.input("times", ["steps"], INT64), g.input("solver", ["steps", 5])
        step_map = g.weight(f"{NET}.TE.pe")

        def numbers(row: Value) -> list[Value]:
            return g.ops("Split", row, count=5, axis=0, num_outputs=5)

        first = g.op("Gather", table, g.constant(0, np.int64), axis=0)
        *_, alpha, sigma = numbers(first)
        x = g.where(is_known, known_motion * alpha + noise * sigma, noise * scale)

        def step(i: Value, carried: Sequence[Value]) -> Sequence[Value]:
            x, previous = carried
            t = g.unsqueeze(g.op("Gather", times, i, axis=0), 0)
            a, b, c, alpha, sigma = numbers(g.op("Gather", table, i, axis=0))
            guided = self._guided(x, g.op("Gather", step_map, t, axis=1), alpha, sigma)
            x0 = g.where(is_known, known_motion, guided)
            return x * a + x0 * b + previous * c, x0

        steps = g.op("Squeeze", g.size(times, 0), g.constant([0], np.int64))
        return g.loop(steps, (x, x * 0.0), step)[1]

    def _guided(self, x_t: Value, time: Value, alpha: Value, sigma: Value) -> Value:
        """One call of D under guidance at the time of row `time` (1, 1, d): (B, n, D) -> x0."""
        g = self.g
        x0 = g.cast(self._network(g.cast(x_t, g.precision), time), FLOAT)  # (G B, n, D)
        if self.gives is not None:
            rows = [g.size(self.gives, 0), g.constant([-1], np.int64), self.n,
                    g.constant([self.spec.d_motion], np.int64)]
            x0 = g.op("Reshape", x0, g.concat(*rows, axis=0))
        if self.spec.diffusion.target == "noise":
            # (B, n, D) beside (G, B, n, D): one x_t for every branch.
            x0 = (x_t - x0 * sigma) / alpha
        if self.spec.live.threshold_quantile:
            x0 = self._threshold(x0, self.spec.live.threshold_quantile)
        return x0 if self.mix is None else g.reduce("ReduceSum", x0 * self.mix, 0)

    def _threshold(self, x0: Value, quantile: float) -> Value:
        """`guidance.dynamic_threshold`: a quantile over frames and channels of each entry."""
        g = self.g
        shape = g.op("Shape", x0, kind=INT64)
        flat = g.op("Flatten", g.op("Abs", x0), axis=2 if self.branched else 1)
        size = g.size(flat, 1)
        falling = g.ops("TopK", flat, size, count=2, axis=1, largest=1, sorted=1)[0]
        position = (g.cast(size, FLOAT) - 1.0) * (1.0 - quantile)
        at = g.op("Floor", position)
        above = g.op("Gather", falling, g.cast(at, INT64), axis=1)
        below = g.op("Gather", falling, g.cast(g.op("Ceil", position), INT64), axis=1)
        limit = above + (position - at) * (below - above)  # (rows, 1)
        low, high = (g.constant(bound) for bound in THRESHOLD_RANGE)
        limit = g.op("Clip", limit, low, high)
        flat = g.op("Flatten", x0, axis=2 if self.branched else 1)
        clipped = g.op("Min", g.op("Max", flat, g.op("Neg", limit)), limit)
        return g.op("Reshape", clipped, shape)

    # --- what a call has in common -------------------------------------------------------------
    def _terms(self, features: Value, context_features: Value, slot: Value) -> list[_Terms]:
        """Speech for every layer, the window's nulled in branches without audio."""
        g, layers = self.g, self.net.n_layers
        window, context = (
            g.cast(rows, g.precision) for rows in (features, context_features)
        )
        if not rows_are_terms(self.spec):
            window, context = (term_rows(g, self.spec, rows) for rows in (window, context))
        start = term_rows(g, self.spec, g.weight("start_audio_feat"))  # (1, T_p, F)
        context = g.where(slot, start, context)
        if self.gives is None:
            rows = g.concat(context, window, axis=1)
        else:
            null = term_rows(g, self.spec, g.weight("null_audio_feat"))  # (1, 1, F)
            hears = g.reshape(g.slice(self.gives, 0, 1, 1), -1, 1, 1, 1) > 0.5
            window = g.where(hears, g.unsqueeze(window, 0), g.unsqueeze(null, 0))
            every = g.concat(g.size(self.gives, 0), g.constant([1, 1, 1], np.int64), axis=0)
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
        self, context: Value, is_frame: Value, shape: Value, style: Value | None,
        audio_scale: Value, style_scale: Value,
    ) -> None:  # fmt: skip
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
        if self.gives is not None:
            self.context_tokens = self._repeat(self.context_tokens)

    def _person(self, shape: Value, style: Value | None) -> Value:
        """Token 0's projection: (G B, 1, d)."""
        g = self.g
        shape = g.cast(shape, g.precision)

        def projected(*parts: Value) -> Value:
            return g.linear(g.unsqueeze(g.concat(*parts, axis=1), 1), f"{NET}.person_proj")

        if style is None:
            person = projected(shape)
            return person if self.gives is None else self._repeat(person)
        person = projected(shape, g.cast(style, g.precision))  # (B, 1, d)
        if self.gives is None:
            return person
        null = g.slice(g.weight("null_style_feat"), 0, 1, 0)  # (1, 1, d_style)
        entries = g.concat(g.size(shape, 0), g.constant([1], np.int64), axis=0)
        null = g.op("Expand", g.reshape(null, 1, -1), entries)
        styled = g.reshape(g.slice(self.gives, 1, 2, 1), -1, 1, 1, 1) > 0.5
        both = g.where(
            styled, g.unsqueeze(person, 0), g.unsqueeze(projected(shape, null), 0)
        )  # (G, B, 1, d)
        return g.reshape(both, -1, 1, self.d)

    def _repeat(self, x: Value) -> Value:
        """(B, m, k) -> (G B, m, k), once for each branch."""
        g = self.g
        assert self.gives is not None
        every = g.concat(g.size(self.gives, 0), g.constant([1, 1, 1], np.int64), axis=0)
        return self._flat(g.op("Expand", g.unsqueeze(x, 0), every))

    # --- one step ------------------------------------------------------------------------------
    def _network(self, x_t: Value, time: Value) -> Value:
        """D: x_t (B, n, D) and its time's row (1, 1, d) -> (G B, n, D)."""
        g = self.g
        time = g.linear(
            g.gelu(g.linear(time, f"{NET}.diff_step_map.0")), f"{NET}.diff_step_map.2"
        )
        frames = x_t @ self.project + self.frame_part
        if self.gives is not None:
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
        x = g.layer_norm(query + self._self_attention(x, query, f"{name}.self_attn"),
                         f"{name}.norm1")
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
