"""The sampler in a graph: noise, speech and context in, motion out, all K calls inside.

`guidance` and `samplers.dpm_solver_pp_2m` of `diffposetalk` written out around `denoiser_graph`.
Every choice of a call is an input and may differ from entry to entry.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx

from diffposetalk.bundle.tensor_file import TensorFile
from diffposetalk.sampling.solver import solver_table
from diffposetalk.schedule import noise_schedule
from diffposetalk.spec import ModelSpec
from export.graphs.builder import FLOAT, INT64, Graph, Value
from export.graphs.denoiser import DenoiserGraph, Inputs
from export.graphs.feature_rows import NET, row_width
from head.errors import WrongValue

THRESHOLD_RANGE = (1.0, 4.0)
"""As `diffposetalk.sampling.guidance`'s."""


def sampler_graph(
    spec: ModelSpec,
    weights: TensorFile,
    steps: int | None,
    *,
    precision: int = FLOAT,
    external_weights: bool = True,
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
    With a loop, also times (K,) int64 and solver (K, 5), from `diffposetalk.sampling.solver`.
    Output: motion (B, n, D).

    Raises:
        ValueError: a network that cannot be exported, or a tensor that is not there.
    """
    g, D, width = (
        Graph(weights, precision, external_weights=external_weights),
        spec.d_motion,
        row_width(spec),
    )
    batch, frames = "batch", "frames"
    noise = g.input("noise", [batch, frames, D])
    noise_scale = g.input("noise_scale", [batch, D])
    features = g.input("features", [batch, frames, width])
    context_features = g.input("context_features", [batch, spec.T_p, width])
    context_motion = g.input("context_motion", [batch, spec.T_p, D])
    known_motion = g.input("known_motion", [batch, frames, D])
    who = person(g, spec)
    missing = g.input("missing", [batch], INT64)
    valid = g.input("valid", [batch], INT64)
    known = g.input("known", [batch], INT64)
    inputs = Inputs(
        noise,
        noise_scale,
        features,
        context_features,
        context_motion,
        known_motion,
        *who,
        missing,
        valid,
        known,
        *branches(g, spec),
    )
    g.output("motion", sample(g, spec, inputs, steps), [batch, frames, D])
    return g.model("sampler" if steps is None else f"sampler_{steps}")


def person(g: Graph, spec: ModelSpec) -> tuple[Value, Value | None, Value, Value]:
    """Inputs that stay from hop to hop: shape, style, and the guidance scales of both."""
    batch = "batch"
    shape = g.input("shape", [batch, spec.n_shape])
    style = g.input("style", [batch, spec.style.d_style]) if spec.use_style else None
    return shape, style, g.input("audio_guidance", [batch]), g.input("style_guidance", [batch])


def branches(g: Graph, spec: ModelSpec) -> tuple[Value | None, Value | None]:
    """The inputs that say which guidance branches there are, where there are any."""
    if spec.denoiser.guidance_input:
        return None, None
    return g.input("branch_gives", ["branches", 2]), g.input("branch_weights", ["branches", 3])


def sample(g: Graph, spec: ModelSpec, inputs: Inputs, steps: int | None) -> Value:
    """Motion (B, n, D) from the values of `inputs`, in a graph that is being written.

    Raises:
        ValueError: as `sampler_graph`.
    """
    if spec.denoiser.align_mask_width != 1:
        raise WrongValue(
            f"an alignment mask of width {spec.denoiser.align_mask_width} cannot be exported, "
            "only of width 1: use the torch backend"
        )
    return _Sampler(spec, g, inputs).solve(steps)


def most_sorted(spec: ModelSpec) -> int:
    """How many of a full window's largest values its threshold lies among; 0: there is none."""
    quantile = spec.live.threshold_quantile
    return math.ceil((1.0 - quantile) * spec.T_w * spec.d_motion) + 2 if quantile else 0


class _Sampler:
    """The solver and the guidance around one call's network."""

    def __init__(self, spec: ModelSpec, graph: Graph, inputs: Inputs) -> None:
        self.spec, self.g, self.inputs = spec, graph, inputs
        g = graph
        self.branched = inputs.condition_mask is not None
        self.mix: Value | None = None
        self.scale = g.unsqueeze(inputs.noise_scale, 1)
        if inputs.weights is not None:
            one = inputs.audio_scale * 0.0 + 1.0
            each = (one, inputs.audio_scale, inputs.style_scale)
            scales = g.concat(*(g.unsqueeze(s, 0) for s in each), axis=0)
            self.mix = g.unsqueeze(inputs.weights @ scales, 2, 3)  # (G, B, 1, 1)
        self.network = DenoiserGraph(spec, graph, inputs)
        self.is_known: Value | None = None
        if inputs.known is not None:
            frame = self.network.frame
            self.is_known = g.unsqueeze(frame < g.unsqueeze(inputs.known, 1), 2)  # (B, n, 1)

    def solve(self, steps: int | None) -> Value:
        """x0 after all steps: (B, n, D)."""
        return self._loop() if steps is None else self._unrolled(steps)

    # --- DPM-Solver++ (2M) ---------------------------------------------------------------------
    def _first(self, alpha: Value | float, sigma: Value | float) -> Value:
        """What the first step starts from; known frames as they are at its time."""
        noise = self.inputs.noise
        if self.is_known is None or self.inputs.known_motion is None:
            return noise * self.scale
        begun = self.inputs.known_motion * alpha + noise * sigma
        return self.g.where(self.is_known, begun, noise * self.scale)

    def _kept(self, x0: Value) -> Value:
        """x0 with the known frames as they are known."""
        if self.is_known is None or self.inputs.known_motion is None:
            return x0
        return self.g.where(self.is_known, self.inputs.known_motion, x0)

    def _unrolled(self, steps: int) -> Value:
        """All steps one after the other; the solver's own arithmetic is float32."""
        g = self.g
        solver = solver_table(noise_schedule(self.spec.diffusion), steps)
        *_, alpha, sigma = solver.table[0].tolist()
        x = x0 = self._first(alpha, sigma)
        for i, (a, b, c, alpha, sigma) in enumerate(solver.table.tolist()):
            t = int(solver.times[i])
            row = g.slice(g.weight(f"{NET}.TE.pe"), t, t + 1, 1)
            guided = self._guided(x, row, g.constant(alpha), g.constant(sigma))
            previous, x0 = x0, self._kept(guided)
            if i < steps - 1:
                x = x * a + x0 * b
                x = x + previous * c if c else x
        return x0

    def _loop(self) -> Value:
        """The same with the solver's numbers as inputs."""
        g = self.g
        times, table = g.input("times", ["steps"], INT64), g.input("solver", ["steps", 5])
        step_map = g.weight(f"{NET}.TE.pe")

        def numbers(row: Value) -> list[Value]:
            return g.ops("Split", row, count=5, axis=0, num_outputs=5)

        first = g.op("Gather", table, g.constant(0, np.int64), axis=0)
        *_, alpha, sigma = numbers(first)
        x = self._first(alpha, sigma)

        def step(i: Value, carried: Sequence[Value]) -> Sequence[Value]:
            x, previous = carried
            t = g.unsqueeze(g.op("Gather", times, i, axis=0), 0)
            a, b, c, alpha, sigma = numbers(g.op("Gather", table, i, axis=0))
            guided = self._guided(x, g.op("Gather", step_map, t, axis=1), alpha, sigma)
            x0 = self._kept(guided)
            return x * a + x0 * b + previous * c, x0

        steps = g.op("Squeeze", g.size(times, 0), g.constant([0], np.int64))
        return g.loop(steps, (x, x * 0.0), step)[1]

    def _guided(self, x_t: Value, time: Value, alpha: Value, sigma: Value) -> Value:
        """One call of D under guidance at the time of row `time` (1, 1, d): (B, n, D) -> x0."""
        g = self.g
        x0 = g.cast(self.network(g.cast(x_t, g.precision), time), FLOAT)  # (G B, n, D)
        if self.inputs.condition_mask is not None:
            rows = [
                g.size(self.inputs.condition_mask, 0),
                g.constant([-1], np.int64),
                self.network.n,
                g.constant([self.spec.d_motion], np.int64),
            ]
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
        # The largest alone are sorted: engines sort at most 3,840 values, a window has more.
        most = g.constant([most_sorted(self.spec)], np.int64)
        count = g.op("Min", size, most, kind=INT64)
        falling = g.ops("TopK", flat, count, count=2, axis=1, largest=1, sorted=1)[0]
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
