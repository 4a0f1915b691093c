"""The starter's speech encoder as a graph: sound in, feature rows out, the state through.

`MelEncoder.encode` and `follow_level` written without what is slow or missing in a runtime: the
Fourier transform is a matrix product (its cosines are worked out in the graph, which stays small),
and the running level, a loop over frames, is in closed form.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import onnx

from diffposetalk.bundle.tensor_file import TensorFile
from diffposetalk.network.mel_front import (
    COLUMNS,
    DILATIONS,
    FLOOR_RISE_DB,
    GATE_DB,
    KEPT_COLUMNS,
    KEPT_FRAMES,
    KEPT_HIDDEN,
    LOWEST,
    N_FFT,
    PRIOR_FRAMES,
    SCALE_DB,
    SLOWEST,
    TAIL_SAMPLES,
    WINDOW_SAMPLES,
    mel_filterbank,
)
from diffposetalk.spec import ModelSpec
from export.graphs.builder import FLOAT, INT64, Graph, Value
from export.graphs.feature_rows import row_width, term_rows

CHUNK = 80
"""Samples: columns start every 160 and are 400 long, so they are whole chunks."""
BINS = N_FFT // 2 + 1
FAR = 1e9
"""Larger than any level; keeps frames out of a minimum or a sum."""
NAME = "audio_encoder"


def mel_graph(
    spec: ModelSpec, weights: TensorFile, *, precision: int = FLOAT, external_weights: bool = True
) -> onnx.ModelProto:
    """The graph of one hop of n frames for B streams.

    Inputs: pcm (B, 640 n) and the state of `MelState`, by its names.  Outputs: features (B, n, F)
    and the state after them, next_columns, ..., next_level.
    """
    g = Graph(weights, precision, external_weights=external_weights)
    pcm = g.input("pcm", ["batch", "samples"])
    before = mel_state(g, spec)
    rows, after = mel_rows(g, spec, pcm, before)
    g.output("features", rows, ["batch", "frames", row_width(spec)])
    mel_state_out(g, spec, after)
    return g.model("speech")


class MelValues(NamedTuple):
    """The state of `diffposetalk.network.mel.MelState` for B streams."""

    columns: Value
    hidden: Value
    frames: Value
    tail: Value
    level: Value


def _state_dims(spec: ModelSpec) -> dict[str, list[int | str]]:
    speech = spec.speech
    return {
        "columns": ["batch", KEPT_COLUMNS, speech.n_mels],
        "hidden": ["batch", KEPT_HIDDEN, speech.d_hidden],
        "frames": ["batch", sum(KEPT_FRAMES), speech.d_out],
        "tail": ["batch", TAIL_SAMPLES],
        "level": ["batch", 3],
    }


def mel_state(g: Graph, spec: ModelSpec) -> MelValues:
    """The state as inputs."""
    return MelValues(*(g.input(name, dims) for name, dims in _state_dims(spec).items()))


def mel_state_out(g: Graph, spec: ModelSpec, after: MelValues) -> None:
    """The next state as outputs."""
    for (name, dims), value in zip(_state_dims(spec).items(), after, strict=True):
        g.output(f"next_{name}", value, dims)


def mel_rows(g: Graph, spec: ModelSpec, pcm: Value, before: MelValues) -> tuple[Value, MelValues]:
    """Feature rows (B, n, F) of sound (B, 640 n), and the state after it."""
    n_mels = spec.speech.n_mels
    samples = g.concat(before.tail, pcm, axis=1)
    decibels = _mel_decibels(g, samples, n_mels)  # (B, 4 n, n_mels)
    frames = g.reshape(decibels, 0, -1, COLUMNS, n_mels)
    loudest = g.reduce("ReduceMax", frames, 2)
    loudness = g.reduce("ReduceMean", loudest, 2)
    speech, level = _running_level(g, loudness, before.level)
    relative = (frames - g.unsqueeze(speech, 2, 3)) / SCALE_DB
    fresh = g.reshape(g.op("Max", relative, g.constant(LOWEST)), 0, -1, n_mels)
    features, kept = _encoder(g, spec, fresh, before)
    rows = term_rows(g, spec, g.linear(features, "audio_feature_map"))
    return rows, MelValues(*kept, g.slice(samples, -TAIL_SAMPLES, None, 1), level)


def _mel_decibels(g: Graph, samples: Value, n_mels: int) -> Value:
    """`mel_columns`: (B, 240 + 160 m) -> (B, m, n_mels)."""
    chunks = g.reshape(samples, 0, -1, CHUNK)  # (B, 3 + 2 m, 80)
    count = g.size(chunks, 1)
    per_window = WINDOW_SAMPLES // CHUNK
    frames = g.concat(
        *(g.slice(chunks, i, count + (i + 1 - per_window), 1, step=2) for i in range(per_window)),
        axis=2,
    )  # (B, m, 400)
    sample = g.count_up(g.constant([WINDOW_SAMPLES], np.int64))
    frequency = g.count_up(g.constant([BINS], np.int64))
    # Whole turns are taken off as integers: the cosine of a large float would lose digits.
    turn = g.op("Mod", g.unsqueeze(sample, 1) * frequency, g.constant(N_FFT, np.int64))
    angle = g.cast(turn, FLOAT) * (2.0 * math.pi / N_FFT)
    hann = g.op("Cos", g.cast(sample, FLOAT) * (2.0 * math.pi / WINDOW_SAMPLES)) * -0.5 + 0.5
    hann = g.unsqueeze(hann, 1)
    real, imaginary = (frames @ (g.op(f, angle) * hann) for f in ("Cos", "Sin"))
    power = real * real + imaginary * imaginary
    return g.op("Log", power @ _filters(g, n_mels) + 1e-7) * (10.0 / math.log(10.0))


def _filters(g: Graph, n_mels: int) -> Value:
    """The filterbank (257, n_mels), written as its few entries that are not zero."""
    filters = mel_filterbank(n_mels)
    at = np.argwhere(filters)
    zeros = g.op("ConstantOfShape", g.constant([BINS, n_mels], np.int64), kind=FLOAT)
    entries = g.constant(filters[at[:, 0], at[:, 1]])
    places = g.cast(g.constant(at, np.int16), INT64)
    return g.op("ScatterND", zeros, places, entries)


def _running_level(g: Graph, loudness: Value, level: Value) -> tuple[Value, Value]:
    """`follow_level` in closed form: loudness (B, n), level (B, 3) -> speech (B, n), level (B, 3).

    The floor min(l_k, floor + r) is a running minimum of l_k - r k; the count of speech frames is a
    running sum; the speech level is a linear recurrence, so what frame k keeps of each earlier one
    is a product, here a sum of logarithms.
    """
    speech, heard, floor = (g.slice(level, i, i + 1, 1) for i in range(3))
    n = g.size(loudness, 1)
    k = g.count_up(n)
    later = g.unsqueeze(k, 0) > g.unsqueeze(k, 1)  # (n, n): frame j is after frame k
    rise = g.cast(k, FLOAT) * FLOOR_RISE_DB + FLOOR_RISE_DB
    flat = g.unsqueeze(loudness - rise, 1)  # (B, 1, n)
    lowest = g.reduce("ReduceMin", g.where(later, g.constant(FAR), flat), 2)
    floors = g.op("Min", lowest, floor) + rise  # (B, n) as of each frame's end
    is_speech = g.cast(loudness > floors + GATE_DB, FLOAT)
    axis = g.constant(1, np.int64)
    counts = heard + g.op("CumSum", is_speech, axis)
    rate = g.op("Max", g.constant(1.0) / (counts + PRIOR_FRAMES), g.constant(SLOWEST)) * is_speech
    kept = g.op("CumSum", g.op("Log", g.constant(1.0) - rate), axis)
    share = g.unsqueeze(kept, 2) - g.unsqueeze(kept, 1)  # (B, n, n)
    share = g.op("Exp", g.where(later, g.constant(-FAR), share))
    added = share @ g.unsqueeze(rate * loudness, 2)  # (B, n, 1)
    speeches = g.op("Exp", kept) * speech + g.op("Squeeze", added, g.constant([2], np.int64))
    last = (g.slice(part, -1, None, 1) for part in (speeches, counts, floors))
    return speeches, g.concat(*last, axis=1)


def _encoder(
    g: Graph, spec: ModelSpec, fresh: Value, before: MelValues
) -> tuple[Value, tuple[Value, Value, Value]]:
    """`MelEncoder.advance`: (B, 4 n, n_mels) -> (B, n, d_out), and columns, hidden, frames kept."""

    def after(kept: Value, new: Value) -> Value:
        return g.concat(g.cast(kept, g.precision), g.cast(new, g.precision), axis=1)

    def last(value: Value, count: int) -> Value:
        return g.cast(g.slice(value, -count, None, 1), FLOAT)

    columns = after(before.columns, fresh)
    x = g.gelu(g.layer_norm(_convolve(g, columns, f"{NAME}.conv1", 5, 1), f"{NAME}.norm1"))
    hidden = after(before.hidden, x)
    x = g.gelu(g.layer_norm(_convolve(g, hidden, f"{NAME}.conv2", 5, 2), f"{NAME}.norm2"))
    x = g.linear(g.reshape(x, 0, -1, COLUMNS * spec.speech.d_hidden), f"{NAME}.gather")
    frames, start = [], 0
    for index, (dilation, count) in enumerate(zip(DILATIONS, KEPT_FRAMES, strict=True)):
        name = f"{NAME}.blocks.{index}"
        x = after(g.slice(before.frames, start, g.constant([start + count], np.int64), 1), x)
        frames.append(last(x, count))
        start += count
        y = g.gelu(_convolve(g, g.layer_norm(x, f"{name}.norm"), f"{name}.conv", 3, dilation))
        x = g.slice(x, count, None, 1) + g.linear(y, f"{name}.out")
    kept = last(columns, KEPT_COLUMNS), last(hidden, KEPT_HIDDEN), g.concat(*frames, axis=1)
    return g.layer_norm(x, f"{NAME}.norm"), kept


def _convolve(g: Graph, x: Value, name: str, reach: int, dilation: int) -> Value:
    """A convolution without padding over time-major (B, m, d), as one matrix product."""
    count = g.size(x, 1)
    taps = [
        g.slice(x, tap * dilation, count + (tap + 1 - reach) * dilation, 1) for tap in range(reach)
    ]
    weight = g.weight(f"{name}.weight")  # (out, in, reach)
    out = g.weights[f"{name}.weight"].shape[0]
    matrix = g.reshape(g.transpose(weight, 2, 1, 0), -1, out)
    return g.concat(*taps, axis=2) @ matrix + g.weight(f"{name}.bias")
