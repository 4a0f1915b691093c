"""HuBERT (Hsu et al. 2021, base) as a graph: normalised sound in, features of the window out.

The weights carry the names that transformers gives them.
"""

from __future__ import annotations

import math

import numpy as np
import onnx

from diffposetalk.bundle.tensor_file import TensorFile
from diffposetalk.spec import ModelSpec
from export.graphs.builder import FLOAT, Graph, Value
from head.errors import WrongValue

NAME = "audio_encoder"
STRIDES = (5, 2, 2, 2, 2, 2, 2)
PADDING = 20
"""Samples reflected at each end, twice: as `diffposetalk.network.hubert.pad_pcm`."""


def hubert_graph(
    spec: ModelSpec, weights: TensorFile, *, precision: int = FLOAT, external_weights: bool = True
) -> onnx.ModelProto:
    """The graph of whole windows: pcm (B, 640 n) normalised -> features (B, n, d_model).

    Raises:
        ValueError: the weights are of another family than the base model.
    """
    g = Graph(weights, precision, external_weights=external_weights)
    rows = hubert_rows(g, spec, g.input("pcm", ["batch", "samples"]))
    g.output("features", rows, ["batch", "frames", spec.denoiser.d_model])
    return g.model("speech")


def hubert_rows(g: Graph, spec: ModelSpec, pcm: Value) -> Value:
    """Features (B, n, d_model) of a whole window, (B, 640 n) normalised.

    Raises:
        ValueError: the weights are of another family than the base model.
    """
    sizes = spec.speech.hubert
    if f"{NAME}.feature_extractor.conv_layers.0.layer_norm.weight" not in set(g.weights):
        raise WrongValue(f"{g.weights.path} holds no HuBERT base, which is what can be exported")
    x = g.unsqueeze(g.cast(pcm, g.precision), 1)
    pads = g.constant([0, 0, PADDING, 0, 0, PADDING], np.int64)
    for _ in range(2):
        x = g.op("Pad", x, pads, mode="reflect")
    x = g.transpose(_front(g, x), 0, 2, 1)  # (B, 2 n, 512)
    name = f"{NAME}.feature_projection"
    x = g.linear(g.layer_norm(x, f"{name}.layer_norm"), f"{name}.projection")
    x = g.layer_norm(x + _positions(g, x, sizes.position_groups), f"{NAME}.encoder.layer_norm")
    for layer in range(sizes.n_layers):
        x = _layer(g, x, f"{NAME}.encoder.layers.{layer}", sizes.n_heads)
    d_out = spec.speech.d_out
    x = g.reduce("ReduceMean", g.reshape(x, 0, -1, 2, d_out), 2)  # 50 Hz to 25
    return g.linear(x, "audio_feature_map")


def _front(g: Graph, x: Value) -> Value:
    """The convolutions: (B, 1, samples) -> (B, channels, 2 n)."""
    for index, stride in enumerate(STRIDES):
        name = f"{NAME}.feature_extractor.conv_layers.{index}"
        weight = g.weight(f"{name}.conv.weight")
        kernel = g.weights[f"{name}.conv.weight"].shape[2]
        x = g.op("Conv", x, weight, kernel_shape=[kernel], strides=[stride])
        if index == 0:
            # A group of its own for each channel: normalised over time.
            one = g.cast(g.constant([1.0]), g.precision)
            zero = g.cast(g.constant([0.0]), g.precision)
            channels = g.weights[f"{name}.conv.weight"].shape[0]
            many = g.constant([channels], np.int64)
            x = g.op(
                "InstanceNormalization",
                x,
                g.op("Expand", one, many),
                g.op("Expand", zero, many),
                epsilon=1e-5,
            )
            scale, bias = (g.weight(f"{name}.layer_norm.{part}") for part in ("weight", "bias"))
            x = x * g.unsqueeze(scale, 1) + g.unsqueeze(bias, 1)
        x = g.gelu(x)
    return x


def _positions(g: Graph, x: Value, groups: int) -> Value:
    """The positional convolution: (B, m, d) -> (B, m, d)."""
    name = f"{NAME}.encoder.pos_conv_embed.conv"
    gain = g.weight(f"{name}.parametrizations.weight.original0")  # (1, 1, k)
    raw = g.weight(f"{name}.parametrizations.weight.original1")  # (d, d / groups, k)
    kernel = g.weights[f"{name}.parametrizations.weight.original1"].shape[2]
    norm = g.op("Sqrt", g.reduce("ReduceSumSquare", raw, 0, 1, keep=True))
    y = g.op(
        "Conv",
        g.transpose(x, 0, 2, 1),
        raw * (gain / norm),
        g.weight(f"{name}.bias"),
        kernel_shape=[kernel],
        pads=[kernel // 2, kernel // 2],
        group=groups,
    )
    if kernel % 2 == 0:
        y = g.slice(y, 0, -1, 2)
    return g.transpose(g.gelu(y), 0, 2, 1)


def _layer(g: Graph, x: Value, name: str, heads: int) -> Value:
    """A post-norm encoder layer, (B, m, d) -> (B, m, d)."""
    d = g.weights[f"{name}.layer_norm.weight"].shape[0]

    def part(which: str, *perm: int) -> Value:
        split = g.reshape(g.linear(x, f"{name}.attention.{which}_proj"), 0, 0, heads, d // heads)
        return g.transpose(split, *perm)

    query = part("q", 0, 2, 1, 3) * (1.0 / math.sqrt(d // heads))
    scores = g.op("Softmax", query @ part("k", 0, 2, 3, 1), axis=-1)
    mixed = g.reshape(g.transpose(scores @ part("v", 0, 2, 1, 3), 0, 2, 1, 3), 0, 0, d)
    x = g.layer_norm(x + g.linear(mixed, f"{name}.attention.out_proj"), f"{name}.layer_norm")
    hidden = g.gelu(g.linear(x, f"{name}.feed_forward.intermediate_dense"))
    out = g.linear(hidden, f"{name}.feed_forward.output_dense")
    return g.layer_norm(x + out, f"{name}.final_layer_norm")
