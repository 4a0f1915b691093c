"""The roofline: a hop's cost if nothing but its arithmetic or its memory traffic took time.

Operations (two per multiply and add) are counted from the model's shapes, and divided by the speed
of a large matrix product measured here on as many threads; bytes are the weights, read once per
network call and encoder pass, and divided by the bandwidth of a large copy.  The roofline is the
larger of the two.
"""

from __future__ import annotations

import json
import math
import struct
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.processes import Helper, answer
from diffposetalk.bundle.bundle import load_bundle
from diffposetalk.bundle.reading import MODEL
from diffposetalk.spec import ModelSpec

MATRIX = 1536
BYTES = {"fp32": 4.0, "fp16": 2.0, "bf16": 2.0, "int8": 1.0, "fp8": 1.0}


def machine_speed(repeats: int = 7) -> dict[str, float]:
    """GFLOP/s of a float32 product and GB/s of reading memory, on numpy's threads: the best of
    several, as everything else only adds to it."""
    rng = np.random.default_rng(0)
    a, b = (rng.random((MATRIX, MATRIX), np.float32) for _ in range(2))
    out = np.empty_like(a)
    large = np.ones(48 * 2**20, np.float32)  # 192 MB: more than any cache
    product = min(_timed(lambda: np.matmul(a, b, out)) for _ in range(repeats))
    reading = min(_timed(large.sum) for _ in range(repeats))
    return {
        "gflops": round(2e-9 * MATRIX**3 / product, 1),
        "gb_per_second": round(1e-9 * large.nbytes / reading, 2),
    }


def _timed(do: Any) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def hop_work(
    spec: ModelSpec, live: Mapping[str, Any], weights: Mapping[str, float]
) -> dict[str, float]:
    """Operations and weight bytes of one hop of one session, in the order of `weights`' parts.

    Args:
        live: hop, lookahead, steps, window_rule, guidance scales and precision of the point.
        weights: number of weights of the `denoiser` and the `speech` encoder.
    """
    net, hop, tokens = spec.denoiser, int(live["hop"]), int(live["hop"]) + int(live["lookahead"])
    if live["window_rule"] == "sliding":
        tokens = spec.T_w
    guided = (live["audio_guidance"] != 1.0) + (live["style_guidance"] != 1.0)
    branches = 1 if net.guidance_input else 1 + guided
    d, rows = net.d_model, 1 + spec.T_p + tokens
    linear = (4 + 2 * net.mlp_ratio) * d * d  # Q, K, V, out and the two of the feed-forward block
    attention = 2 * rows * d  # scores and their sum, a row
    calls = branches * int(live["steps"])
    sampler = 2.0 * calls * net.n_layers * rows * (linear + attention)
    speech = 2.0 * _speech_products(spec, hop, tokens)
    size = BYTES.get(str(live.get("precision", "fp32")), 4.0)
    return {
        "operations": sampler + speech,
        "bytes": size * (weights["denoiser"] * int(live["steps"]) + weights["speech"]),
    }


def _speech_products(spec: ModelSpec, hop: int, tokens: int) -> float:
    """Multiplications of the encoder and of the audio terms of the frames that are new."""
    speech, d, net = spec.speech, spec.speech.d_out, spec.denoiser
    terms = 3.0 * net.n_layers * net.d_model**2 + d * net.d_model
    if speech.kind == "mel":
        hidden = speech.d_hidden
        front = 4 * 5.0 * hidden * (speech.n_mels + hidden)
        blocks = 4 * 4.0 * d * d
        return hop * (front + 4.0 * hidden * d + blocks + terms)
    # HuBERT: convolutions down to 50 a second, then transformer layers over every position.
    frames_heard = spec.T_p + tokens
    samples, channels, products = 640.0 * frames_heard, 1.0, 0.0
    for kernel, stride in ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)):
        samples /= stride
        products += samples * kernel * channels * 512
        channels = 512.0
    layers = 12 * samples * (12.0 * d * d + 2.0 * samples * d)
    position = samples * 128.0 * d * d / 16
    return products + samples * 512.0 * d + position + layers + frames_heard * terms


def roofline_ms(work: Mapping[str, float], speed: Mapping[str, float]) -> dict[str, float]:
    """Milliseconds of the arithmetic, of the memory traffic, and the larger of the two."""
    arithmetic = 1e-6 * work["operations"] / speed["gflops"]
    traffic = 1e-6 * work["bytes"] / speed["gb_per_second"]
    return {
        "arithmetic": round(arithmetic, 3),
        "memory": round(traffic, 3),
        "roofline": round(max(arithmetic, traffic), 3),
    }


def count_weights(names: Mapping[str, int]) -> dict[str, float]:
    """Numbers per tensor name -> those of the sampler's network and of the speech encoder."""
    of = {"denoiser": 0.0, "speech": 0.0}
    for name, numbers in names.items():
        part = name.partition(".")[0]
        # Cross-attention to speech is a per-frame term, read with the encoder.
        if part in ("audio_encoder", "audio_feature_map") or "multihead_attn" in name:
            of["speech"] += numbers
        elif part == "denoising_net":
            of["denoiser"] += numbers
    return of


def read_sizes(path: Path) -> dict[str, int]:
    """Numbers per tensor of a safetensors file, from its header alone."""
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    return {
        name: math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__"
    }


def roofline_of(
    bundle: str, live: Mapping[str, Any], speed: Mapping[str, float]
) -> dict[str, float]:
    """The roofline of one hop of one session, in milliseconds."""
    loaded = load_bundle(bundle)
    weights = count_weights(read_sizes(loaded.folder / MODEL))
    return roofline_ms(hop_work(loaded.spec, live, weights), speed)


def measure_speed() -> dict[str, float]:
    """`machine_speed` on one thread, in a fresh process."""
    with Helper("benchmarks.latency.roofline", {}) as helper:
        return {name: float(value) for name, value in helper.receive(120.0).items()}


if __name__ == "__main__":
    answer(**machine_speed())
    sys.exit()
