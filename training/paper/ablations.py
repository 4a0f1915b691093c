"""The networks of the table: the full model at a small size, and what is left without each part.

All of them learn from the same tracks, with the same speech and style encoders at the start, the
same batches and the same number of steps; one thing differs at a time (Sun et al. 2024, table 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from diffposetalk.sampling.samplers import add_noise
from diffposetalk.schedule import noise_schedule, sampling_times
from diffposetalk.spec import (
    DenoiserSpec,
    LiveDefaults,
    ModelSpec,
    SpeechEncoderSpec,
    StyleEncoderSpec,
)
from training.loop.losses import FaceGeometry, Weights, motion_losses
from training.speech.column_augment import disturbed
from training.speech.track_batches import Tracks
from training.starter.adjacent_windows import (
    Training,
    draw_times,
    missing_slots,
    perturb,
    start_slots,
)

LOOKAHEAD_FRAMES, HOP_FRAMES = 2, 10
NEW_FRAMES = LOOKAHEAD_FRAMES + HOP_FRAMES
"""Frames of a window: those of the table's live settings, and no others."""
CROP_FRAMES = 44
CROPS, WINDOWS_PER_CROP = 8, 6
SHORTER = 0.15
"""Batches of shorter windows, as a stream's last one is."""
STYLE_NULL, BOTH_NULL = 0.35, 0.10
"""How often the official code nulls the style alone, and style and audio."""
START = 0.12
"""Windows whose context is not wholly real."""
SPEECH_SHARE = 0.15
SIMPLE_ONLY = Weights(
    vert=0.0, vel=0.0, smooth=0.0, gap=0.0, angle=0.0, head_velocity=0.0, head_smooth=0.0
)
"""Equation 2 alone: neither the face's geometric losses nor the head's."""

SMALL = ModelSpec(
    T_p=12,
    speech=SpeechEncoderSpec(kind="mel", d_out=128, n_mels=80, d_hidden=96, history_frames=26),
    denoiser=DenoiserSpec(d_model=128, n_heads=4, n_layers=3),
    style=StyleEncoderSpec(d_style=64, n_heads=4, n_layers=2),
    live=LiveDefaults(
        hop=HOP_FRAMES,
        lookahead=LOOKAHEAD_FRAMES,
        steps=2,
        window_rule="adjacent",
        audio_guidance=1.15,
        style_guidance=3.0,
    ),
)
"""The full model of the table, guided as the paper's is."""


@dataclass(frozen=True)
class Variant:
    """One network of the table.

    Attributes:
        name: of its folder; told: in the table.
        mask: alignment mask of width 1; without it every token attends to all speech frames of
            the window and its context.
        styled: a style vector is given.
        geometric: all terms of equation 6, else equation 2 alone.
        guided: conditions are dropped while training and guided while sampling.
        diffusion: else one deterministic call from x_t = 0 at the first sampling time.
    """

    name: str
    told: str
    mask: bool = True
    styled: bool = True
    geometric: bool = True
    guided: bool = True
    diffusion: bool = True

    def spec(self) -> ModelSpec:
        """The network and its live settings."""
        live = SMALL.live
        if not self.guided:
            live = replace(live, audio_guidance=1.0, style_guidance=1.0)
        if not self.styled:
            live = replace(live, style_guidance=1.0)
        if not self.diffusion:
            live = replace(live, steps=1, lip_noise=0.0, face_noise=0.0, head_noise=0.0)
        net = replace(SMALL.denoiser, align_mask_width=1 if self.mask else 0)
        return replace(SMALL, denoiser=net, use_style=self.styled, live=live)


VARIANTS = (
    Variant("full", "full model"),
    Variant("no-geometric-losses", "without geometric losses", geometric=False),
    Variant("no-alignment-mask", "without alignment mask", mask=False),
    Variant("no-guidance", "without guidance", guided=False),
    Variant("no-style", "without style", styled=False),
    Variant("regression", "deterministic regression", guided=False, diffusion=False),
)


def window_length(rng: np.random.Generator) -> int:
    """Frames of a batch's windows: all, or now and then fewer."""
    return int(rng.integers(1, NEW_FRAMES)) if rng.random() < SHORTER else NEW_FRAMES


class VariantLosses:
    """Draws batches of windows and returns a variant's loss on them; call it once a step."""

    def __init__(
        self,
        variant: Variant,
        training: Training,
        tracks: Tracks,
        geometry: FaceGeometry,
        styles: Tensor,
    ) -> None:
        self.variant, self.training, self.tracks = variant, training, tracks
        self.geometry, self.styles = geometry, styles  # styles (n_styles, m, d_style)
        self.schedule = noise_schedule(training.model.spec.diffusion)
        self.weights = Weights() if variant.geometric else SIMPLE_ONLY

    def __call__(self, rng: np.random.Generator, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of one batch, and its terms."""
        model = self.training.model
        spec, T_p = model.spec, model.spec.T_p
        crops = self.tracks.crops(CROPS, T_p + CROP_FRAMES, spec.speech.history_frames, rng)
        encoded = model.audio_encoder(disturbed(crops.columns, rng))
        speech_loss, speech_terms = self.training.speech.feature_losses(encoded, crops)
        features = model.audio_feature_map(encoded)

        n = window_length(rng)
        rows = torch.arange(CROPS).repeat_interleave(WINDOWS_PER_CROP)
        starts = torch.from_numpy(rng.integers(T_p, T_p + CROP_FRAMES - n + 1, len(rows)))
        span = starts[:, None] + torch.arange(-T_p, n)[None]  # (B, T_p + n)
        motion = crops.motion[rows[:, None], span]
        context_features, now = features[rows[:, None], span].split([T_p, n], 1)
        context, x0 = motion.split([T_p, n], 1)
        missing = missing_slots(len(rows), T_p, START, rng)
        context, context_features = start_slots(
            model, perturb(context, rng), context_features, missing
        )
        person, now = self._conditions(crops.style[rows], now, rng)
        x_t, t = self._noised(x0, rng)
        net = model.denoising_net
        terms = net.audio_terms(torch.cat([context_features, now], 1))
        predicted = net.denoise(x_t, t, terms, person, context).float()
        # The last clean context frame joins the window, so that differences reach over the seam.
        clean = motion[:, T_p - 1 : T_p]
        loss, parts = motion_losses(
            torch.cat([clean, predicted], 1), torch.cat([clean, x0], 1), self.geometry, self.weights
        )
        loss = loss + SPEECH_SHARE * speech_loss
        return loss, {**parts, "accuracy": speech_terms["accuracy"]}

    def _conditions(
        self, style_ids: Tensor, features: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Person (B, 1, P) and speech features (B, n, d), nulled at times if there is guidance."""
        model = self.training.model
        coin = torch.from_numpy(rng.random(len(style_ids)))
        choice = torch.from_numpy(rng.integers(0, self.styles.shape[1], len(style_ids)))
        shape = torch.zeros(len(style_ids), model.spec.n_shape)
        style = None
        if self.variant.guided:
            features = torch.where(
                (coin < BOTH_NULL)[:, None, None], model.null_audio_feat, features
            )
        if self.variant.styled:
            style = self.styles[style_ids, choice]
            if self.variant.guided:
                null = (coin < BOTH_NULL + STYLE_NULL)[:, None]
                style = torch.where(null, model.null_style_feat[:, 0], style)
        return model.person(shape, style), features

    def _noised(self, x0: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """x_t and t of a batch."""
        if not self.variant.diffusion:
            first = sampling_times(self.schedule, 1)[0]
            return torch.zeros_like(x0), torch.full((len(x0),), first)
        t = draw_times(len(x0), self.schedule, rng)
        return add_noise(x0, torch.randn_like(x0), t, self.schedule), t
