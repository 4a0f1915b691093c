"""What the official network's size costs here: `posetalk bench official --json FILE`.

HuBERT-base, 8 layers of 512, three guidance branches, with random weights (speed does not depend on
them).  Paper mode in a few steps of DPM-Solver++ is put beside 500 ancestral steps of a
straightforward implementation: torch's own decoder layers, all attention computed anew at every
step.  Of those a few steps are timed and multiplied, as all are alike.  Then live hops of the same
network, through the product's own session, with both window rules and every precision there is; and
what bf16 changes in the starter's motion, as random weights have no quality to lose.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.environment import environment
from diffposetalk.spec import LiveDefaults, ModelSpec, Statistics, WindowRule
from head.files.json_file import write_json
from stream.backends.threads import let_threads_sleep

ALL_STEPS, K = 500, 4
AUDIO_GUIDANCE, STYLE_GUIDANCE = 1.15, 3.0
BRANCHES = 3
HOP_FRAMES, LOOKAHEAD_FRAMES = 10, 2
LIVE_SECONDS = 8.0
RULES: tuple[WindowRule, ...] = ("sliding", "adjacent")
TORCH_PRECISIONS = ("fp32", "bf16")
QUALITY_HOPS = 150
SPEC = dataclasses.replace(
    ModelSpec(),
    live=LiveDefaults(
        hop=HOP_FRAMES,
        lookahead=LOOKAHEAD_FRAMES,
        steps=K,
        audio_guidance=AUDIO_GUIDANCE,
        style_guidance=STYLE_GUIDANCE,
    ),
)


def make_bundle(folder: Path) -> None:
    """A bundle of this size with random weights, for the built-in head."""
    import torch

    from diffposetalk.bundle.saving import save_bundle
    from diffposetalk.network.model import DiffPoseTalk

    torch.manual_seed(0)
    spec, zero, one = SPEC, np.zeros, np.ones
    plain = Statistics(
        zero(spec.d_motion, np.float32),
        one(spec.d_motion, np.float32),
        zero(spec.n_shape, np.float32),
        one(spec.n_shape, np.float32),
    )
    styles = {"neutral": np.zeros(spec.style.d_style, np.float32)}
    save_bundle(folder, DiffPoseTalk(spec), spec, plain, styles, "posetalk-head-1", "", {})


def plain_step() -> Callable[[], None]:
    """One step of the straightforward implementation: a window's tokens in three branches."""
    import torch
    from torch import nn

    net, frames = SPEC.denoiser, SPEC.T_p + SPEC.T_w
    layer = nn.TransformerDecoderLayer(
        net.d_model, net.n_heads, net.mlp_ratio * net.d_model, activation="gelu", batch_first=True
    )
    decoder = nn.TransformerDecoder(layer, net.n_layers).eval()
    into = nn.Linear(SPEC.d_motion + 1, net.d_model)
    out = nn.Linear(net.d_model, SPEC.d_motion)
    motion = torch.randn(BRANCHES, frames, SPEC.d_motion + 1)
    person, memory = (torch.randn(BRANCHES, n, net.d_model) for n in (1, frames))
    apart = (torch.arange(frames + 1)[:, None] - 1 != torch.arange(frames)) & (
        torch.arange(frames + 1)[:, None] > 0
    )

    def step() -> None:
        tokens = torch.cat([person, into(motion)], 1)
        out(decoder(tokens, memory, memory_mask=apart))

    return step


def plain_clip(seconds_of_speech: float) -> dict[str, float]:
    """Seconds of the straightforward way to animate one window: its encoder and 500 steps."""
    import torch

    with torch.inference_mode():
        step = plain_step()
        each = median(step, 8)
    return {"step_ms": 1e3 * each, "total_s": ALL_STEPS * each + seconds_of_speech}


def paper_mode(folder: Path, precision: str) -> dict[str, float]:
    """Seconds of a window in paper mode, K steps, and of its speech encoder alone."""
    import torch

    from diffposetalk.bundle.bundle import load_bundle
    from diffposetalk.paper_mode.pipeline import (
        Loaded,
        PaperClip,
        PaperSettings,
        animate_clips,
        whole_clip_features,
    )

    loaded = Loaded.of(load_bundle(folder), precision=precision)
    sound = sound_of(SPEC.T_w * SPEC.frame_samples)
    settings = PaperSettings("dpm++", K, AUDIO_GUIDANCE, STYLE_GUIDANCE)
    with torch.inference_mode():
        total = median(lambda: animate_clips(loaded, [PaperClip(sound)], settings), 5)
        speech = median(lambda: whole_clip_features(loaded.model, torch.from_numpy(sound)), 3)
    return {"total_s": total, "speech_s": speech, "step_ms": 1e3 * (total - speech) / K}


def live(
    folder: Path, backend_name: str, threads: int, precision: str | None = None
) -> dict[str, dict[str, float]]:
    """Milliseconds of a live hop by window rule, and how many times real time that is."""
    from stream.backends.registry import load_backend
    from stream.core.options import SessionOptions
    from stream.core.session import Session

    backend = load_backend(backend_name, str(folder), threads, precision)
    sound = sound_of(int(LIVE_SECONDS * SPEC.sample_rate_hz))
    block = HOP_FRAMES * SPEC.frame_samples
    found: dict[str, dict[str, float]] = {}
    for rule in RULES:
        session = Session(backend, options=SessionOptions(window_rule=rule))
        took = []
        for start in range(0, len(sound) - block, block):
            began = time.perf_counter()
            if session.feed(sound[start : start + block]):
                took.append(time.perf_counter() - began)
        usual = float(np.median(took[1:]))
        found[rule] = {
            "hop_ms": 1e3 * usual,
            "hop_p99_ms": 1e3 * float(np.percentile(took[1:], 99)),
            "times_real_time": HOP_FRAMES / SPEC.fps / usual,
        }
    return found


def bf16_quality(hops: int) -> dict[str, Any]:
    """What bf16 makes of the starter's motion.

    Per hop: the largest and the mean difference in normalised units, given the same state; and in
    closed loop, each with its own output as its context: range and speed beside those of fp32, and
    how far the lips are apart (largest distance of a lip vertex, mean over frames).
    """
    from export.parity import SCALES, answer, closed_loop, describe, random_case
    from head.rig import load_head
    from stream.backends.registry import load_backend
    from training.evaluation.face import Face
    from training.evaluation.paper_table.metrics import lip_vertex_error

    exact, half = (load_backend("torch", "starter", 1, name) for name in ("fp32", "bf16"))
    gaps = []
    for seed, scales in enumerate(SCALES):
        steps = exact.spec.live.steps
        case = random_case(exact.spec, "adjacent", 8, steps, scales=scales, seed=seed)
        gaps.append(np.abs(answer(half, case) - answer(exact, case)))
    loops = [closed_loop(backend, hops) for backend in (exact, half)]
    own, theirs = (describe(loop) for loop in loops)
    statistics = exact.statistics
    face = Face.of(load_head(exact.head_id))
    raw = [loop * statistics.motion_std + statistics.motion_mean for loop in loops]
    lips = lip_vertex_error(face.vertices(raw[1]), face.vertices(raw[0]), face.lips)
    return {
        "bundle_hash": exact.bundle_hash,
        "hops": hops,
        "hop_largest": float(np.max(gaps)),
        "hop_mean": float(np.mean(gaps)),
        "loop_range": float(theirs.std.mean() / own.std.mean()),
        "loop_speed": float(theirs.speed.mean() / own.speed.mean()),
        "loop_lips_mm": 1000.0 * float(lips.mean()),
    }


def sound_of(samples: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Noise: time does not depend on what is said."""
    rng = np.random.default_rng(0)
    return (0.1 * rng.standard_normal(samples)).astype(np.float32)


def median(do: Callable[[], Any], repeats: int) -> float:
    """Median seconds of calls, after one that is not counted."""
    do()
    took = []
    for _ in range(repeats):
        began = time.perf_counter()
        do()
        took.append(time.perf_counter() - began)
    return float(np.median(took))


@contextlib.contextmanager
def exported(folder: Path, precision: str) -> Iterator[Path]:
    """A copy of the bundle with graphs of K steps in a precision."""
    from diffposetalk.bundle.bundle import load_bundle
    from export.onnx_export import export_onnx

    with tempfile.TemporaryDirectory() as made:
        home = Path(made) / "bundle"
        export_onnx(load_bundle(folder), [K], precision=precision, out=home)
        yield home


def measure(threads: int) -> dict[str, Any]:
    """Every figure, in one run."""
    let_threads_sleep()
    import torch

    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "official"
        make_bundle(folder)
        ours = {precision: paper_mode(folder, precision) for precision in TORCH_PRECISIONS}
        plain = plain_clip(ours["fp32"]["speech_s"])
        hops = {
            f"torch {precision}": live(folder, "torch", threads, precision)
            for precision in TORCH_PRECISIONS
        }
        for precision in ("fp32", "int8"):
            with exported(folder, precision) as home:
                hops[f"onnxruntime {precision}"] = live(home, "onnxruntime", threads)
    return {
        "threads": threads,
        "all_steps": ALL_STEPS,
        "steps": K,
        "branches": BRANCHES,
        "plain": plain,
        "paper_mode": {
            name: {**one, "times_faster": plain["total_s"] / one["total_s"]}
            for name, one in ours.items()
        },
        "live": {
            "hop": HOP_FRAMES,
            "lookahead": LOOKAHEAD_FRAMES,
            "rules": {rule: {name: one[rule] for name, one in hops.items()} for rule in RULES},
        },
        "bf16": bf16_quality(QUALITY_HOPS),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(prog="posetalk bench official", description=main.__doc__)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    result = {**environment("official"), "official": measure(options.threads)}
    text = json.dumps(result, indent=1)
    print(text)
    if options.json:
        write_json(options.json, result)
    return 0
