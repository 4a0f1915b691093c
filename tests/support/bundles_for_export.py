"""Tiny random bundles, one for each way a network can be built."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch

from diffposetalk.bundle.bundle import Bundle
from diffposetalk.bundle.saving import save_bundle
from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.spec import (
    DenoiserSpec,
    DiffusionSpec,
    HubertSpec,
    LiveDefaults,
    ModelSpec,
    SpeechEncoderSpec,
    Statistics,
    StyleEncoderSpec,
)
from head.rig import builtin_head

PLAIN = ModelSpec(
    T_w=20,
    T_p=5,
    n_shape=4,
    speech=SpeechEncoderSpec(kind="mel", d_out=16, n_mels=40, d_hidden=8),
    denoiser=DenoiserSpec(d_model=16, n_heads=2, n_layers=2),
    style=StyleEncoderSpec(d_style=8, n_heads=2, n_layers=1),
    live=LiveDefaults(
        hop=2, lookahead=2, steps=2, window_rule="adjacent", audio_guidance=1.0, style_guidance=1.0
    ),
)

SPECS = {
    "plain": PLAIN,
    "one branch": dataclasses.replace(
        PLAIN, denoiser=dataclasses.replace(PLAIN.denoiser, guidance_input=True)
    ),
    "past without its mouth": dataclasses.replace(
        PLAIN, denoiser=dataclasses.replace(PLAIN.denoiser, past_mouth=False)
    ),
    "hubert": dataclasses.replace(
        PLAIN,
        speech=SpeechEncoderSpec(
            kind="hubert",
            d_out=32,
            hubert=HubertSpec(
                n_layers=2, n_heads=2, d_hidden=48, d_conv=16, position_kernel=16, position_groups=4
            ),
        ),
        live=dataclasses.replace(
            PLAIN.live, window_rule="sliding", audio_guidance=1.15, style_guidance=3.0
        ),
    ),
    "official options": dataclasses.replace(
        PLAIN,
        head_rotation=False,
        use_style=False,
        denoiser=dataclasses.replace(PLAIN.denoiser, learnable_pe=False, use_indicator=False),
        diffusion=DiffusionSpec(target="noise"),
        live=dataclasses.replace(PLAIN.live, threshold_quantile=0.9),
    ),
}


def random_model(spec: ModelSpec, seed: int = 1) -> DiffPoseTalk:
    """A network none of whose parameters is zero or one."""
    torch.manual_seed(seed)
    model = DiffPoseTalk(spec)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim < 2 or "guidance_proj" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def save_random(folder: Path, spec: ModelSpec, *, seed: int = 1, half: bool = False) -> Bundle:
    """A bundle of `random_model`."""
    rng = np.random.default_rng(seed)
    D = spec.d_motion
    statistics = Statistics(
        rng.normal(size=D).astype(np.float32),
        rng.uniform(0.5, 2, D).astype(np.float32),
        np.zeros(spec.n_shape, np.float32),
        np.ones(spec.n_shape, np.float32),
    )
    size = spec.style.d_style if spec.use_style else 0
    styles = {name: rng.normal(size=size).astype(np.float32) for name in ("calm", "lively")}
    return save_bundle(
        folder,
        random_model(spec, seed),
        spec,
        statistics,
        styles,
        builtin_head().id,
        "a card",
        {},
        half=half,
    )
