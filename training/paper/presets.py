"""Settings of whole trainings, by name: both networks, their losses and their runs.

| | `paper` | `code` | `starter` | `tiny` |
|---|---|---|---|---|
| network | official | official | the starter's | for trying things out |
| speech, two windows | encoded together | one by one | together (causal) | together (causal) |
| frozen | HuBERT's convolutions | and projection, layers 0, 1 | nothing | nothing |
| style pair | halves side by side | 10 frames apart | 10 frames apart | 10 frames apart |
| style / denoiser steps | 26k / 90k | 26k / 110k | 4k / 20k | 300 / 600 |
| windows | 100 frames | 100 frames | 3 to 100, as live | 100 frames |

`paper` is what Sun et al. 2024 say (sections 3 and 4.2), `code` what the released code does where
it differs; where the paper is silent, both do what the code does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from diffposetalk.spec import DenoiserSpec, ModelSpec, SpeechEncoderSpec, StyleEncoderSpec
from training.loop.losses import PAPER, Weights
from training.starter.train import STARTER

PresetName = Literal["paper", "code", "starter", "tiny"]
Part = Literal["geometry", "alignment", "style", "guidance", "head"]
"""What an ablation leaves out; `head` trains a model without head rotation."""


@dataclass(frozen=True)
class Run:
    """A network's optimisation.

    Attributes:
        steps, batch: updates, and samples in each.
        rate, warm_up: learning rate, and steps until it is reached; decay: it falls as a cosine.
        ema, clip, weight_decay: see `training.loop.trainer.RunSettings`.
    """

    steps: int
    batch: int
    rate: float = 1e-4
    warm_up: int = 1
    decay: bool = False
    ema: float = 0.0
    clip: float = 0.0
    weight_decay: float = 0.0


@dataclass(frozen=True)
class StyleTraining:
    """The style encoder: NT-Xent over pairs of windows with `gap` frames between them."""

    run: Run = field(default_factory=lambda: Run(26_000, 32))
    gap: int = 10
    temperature: float = 0.1


@dataclass(frozen=True)
class DenoiserTraining:
    """The denoiser: two windows a sample, with crossed styles (section 3.3.2).

    Attributes:
        run: its optimisation.
        weights: of equation 6.
        vertices: beside the lips' that the losses look at; None takes the whole head.
        dropout: inside the denoiser's layers.
        together: both windows' speech is encoded in one pass.
        frozen_layers: of HuBERT, from the first on; its feature projection if there are any.
        style_null, both_null: shares of samples whose style alone, or style and speech, is null.
        truncated: shares of batches whose first, second window ends early.
        live: windows of any length, with the context and diffusion times that live calls have.
    """

    run: Run = field(default_factory=lambda: Run(90_000, 16, warm_up=5_000))
    weights: Weights = PAPER
    vertices: int | None = None
    dropout: float = 0.1
    together: bool = True
    frozen_layers: int = 0
    style_null: float = 0.35
    both_null: float = 0.10
    truncated: tuple[float, float] = (0.3, 0.4)
    live: bool = False


@dataclass(frozen=True)
class Preset:
    """A whole training."""

    spec: ModelSpec = field(default_factory=ModelSpec)
    style: StyleTraining = field(default_factory=StyleTraining)
    denoiser: DenoiserTraining = field(default_factory=DenoiserTraining)

    def without(self, parts: tuple[Part, ...]) -> Preset:
        """The ablations of table 1: geometric losses, alignment mask, style encoder, guidance."""
        spec, denoiser = self.spec, self.denoiser
        live = spec.live
        if "geometry" in parts:
            denoiser = replace(denoiser, weights=denoiser.weights.without_geometry())
        if "alignment" in parts:
            spec = replace(spec, denoiser=replace(spec.denoiser, align_mask_width=0))
        if "style" in parts:
            spec, live = replace(spec, use_style=False), replace(live, style_guidance=1.0)
        if "guidance" in parts:
            denoiser = replace(denoiser, style_null=0.0, both_null=0.0)
            live = replace(live, audio_guidance=1.0, style_guidance=1.0)
        if "head" in parts:
            spec = replace(spec, head_rotation=False)
        return replace(self, spec=replace(spec, live=live), denoiser=denoiser)


_TINY = ModelSpec(
    speech=SpeechEncoderSpec(kind="mel", d_out=32, n_mels=80, d_hidden=24, history_frames=26),
    denoiser=DenoiserSpec(d_model=48, n_heads=4, n_layers=2),
    style=StyleEncoderSpec(d_style=16, n_heads=2, n_layers=1),
)
_AS_RECORDED = replace(
    STARTER,
    speech=replace(STARTER.speech, d_out=256, d_hidden=128, input_gain=False),
    denoiser=replace(STARTER.denoiser, past_mouth=True),
)
"""The starter's sizes, but for a speech encoder as wide as it was when trainings began that may go
on; clips are heard as loud as they are, and so must be what is spoken live.  Another head has
other channels in these places, so the past tells all of them."""
_LIVE = DenoiserTraining(
    run=Run(20_000, 16, 6e-4, warm_up=300, decay=True, ema=0.999, clip=1.0, weight_decay=0.01),
    weights=replace(Weights(), transition=0.0),
    vertices=60,
    dropout=0.0,  # too small a network to forget anything
    live=True,
)

PRESETS: dict[PresetName, Preset] = {
    "paper": Preset(style=StyleTraining(gap=0)),
    "code": Preset(
        denoiser=DenoiserTraining(
            run=Run(110_000, 16, warm_up=5_000), together=False, frozen_layers=2
        )
    ),
    "starter": Preset(
        _AS_RECORDED, StyleTraining(Run(4_000, 32, 5e-4, decay=True, clip=1.0)), _LIVE
    ),
    "tiny": Preset(
        _TINY,
        StyleTraining(Run(300, 8, 1e-3, warm_up=20, decay=True)),
        replace(
            _LIVE,
            live=False,
            run=replace(_LIVE.run, steps=600, batch=8, rate=1e-3, warm_up=20, ema=0.99),
        ),
    ),
}
