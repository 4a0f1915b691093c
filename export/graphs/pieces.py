"""The pieces that a specification's graphs are put together of, traced once and kept.

Here stand the sizes of all that goes in: a piece's inputs are those of the graph, unless another
piece gives them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import lru_cache

import torch

from diffposetalk.network.mel import MelEncoder, MelState
from diffposetalk.network.mel_front import (
    KEPT_COLUMNS,
    KEPT_FRAMES,
    KEPT_HIDDEN,
    TAIL_SAMPLES,
    mel_filterbank,
)
from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.spec import DenoiserSpec, LiveDefaults, ModelSpec
from export.graphs.modules import (
    HubertSpeech,
    Joined,
    MelSpeech,
    Moved,
    Start,
    Step,
    Window,
    window_frames,
)
from export.graphs.trace import Input, Piece, trace

SIZES = {"batch": 2, "frames": 3, "branches": 3}
"""Sizes of the examples: none is 1, and no other dimension has them by necessity."""
WINDOW_OUTPUTS = (
    "features",
    "context_features",
    "noise",
    "context_motion",
    "known_motion",
    "missing",
    "valid",
    "known",
)


def row_width(spec: ModelSpec) -> int:
    """F, the width of a feature row: audio terms with `mel`, features with `hubert`."""
    terms = 3 * spec.denoiser.n_layers if spec.speech.kind == "mel" else 1
    return terms * spec.denoiser.d_model


def speech_piece(spec: ModelSpec, kind: torch.dtype) -> Piece:
    """`MelSpeech` or `HubertSpeech`: pcm and the encoder's state, if it has one."""
    net = spec.denoiser
    width = DenoiserSpec(d_model=net.d_model, n_heads=net.n_heads, n_layers=net.n_layers)
    return _speech(ModelSpec(speech=spec.speech, denoiser=width), kind)


def step_piece(spec: ModelSpec, kind: torch.dtype) -> Piece:
    """`Step`; what no network knows, live settings but the threshold, makes no difference."""
    quantile = spec.live.threshold_quantile
    return _step(dataclasses.replace(spec, live=LiveDefaults(threshold_quantile=quantile)), kind)


@lru_cache(maxsize=16)
def start_piece(D: int) -> Piece:
    """`Start`."""
    inputs = {
        "noise": _like("batch", "frames", D),
        "noise_scale": _like("batch", D),
        "known_motion": _like("batch", "frames", D),
        "known": _count(),
        "alpha": _like(1),
        "sigma": _like(1),
    }
    return trace(Start(), inputs, ["x"])


@lru_cache(maxsize=16)
def hop_pieces(spec: ModelSpec) -> Mapping[str, Piece]:
    """`Joined` (of features or sound), `Window` and `Moved`."""
    n, D, F, hop = window_frames(spec), spec.d_motion, row_width(spec), spec.live.hop
    rows, frame = spec.T_p + n, spec.frame_samples
    motion, committed = _like("batch", rows - spec.live.lookahead, D), _count()
    joined = {"before": _like("batch", rows, F), "fresh": _like("batch", hop, F)}
    if spec.speech.kind == "hubert":
        joined = {"before": _like("batch", rows * frame), "fresh": _like("batch", hop * frame)}
    window = {
        "heard": _like("batch", rows, F),
        "motion": motion,
        "held_noise": _like("batch", n, D),
        "noise": _like("batch", hop, D),
        "committed": committed,
    }
    moved = {"x0": _like("batch", n, D), "motion": motion, "committed": committed}
    return {
        "joined": trace(Joined(), joined, ["rows"]),
        "window": trace(Window(spec), window, WINDOW_OUTPUTS),
        "moved": trace(Moved(spec), moved, ["new_motion", "next_motion", "next_committed"]),
    }


@lru_cache(maxsize=2)
def _model(spec: ModelSpec, kind: torch.dtype) -> DiffPoseTalk:
    """A network of these shapes; what its weights are is nobody's concern."""
    state = torch.random.get_rng_state()
    model = DiffPoseTalk(spec).eval().to(kind)
    torch.random.set_rng_state(state)
    if isinstance(model.audio_encoder, MelEncoder):
        model.audio_encoder.filters = torch.from_numpy(mel_filterbank(spec.speech.n_mels))
    return model


@lru_cache(maxsize=16)
def _speech(spec: ModelSpec, kind: torch.dtype) -> Piece:
    model, frame, speech = _model(spec, kind), spec.frame_samples, spec.speech
    pcm = Input(torch.randn(SIZES["batch"], SIZES["frames"] * frame), ("batch", f"{frame}*frames"))
    if speech.kind == "hubert":
        return trace(HubertSpeech(model), {"pcm": pcm}, ["features"])
    state = MelState(
        columns=_like("batch", KEPT_COLUMNS, speech.n_mels),
        hidden=_like("batch", KEPT_HIDDEN, speech.d_hidden),
        frames=_like("batch", sum(KEPT_FRAMES), speech.d_out),
        tail=_like("batch", TAIL_SAMPLES),
        level=_like("batch", 3),
    )._asdict()
    after = [f"next_{name}" for name in state]
    return trace(MelSpeech(model), {"pcm": pcm, **state}, ["features", *after])


@lru_cache(maxsize=16)
def _step(spec: ModelSpec, kind: torch.dtype) -> Piece:
    D, T_p, F = spec.d_motion, spec.T_p, row_width(spec)
    inputs = {
        "x": _like("batch", "frames", D),
        "previous": _like("batch", "frames", D),
        "time": Input(torch.tensor([1]), (1,)),
        **{name: _like(1) for name in ("a", "b", "c", "alpha", "sigma")},
        "features": _like("batch", "frames", F),
        "context_features": _like("batch", T_p, F),
        "context_motion": _like("batch", T_p, D),
        "known_motion": _like("batch", "frames", D),
        "shape": _like("batch", spec.n_shape),
        "audio_guidance": _like("batch"),
        "style_guidance": _like("batch"),
        **{name: _count() for name in ("missing", "valid", "known")},
    }
    if spec.use_style:
        inputs["style"] = _like("batch", spec.style.d_style)
    if not spec.denoiser.guidance_input:
        inputs["branch_gives"] = _like("branches", 2)
        inputs["branch_weights"] = _like("branches", 3)
    return trace(Step(_model(spec, kind)), inputs, ["next", "x0"])


def _like(*dims: int | str) -> Input:
    """Numbers of these dimensions, those by name free."""
    return Input(torch.randn([SIZES[d] if isinstance(d, str) else d for d in dims]), dims)


def _count() -> Input:
    """A number for each entry; a tensor of its own, as two inputs that are one become one."""
    return Input(torch.ones(SIZES["batch"], dtype=torch.int64), ("batch",))
