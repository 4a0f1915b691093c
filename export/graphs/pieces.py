"""The pieces that a specification's graphs are put together of, traced once and kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor

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
from export.graphs.trace import Dims, Piece, trace

BATCH, FRAMES, BRANCHES = 2, 3, 3
"""Sizes of the examples: none is 1 and no other dimension has them by necessity."""
STEP_OUTPUTS = ("next", "x0")
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


def state_dims(spec: ModelSpec) -> dict[str, list[int]]:
    """Dimensions of the speech encoder's streaming state, after the batch."""
    speech = spec.speech
    sizes = (
        [KEPT_COLUMNS, speech.n_mels],
        [KEPT_HIDDEN, speech.d_hidden],
        [sum(KEPT_FRAMES), speech.d_out],
        [TAIL_SAMPLES],
        [3],
    )
    return dict(zip(MelState._fields, sizes, strict=True))


def speech_piece(spec: ModelSpec, kind: torch.dtype) -> Piece:
    """`MelSpeech` or `HubertSpeech`."""
    net = spec.denoiser
    width = DenoiserSpec(d_model=net.d_model, n_heads=net.n_heads, n_layers=net.n_layers)
    return _speech(ModelSpec(speech=spec.speech, denoiser=width), kind)


def step_piece(spec: ModelSpec, kind: torch.dtype) -> Piece:
    """`Step`."""
    return _step(_plain(spec), kind)


def _plain(spec: ModelSpec) -> ModelSpec:
    """The specification without what no network knows: live settings but the threshold."""
    quantile = spec.live.threshold_quantile
    return dataclasses.replace(spec, live=LiveDefaults(threshold_quantile=quantile))


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
    model, frame = _model(spec, kind), spec.frame_samples
    pcm = (torch.randn(BATCH, FRAMES * frame), ("batch", f"{frame}*frames"))
    if spec.speech.kind == "hubert":
        return trace(HubertSpeech(model), {"pcm": pcm}, ["features"])
    state = {name: _example("batch", *dims) for name, dims in state_dims(spec).items()}
    return trace(
        MelSpeech(model), {"pcm": pcm, **state}, ["features", *(f"next_{name}" for name in state)]
    )


@lru_cache(maxsize=16)
def _step(spec: ModelSpec, kind: torch.dtype) -> Piece:
    D, T_p, F = spec.d_motion, spec.T_p, row_width(spec)
    inputs: dict[str, tuple[Tensor, Dims]] = {
        "x": _example("batch", "frames", D),
        "previous": _example("batch", "frames", D),
        "time": (torch.tensor([1]), (None,)),
        **{name: _example(1) for name in ("a", "b", "c", "alpha", "sigma")},
        "features": _example("batch", "frames", F),
        "context_features": _example("batch", T_p, F),
        "context_motion": _example("batch", T_p, D),
        "known_motion": _example("batch", "frames", D),
        "shape": _example("batch", spec.n_shape),
        "audio_guidance": _example("batch"),
        "style_guidance": _example("batch"),
        **{name: _count() for name in ("missing", "valid", "known")},
    }
    if spec.use_style:
        inputs["style"] = _example("batch", spec.style.d_style)
    if not spec.denoiser.guidance_input:
        inputs["branch_gives"] = _example("branches", 2)
        inputs["branch_weights"] = _example("branches", 3)
    return trace(Step(_model(spec, kind)), inputs, STEP_OUTPUTS)


@lru_cache(maxsize=16)
def start_piece(D: int) -> Piece:
    """`Start`."""
    inputs = {
        "noise": _example("batch", "frames", D),
        "noise_scale": _example("batch", D),
        "known_motion": _example("batch", "frames", D),
        "known": _count(),
        "alpha": _example(1),
        "sigma": _example(1),
    }
    return trace(Start(), inputs, ["x"])


@lru_cache(maxsize=16)
def hop_pieces(spec: ModelSpec) -> Mapping[str, Piece]:
    """`Window`, `Moved` and `Joined` (of features or sound)."""
    n, D, F, hop = window_frames(spec), spec.d_motion, row_width(spec), spec.live.hop
    rows = spec.T_p + n
    motion = _example("batch", rows - spec.live.lookahead, D)
    committed = _count()
    joined = _example("batch", rows, F), _example("batch", hop, F)
    if spec.speech.kind == "hubert":
        frame = spec.frame_samples
        joined = _example("batch", rows * frame), _example("batch", hop * frame)
    window = {
        "heard": _example("batch", rows, F),
        "motion": motion,
        "held_noise": _example("batch", n, D),
        "noise": _example("batch", hop, D),
        "committed": committed,
    }
    moved = {"x0": _example("batch", n, D), "motion": motion, "committed": committed}
    return {
        "window": trace(Window(spec), window, WINDOW_OUTPUTS),
        "moved": trace(Moved(spec), moved, ["new_motion", "next_motion", "next_committed"]),
        "joined": trace(Joined(), dict(zip(("before", "fresh"), joined, strict=True)), ["rows"]),
    }


def _example(*dims: int | str) -> tuple[Tensor, Dims]:
    """A tensor of these dimensions, those by name free."""
    sizes = {"batch": BATCH, "frames": FRAMES, "branches": BRANCHES}
    shape = [sizes[dim] if isinstance(dim, str) else dim for dim in dims]
    return torch.randn(shape), tuple(dim if isinstance(dim, str) else None for dim in dims)


def _count() -> tuple[Tensor, Dims]:
    """A number for each entry; a tensor of its own, as two inputs that are one become one."""
    return torch.ones(BATCH, dtype=torch.int64), ("batch",)
