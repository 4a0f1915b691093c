"""A real network that is tiny and random: every part of the model, in milliseconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from diffposetalk.bundle.saving import save_bundle
from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.spec import (
    DenoiserSpec,
    LiveDefaults,
    ModelSpec,
    SpeechEncoderSpec,
    Statistics,
    StyleEncoderSpec,
)
from head.rig import builtin_head
from stream.backends.torch_backend import TorchBackend

SPEC = ModelSpec(
    T_w=24,
    T_p=5,
    n_shape=4,
    speech=SpeechEncoderSpec(kind="mel", d_out=16, n_mels=40, d_hidden=8),
    denoiser=DenoiserSpec(d_model=16, n_heads=2, n_layers=2),
    style=StyleEncoderSpec(d_style=8, n_heads=2, n_layers=1),
    live=LiveDefaults(
        hop=2, lookahead=2, steps=2, window_rule="adjacent", audio_guidance=1.0, style_guidance=1.0
    ),
)


def save_tiny_bundle(folder: Path) -> Path:
    """Write it; the same weights every time."""
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    statistics = Statistics(
        rng.normal(size=54).astype(np.float32),
        rng.uniform(0.5, 2, 54).astype(np.float32),
        np.zeros(4, np.float32),
        np.ones(4, np.float32),
    )
    styles = {name: rng.normal(size=8).astype(np.float32) for name in ("calm", "lively")}
    head_id = builtin_head().id
    save_bundle(folder, DiffPoseTalk(SPEC), SPEC, statistics, styles, head_id, "a card", {})
    return folder


def tiny_backend(folder: Path) -> TorchBackend:
    """The backend of a bundle written to `folder`."""
    return TorchBackend.load(str(save_tiny_bundle(folder)), device="cpu", threads=1)


def speech(frames: int, seed: int = 0) -> np.ndarray:
    """Noise that swells and fades: (640 * frames,)."""
    rng = np.random.default_rng(seed)
    swell = np.abs(np.sin(np.arange(640 * frames) / 3000.0))
    return (0.2 * swell * rng.standard_normal(640 * frames)).astype(np.float32)
