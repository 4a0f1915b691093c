"""The graphs of a bundle, put together of traced pieces: speech, samplers, whole hops.

Every choice of a call is an input and may differ from entry to entry.  What goes in is what the
pieces take (`export.graphs.pieces`) and no other piece gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from diffposetalk.sampling.solver import solver_table
from diffposetalk.schedule import noise_schedule
from diffposetalk.spec import ModelSpec
from export.graphs.assembly import BFLOAT16, FLOAT, FLOAT16, INT64, Graph
from export.graphs.modules import window_frames
from export.graphs.pieces import hop_pieces, row_width, speech_piece, start_piece, step_piece
from head.errors import WrongValue

KINDS = {FLOAT: torch.float32, FLOAT16: torch.float16, BFLOAT16: torch.bfloat16}
NUMBERS = ("a", "b", "c", "alpha", "sigma")
"""Of a step, as the columns of a solver's table."""


def add_speech(g: Graph, spec: ModelSpec) -> None:
    """Sound to feature rows.

    Inputs: pcm (B, 640 n), normalised for `hubert`; with `mel` the state of `MelState`, by its
    names.  Outputs: features (B, n, F), and the state after them, next_columns, ..., next_level.
    """
    g.input("pcm", ["batch", "samples"])
    rows, *after = _heard(g, spec, {}).items()
    g.output(*rows, ["batch", "frames", row_width(spec)])
    _speech_state(g, spec, dict(after))


def add_sampler(g: Graph, spec: ModelSpec, steps: int | None) -> None:
    """Samples in `steps` network calls, unrolled; None: in a loop, any number.

    Inputs: noise (B, n, D), noise_scale (B, D), and those of `export.graphs.modules.Step` from
    `features` on.  With a loop, also times (K,) int64 and solver (K, 5), from
    `diffposetalk.sampling.solver`.
    Output: motion (B, n, D).

    Raises:
        ValueError: a network that cannot be exported.
    """
    g.output("motion", _sampled(g, spec, {}, steps), ["batch", "frames", spec.d_motion])


def add_hop(g: Graph, spec: ModelSpec, steps: int) -> None:
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
        ValueError: as `add_sampler`.
    """
    pieces, D, hop = hop_pieces(spec), spec.d_motion, spec.live.hop
    rows, frame = spec.T_p + window_frames(spec), spec.frame_samples
    pcm = g.input("pcm", ["batch", frame * hop])

    def joined(name: str, fresh: str) -> str:
        piece = pieces["joined"]
        dims = piece.inputs["before"].dims
        newest = g.call(piece, {"before": g.input(name, dims), "fresh": fresh})["rows"]
        g.output(f"next_{name}", newest, dims)
        return newest

    if spec.speech.kind == "mel":
        fresh = _heard(g, spec, {})
        _speech_state(g, spec, fresh)
        heard = joined("features", fresh["features"])
    else:
        heard = _heard(g, spec, {"pcm": joined("sound", pcm)})["features"]
    state = {"heard": heard}
    adjacent = spec.live.window_rule == "adjacent"
    if not adjacent:  # whole windows alone: no context is missing
        size = g.op("Shape", pcm, start=0, end=1)
        state["committed"] = g.op("Expand", g.constant([spec.T_p], np.int64), size)
    window = g.call(pieces["window"], state)
    x0 = _sampled(g, spec, window, steps)
    moved = g.call(pieces["moved"], state | {"x0": x0})
    g.output("new_motion", moved["new_motion"], ["batch", hop, D])
    g.output("next_motion", moved["next_motion"], ["batch", rows - spec.live.lookahead, D])
    g.output("next_held_noise", window["noise"], ["batch", window_frames(spec), D])
    if adjacent:
        g.output("next_committed", moved["next_committed"], ["batch"], INT64)


def _heard(g: Graph, spec: ModelSpec, values: Mapping[str, str]) -> dict[str, str]:
    """Feature rows of sound, and the encoder's state after it."""
    return g.call(speech_piece(spec, KINDS[g.precision]), values)


def _speech_state(g: Graph, spec: ModelSpec, after: Mapping[str, str]) -> None:
    """The encoder's state after sound, as outputs."""
    inputs = speech_piece(spec, KINDS[g.precision]).inputs
    for name, value in after.items():
        if name != "features":
            g.output(name, value, inputs[name.removeprefix("next_")].dims)


def _sampled(g: Graph, spec: ModelSpec, call: Mapping[str, str], steps: int | None) -> str:
    """Motion (B, n, D) of a call."""
    if spec.denoiser.align_mask_width != 1:
        raise WrongValue(
            f"an alignment mask of width {spec.denoiser.align_mask_width} cannot be exported, "
            "only of width 1: use the torch backend"
        )
    begin, step = start_piece(spec.d_motion), step_piece(spec, KINDS[g.precision])

    def started(numbers: Mapping[str, str]) -> str:
        return g.call(begin, {**call, **numbers})["x"]

    def advanced(x: str, x0: str, time: str, numbers: Mapping[str, str]) -> list[str]:
        return [*g.call(step, {**call, **numbers, "x": x, "previous": x0, "time": time}).values()]

    if steps is not None:
        solver = solver_table(noise_schedule(spec.diffusion), steps)
        table = [
            {name: g.constant([number]) for name, number in zip(NUMBERS, row, strict=True)}
            for row in solver.table
        ]
        x = x0 = started(table[0])
        for time, numbers in zip(solver.times, table, strict=True):
            x, x0 = advanced(x, x0, g.constant([time], np.int64), numbers)
        return x0

    times = g.input("times", ["steps"], INT64)
    solver_rows = g.input("solver", ["steps", len(NUMBERS)])
    first = g.constant(0, np.int64)

    def numbers_of(i: str) -> dict[str, str]:
        row = g.op("Gather", solver_rows, i, axis=0)
        return {
            name: g.op("Gather", row, g.constant([at], np.int64), axis=0)
            for at, name in enumerate(NUMBERS)
        }

    def round_(i: str, carried: Sequence[str]) -> Sequence[str]:
        time = g.op("Unsqueeze", g.op("Gather", times, i, axis=0), g.constant([0], np.int64))
        x, x0 = carried
        return advanced(x, x0, time, numbers_of(i))

    x = started(numbers_of(first))
    count = g.op("Squeeze", g.op("Shape", times), g.constant([0], np.int64))
    return g.loop(count, (x, x), round_)[1]
