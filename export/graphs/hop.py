"""A whole hop in one graph: speech, window, sampler, and the state that the next hop starts from.

`stream.core.session` and `stream.core.windows` written out for one hop H, lookahead R and window
rule, so that what is remembered between hops can stay where the graph runs.  At a hop that ends at
frame e, with frames before c = e - R - H committed, the window is [s, s + n):

    adjacent   n = H + R, s = c, from the first hop on
    sliding    n = T_w, s = e - T_w, from e = T_w + T_p on (before, windows end in padding)

A state's rows end where the last hop ended, so that every hop moves them on by H:

    features (or sound)   frames [e - H - L, e - H), L = T_p + n
    motion                frames [c - L + R, c)
    held_noise            frames [e - H - n, e - H)
"""

from __future__ import annotations

import numpy as np
import onnx

from diffposetalk.bundle.tensor_file import TensorFile
from diffposetalk.spec import ModelSpec
from export.graphs.builder import FLOAT, INT64, Graph, Value
from export.graphs.denoiser import Inputs
from export.graphs.feature_rows import row_width
from export.graphs.hubert import hubert_rows
from export.graphs.mel import mel_rows, mel_state, mel_state_out
from export.graphs.sampler import branches, person, sample


def hop_graph(
    spec: ModelSpec,
    weights: TensorFile,
    steps: int,
    *,
    precision: int = FLOAT,
    external_weights: bool = True,
) -> onnx.ModelProto:
    """The graph of a hop at the live defaults' H, R and window rule, in `steps` network calls.

    Inputs (float32 unless said otherwise), new with every hop:
        pcm (B, 640 H), normalised for `hubert`; noise (B, H, D), of frames [e - H, e).
    Inputs that are the outputs `next_*` of the hop before:
        `mel`: features (B, L, F), columns, tail, level (`mel_graph`); `hubert`: sound (B, 640 L);
        motion (B, L - R, D), held_noise (B, n, D), and with `adjacent` committed (B,) int64, c.
    Inputs that stay: noise_scale, shape, style, audio_guidance, style_guidance, branch_gives,
        branch_weights (`sampler_graph`).
    Outputs: new_motion (B, H, D) of frames [c, c + H), and `next_*`.

    Raises:
        ValueError: a network that cannot be exported.
    """
    g = Graph(weights, precision, external_weights=external_weights)
    write_hop(g, spec, steps)
    return g.model(f"hop_{steps}")


def write_hop(g: Graph, spec: ModelSpec, steps: int) -> None:
    """Write a hop's inputs, nodes and outputs, see `hop_graph`.

    Raises:
        ValueError: as `hop_graph`.
    """
    D, T_p = spec.d_motion, spec.T_p
    hop, lookahead = spec.live.hop, spec.live.lookahead
    sliding = spec.live.window_rule == "sliding"
    n = spec.T_w if sliding else hop + lookahead
    rows, batch = T_p + n, "batch"
    pcm = g.input("pcm", [batch, spec.frame_samples * hop])
    noise = g.input("noise", [batch, hop, D])
    heard = _heard(g, spec, pcm, rows)
    motion = g.input("motion", [batch, rows - lookahead, D])
    held = g.input("held_noise", [batch, n, D])
    committed = None if sliding else g.input("committed", [batch], INT64)
    scale = g.input("noise_scale", [batch, D])
    who = person(g, spec)
    condition_mask, mix = branches(g, spec)

    held = g.concat(held, noise, axis=1)
    noise_window = _last(g, held, n)
    known = n - hop - lookahead  # frames from s to c
    known_motion: Value | None = None
    if committed is None:
        # The newest rows that are committed, and zeros where nothing is.
        seen = g.concat(_last(g, motion, T_p + known), noise_window * 0.0, axis=1)
        context, known_motion = _split(g, _first(g, seen, 0, rows), T_p)
        missing = g.constant([0], np.int64)
    else:
        context = _last(g, motion, T_p)
        missing = g.op("Max", g.constant([T_p], np.int64) - committed, g.constant([0], np.int64))
    context_features, features = _split(g, _last(g, heard, rows), T_p)
    x0 = sample(
        g,
        spec,
        Inputs(
            noise_window,
            scale,
            features,
            context_features,
            context,
            known_motion,
            *who,
            missing,
            g.constant([n], np.int64),
            g.constant([known], np.int64),
            condition_mask,
            mix,
        ),
        steps,
    )
    fresh = _first(g, x0, known, hop)
    g.output("new_motion", fresh, [batch, hop, D])
    moved = _last(g, g.concat(motion, fresh, axis=1), rows - lookahead)
    g.output("next_motion", moved, [batch, rows - lookahead, D])
    g.output("next_held_noise", noise_window, [batch, n, D])
    if committed is not None:
        g.output("next_committed", committed + hop, [batch], INT64)


def _heard(g: Graph, spec: ModelSpec, pcm: Value, rows: int) -> Value:
    """Features of what the window reaches, (B, L or more, F); writes the state's outputs."""
    frame = spec.frame_samples
    if spec.speech.kind == "mel":
        width = row_width(spec)
        before = g.input("features", ["batch", rows, width])
        fresh, after = mel_rows(g, spec, pcm, mel_state(g, spec))
        mel_state_out(g, spec, after)
        heard = g.concat(before, g.cast(fresh, FLOAT), axis=1)
        g.output("next_features", _last(g, heard, rows), ["batch", rows, width])
        return heard
    sound = g.concat(g.input("sound", ["batch", rows * frame]), pcm, axis=1)
    heard = _last(g, sound, rows * frame)
    g.output("next_sound", heard, ["batch", rows * frame])
    return hubert_rows(g, spec, heard)


def _first(g: Graph, value: Value, start: int, size: int) -> Value:
    """`size` entries from `start` on."""
    return g.slice(value, start, g.constant([start + size], np.int64), 1)


def _last(g: Graph, value: Value, size: int) -> Value:
    """The last `size` entries."""
    return g.slice(value, -size, None, 1)


def _split(g: Graph, rows: Value, T_p: int) -> tuple[Value, Value]:
    """Context and window."""
    return g.slice(rows, 0, g.constant([T_p], np.int64), 1), g.slice(rows, T_p, None, 1)
