"""The graphs of a bundle, put together of traced pieces: speech, samplers, whole hops.

Every choice of a call is an input and may differ from entry to entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
import torch

from diffposetalk.bundle.tensor_file import TensorFile
from diffposetalk.sampling.solver import solver_table
from diffposetalk.schedule import noise_schedule
from diffposetalk.spec import ModelSpec
from export.graphs.assembly import BFLOAT16, FLOAT, FLOAT16, INT64, Graph
from export.graphs.modules import window_frames
from export.graphs.pieces import (
    WINDOW_OUTPUTS,
    hop_pieces,
    row_width,
    speech_piece,
    start_piece,
    state_dims,
    step_piece,
)

KINDS = {FLOAT: torch.float32, FLOAT16: torch.float16, BFLOAT16: torch.bfloat16}
BATCH, FRAMES = "batch", "frames"
Values = Mapping[str, str]
"""Values of a graph by the names of a module's inputs."""


def speech_graph(
    spec: ModelSpec, weights: TensorFile, *, precision: int = FLOAT, external_weights: bool = True
) -> onnx.ModelProto:
    """Sound to feature rows.

    Inputs: pcm (B, 640 n), normalised for `hubert`; with `mel` the state of `MelState`, by its
    names.  Outputs: features (B, n, F), and the state after them, next_columns, ..., next_level.

    Raises:
        ValueError: the weights are of another family than the specification says.
    """
    g = Graph(weights, precision, external_weights=external_weights)
    pcm = g.input("pcm", [BATCH, "samples"])
    state = _speech_state(g, spec)
    rows, *after = g.call(speech_piece(spec, KINDS[precision]), pcm, *state)
    g.output("features", rows, [BATCH, FRAMES, row_width(spec)])
    _speech_state_out(g, spec, after)
    return g.model("speech")


def sampler_graph(
    spec: ModelSpec,
    weights: TensorFile,
    steps: int | None,
    *,
    precision: int = FLOAT,
    external_weights: bool = True,
) -> onnx.ModelProto:
    """Samples in `steps` network calls, unrolled; None: in a loop, any number.

    Inputs: noise (B, n, D), noise_scale (B, D), and those of `export.graphs.modules.Step` from
    `features` on.  With a loop, also times (K,) int64 and solver (K, 5), from
    `diffposetalk.sampling.solver`.
    Output: motion (B, n, D).

    Raises:
        ValueError: a network that cannot be exported, or a tensor that is not there.
    """
    g, D, F = (
        Graph(weights, precision, external_weights=external_weights),
        spec.d_motion,
        row_width(spec),
    )
    call = {
        "noise": g.input("noise", [BATCH, FRAMES, D]),
        "noise_scale": g.input("noise_scale", [BATCH, D]),
        "features": g.input("features", [BATCH, FRAMES, F]),
        "context_features": g.input("context_features", [BATCH, spec.T_p, F]),
        "context_motion": g.input("context_motion", [BATCH, spec.T_p, D]),
        "known_motion": g.input("known_motion", [BATCH, FRAMES, D]),
        **_person(g, spec),
        **{name: g.input(name, [BATCH], INT64) for name in ("missing", "valid", "known")},
        **_branches(g, spec),
    }
    g.output("motion", _sample(g, spec, call, steps), [BATCH, FRAMES, D])
    return g.model("sampler" if steps is None else f"sampler_{steps}")


def hop_graph(
    spec: ModelSpec,
    weights: TensorFile,
    steps: int,
    *,
    precision: int = FLOAT,
    external_weights: bool = True,
) -> onnx.ModelProto:
    """A hop at the live defaults' H, R and window rule, in `steps` network calls, and the state
    that the next hop starts from (`export.graphs.modules.Window`; L = T_p + n rows).

    Inputs, new with every hop: pcm (B, 640 H), normalised for `hubert`; noise (B, H, D).
    Inputs that are the outputs `next_*` of the hop before:
        `mel`: features (B, L, F), columns, tail, level (`MelState`); `hubert`: sound (B, 640 L);
        motion (B, L - R, D), held_noise (B, n, D), and with `adjacent` committed (B,) int64, c.
    Inputs that stay: noise_scale, shape, style, audio_guidance, style_guidance, branch_gives,
        branch_weights (`Step`).
    Outputs: new_motion (B, H, D) of frames [c, c + H), and `next_*`.

    Raises:
        ValueError: as `sampler_graph`.
    """
    g, D, hop = (
        Graph(weights, precision, external_weights=external_weights),
        spec.d_motion,
        spec.live.hop,
    )
    n, pieces, speech = window_frames(spec), hop_pieces(spec), speech_piece(spec, KINDS[precision])
    rows, frame = spec.T_p + n, spec.frame_samples
    pcm = g.input("pcm", [BATCH, frame * hop])
    noise = g.input("noise", [BATCH, hop, D])
    if spec.speech.kind == "mel":
        before = g.input("features", [BATCH, rows, row_width(spec)])
        fresh, *after = g.call(speech, pcm, *_speech_state(g, spec))
        _speech_state_out(g, spec, after)
        (heard,) = g.call(pieces["joined"], before, fresh)
        g.output("next_features", heard, [BATCH, rows, row_width(spec)])
    else:
        (sound,) = g.call(pieces["joined"], g.input("sound", [BATCH, rows * frame]), pcm)
        g.output("next_sound", sound, [BATCH, rows * frame])
        (heard,) = g.call(speech, sound)
    motion = g.input("motion", [BATCH, rows - spec.live.lookahead, D])
    held = g.input("held_noise", [BATCH, n, D])
    adjacent = spec.live.window_rule == "adjacent"
    if adjacent:
        committed = g.input("committed", [BATCH], INT64)
    else:  # whole windows alone: no context is missing
        size = g.op("Shape", pcm, start=0, end=1)
        committed = g.op("Expand", g.constant([spec.T_p], np.int64), size)
    window = g.call(pieces["window"], heard, motion, held, noise, committed)
    call = dict(zip(WINDOW_OUTPUTS, window, strict=True))
    call |= {"noise_scale": g.input("noise_scale", [BATCH, D]), **_person(g, spec)}
    call |= _branches(g, spec)
    x0 = _sample(g, spec, call, steps)
    fresh, moved, later = g.call(pieces["moved"], x0, motion, committed)
    g.output("new_motion", fresh, [BATCH, hop, D])
    g.output("next_motion", moved, [BATCH, rows - spec.live.lookahead, D])
    g.output("next_held_noise", call["noise"], [BATCH, n, D])
    if adjacent:
        g.output("next_committed", later, [BATCH], INT64)
    return g.model(f"hop_{steps}")


def _speech_state(g: Graph, spec: ModelSpec) -> list[str]:
    if spec.speech.kind == "hubert":
        return []
    return [g.input(name, [BATCH, *dims]) for name, dims in state_dims(spec).items()]


def _speech_state_out(g: Graph, spec: ModelSpec, after: Sequence[str]) -> None:
    for (name, dims), value in zip(state_dims(spec).items(), after, strict=False):
        g.output(f"next_{name}", value, [BATCH, *dims])


def _person(g: Graph, spec: ModelSpec) -> Values:
    """Inputs that stay from hop to hop: shape, style, and the guidance scales of both."""
    shape = {"shape": g.input("shape", [BATCH, spec.n_shape])}
    style = {"style": g.input("style", [BATCH, spec.style.d_style])} if spec.use_style else {}
    scales = ("audio_guidance", "style_guidance")
    return shape | style | {name: g.input(name, [BATCH]) for name in scales}


def _branches(g: Graph, spec: ModelSpec) -> Values:
    """The inputs that say which guidance branches there are, where there are any."""
    if spec.denoiser.guidance_input:
        return {}
    dims = {"branch_gives": 2, "branch_weights": 3}
    return {name: g.input(name, ["branches", size]) for name, size in dims.items()}


def _sample(g: Graph, spec: ModelSpec, call: Values, steps: int | None) -> str:
    """Motion (B, n, D) of a call."""
    if spec.denoiser.align_mask_width != 1:
        raise ValueError(
            f"an alignment mask of width {spec.denoiser.align_mask_width} cannot be exported, "
            "only of width 1: use the torch backend"
        )
    begin, step = start_piece(spec.d_motion), step_piece(spec, KINDS[g.precision])

    def started(alpha: str, sigma: str) -> str:
        own = [call[name] for name in begin.inputs[:-2]]
        return g.call(begin, *own, alpha, sigma)[0]

    def advanced(x: str, previous: str, time: str, numbers: Sequence[str]) -> list[str]:
        own = [call[name] for name in step.inputs[8:]]
        return g.call(step, x, previous, time, *numbers, *own)

    if steps is None:
        return _looped(g, started, advanced)
    solver = solver_table(noise_schedule(spec.diffusion), steps)
    *_, alpha, sigma = [g.constant([number]) for number in solver.table[0]]
    x = x0 = started(alpha, sigma)
    for time, numbers in zip(solver.times, solver.table, strict=True):
        row = [g.constant([number]) for number in numbers]
        x, x0 = advanced(x, x0, g.constant([time], np.int64), row)
    return x0


def _looped(
    g: Graph,
    started: Callable[[str, str], str],
    advanced: Callable[[str, str, str, Sequence[str]], Sequence[str]],
) -> str:
    """The steps with the solver's numbers as inputs."""
    times, table = g.input("times", ["steps"], INT64), g.input("solver", ["steps", 5])

    def numbers(i: str) -> list[str]:
        row = g.op("Gather", table, i, axis=0)
        places = (g.constant([at], np.int64) for at in range(5))
        return [g.op("Gather", row, place, axis=0) for place in places]

    *_, alpha, sigma = numbers(g.constant(0, np.int64))
    x = started(alpha, sigma)

    def step(i: str, carried: Sequence[str]) -> Sequence[str]:
        time = g.op("Unsqueeze", g.op("Gather", times, i, axis=0), g.constant([0], np.int64))
        x, previous = carried
        return advanced(x, previous, time, numbers(i))

    count = g.op("Squeeze", g.op("Shape", times), g.constant([0], np.int64))
    return g.loop(count, (x, x), step)[1]
