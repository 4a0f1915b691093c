"""Train the denoiser on the windows it will meet live (design: `adjacent`).

A crop's features are computed once and many windows are cut from it: random start (so that the
context may be partly, or not at all, filled), random length from one hop plus lookahead to T_w, and
a context that is perturbed, because live the context is the model's own imperfect past.  Some long
windows are truncated as in the official training: silence and zero motion after their end, which
the indicator tells (the padding of `sliding` windows).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from diffposetalk.mel import COLUMNS, LOWEST
from diffposetalk.model import DiffPoseTalk
from diffposetalk.samplers import add_noise
from diffposetalk.schedule import NoiseSchedule, noise_schedule, sampling_times
from diffposetalk.spec import ModelSpec
from training.dataset import Tracks
from training.losses import ROTATION, FaceGeometry, Weights, motion_losses
from training.speech import LIPS, SpeechPretraining, mask_columns

LENGTHS = {3: 0.1, 4: 0.35, 6: 0.2, 12: 0.15, 25: 0.12, 50: 0.05, 100: 0.03}
"""Window lengths in frames and how often a batch has them."""
LONG = 25
DIGITAL_SILENCE = LOWEST
"""Normalised columns of zeros, which are below every room."""
TOKENS = 2200
"""Tokens per batch, whatever the window length: every step costs about the same."""


@dataclass(frozen=True)
class Dropout:
    """How often conditions are nulled (the official code: style 0.45 in all, both 0.10)."""

    style: float = 0.15
    both: float = 0.05
    audio: float = 0.05
    """Audio alone, so that it can be guided alone."""
    truncate: float = 0.5
    """Windows of LONG frames and more that end early."""
    start: float = 0.12
    """Windows whose context is not wholly real."""


class Training(nn.Module):
    """The model, with the speech heads that keep its features phonetic."""

    def __init__(self, spec: ModelSpec, speech: SpeechPretraining) -> None:
        super().__init__()
        self.model = DiffPoseTalk(spec, dropout=0.0)  # too small a network to forget anything
        self.model.audio_encoder.load_state_dict(speech.encoder.state_dict())
        self.speech = speech
        # One encoder: the heads are trained through the model's.
        self.speech.encoder = self.model.audio_encoder


class WindowLosses:
    """Draws batches of windows and returns equation 6 on them; call it once a step."""

    def __init__(
        self, training: Training, tracks: Tracks, geometry: FaceGeometry, styles: Tensor,
        weights: Weights | None = None, dropout: Dropout | None = None, crops: int = 10,
    ) -> None:
        self.training, self.tracks, self.geometry = training, tracks, geometry
        self.styles = styles  # (n_styles, m, d_style)
        self.weights, self.dropout, self.crops = weights or Weights(), dropout or Dropout(), crops
        self.spec = training.model.spec
        self.schedule = noise_schedule(self.spec.diffusion)

    def __call__(self, rng: np.random.Generator, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of one batch, and its terms."""
        spec, model = self.spec, self.training.model
        T_p = spec.T_p
        n = int(rng.choice(list(LENGTHS), p=list(LENGTHS.values())))
        crop = T_p + max(60, n)
        crops = self.tracks.crops(self.crops, crop, spec.speech.history_frames, rng)
        columns = mask_columns(crops.columns, rng)
        # A truncated batch has one window a crop, as what follows its end falls silent.
        truncated = n >= LONG and rng.random() < self.dropout.truncate
        ends = torch.full((self.crops,), crop)
        if truncated:
            ends = T_p + torch.from_numpy(rng.integers(1, n, self.crops))
            frame = torch.arange(columns.shape[1]) // COLUMNS - (spec.speech.history_frames - 1)
            after = frame[None] >= ends[:, None]
            columns = torch.where(after[..., None], DIGITAL_SILENCE, columns)
        encoded = model.audio_encoder(columns)
        speech_loss, speech_terms = self.training.speech.feature_losses(
            encoded, crops.phone, crops.motion
        )
        features = model.audio_feature_map(encoded)

        count = 1 if truncated else max(1, TOKENS // (1 + T_p + n) // self.crops)
        rows = torch.arange(self.crops).repeat_interleave(count)
        starts = torch.from_numpy(rng.integers(T_p, crop - n + 1, len(rows)))
        if truncated:
            starts[:] = T_p
        span = starts[:, None] + torch.arange(-T_p, n)[None]  # (B, T_p + n)
        window_features = features[rows[:, None], span]
        window_motion = crops.motion[rows[:, None], span]
        context_features, now_features = window_features.split([T_p, n], 1)
        context_motion, x0 = window_motion.split([T_p, n], 1)
        context_motion = perturb(context_motion, rng)
        context_motion, context_features = start_slots(
            model, context_motion, context_features, self.dropout.start, rng
        )

        batch = len(rows)
        coin = torch.from_numpy(rng.random(batch))
        drop = self.dropout
        no_style = coin < drop.both + drop.style
        no_audio = (coin < drop.both) | (coin > 1.0 - drop.audio)
        choice = torch.from_numpy(rng.integers(0, self.styles.shape[1], batch))
        style = self.styles[crops.style[rows], choice]
        style = torch.where(no_style[:, None], model.null_style_feat[:, 0], style)
        person = torch.cat([torch.zeros(batch, spec.n_shape), style], -1)[:, None]
        now_features = torch.where(no_audio[:, None, None], model.null_audio_feat, now_features)

        t = draw_times(batch, self.schedule, rng)
        valid = starts[:, None] + torch.arange(n)[None] < ends[rows][:, None]  # (B, n)
        x0 = x0 * valid[..., None]
        x_t = add_noise(x0, torch.randn_like(x0), t, self.schedule)
        net = model.denoising_net
        terms = net.audio_terms(torch.cat([context_features, now_features], 1))
        predicted = net.denoise(x_t, t, terms, person, context_motion, valid)
        # What is padding has no error.
        predicted = torch.where(valid[..., None], predicted.float(), x0)
        # The last clean context frame joins the window, so that differences reach over the seam.
        clean = window_motion[:, T_p - 1 : T_p]
        loss, parts = motion_losses(
            torch.cat([clean, predicted], 1), torch.cat([clean, x0], 1),
            self.geometry, self.weights,
        )
        return loss + 0.15 * speech_loss, {**parts, "accuracy": speech_terms["accuracy"]}


def perturb(context: Tensor, rng: np.random.Generator) -> Tensor:
    """The context as the model's own past might be: (B, T_p, D), another error for every window.

    White noise, a slowly wandering error, and, in a fifth of the windows, lips that say nothing.
    The head is all but spared: it must go on from where it is, and only the context knows where.
    """
    batch, frames, d = context.shape
    strength = torch.from_numpy(rng.uniform(0.0, 0.5, (batch, 1, 1)).astype(np.float32))
    strength = strength * torch.from_numpy(rng.random((batch, 1, 1)) < 0.8)
    wander = torch.randn(batch, 4, d)
    wander = nn.functional.interpolate(
        wander.transpose(1, 2), size=frames, mode="linear", align_corners=True
    ).transpose(1, 2)
    lips = torch.zeros(d, dtype=torch.bool)
    lips[list(LIPS)] = True
    white, slow = torch.where(lips, 0.35, 0.1), torch.where(lips, 1.0, 0.5)
    white[ROTATION], slow[ROTATION] = 0.02, 0.0
    out = context + strength * (white * torch.randn_like(context) + slow * wander)
    lost = torch.from_numpy(rng.random((batch, 1, 1)) < 0.2)
    return torch.where(lost & lips, torch.randn_like(out), out)


def start_slots(
    model: DiffPoseTalk, motion: Tensor, features: Tensor, share: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Let a share of the windows begin s < T_p frames into it: slots j < T_p - s are learned."""
    batch, T_p, _ = motion.shape
    missing = torch.from_numpy(rng.integers(1, T_p + 1, batch))
    missing = torch.where(torch.from_numpy(rng.random(batch)) < 0.5, T_p, missing)
    missing = torch.where(torch.from_numpy(rng.random(batch)) < share, missing, 0)
    absent = (torch.arange(T_p)[None] < missing[:, None])[..., None]  # (B, T_p, 1)
    return (
        torch.where(absent, model.start_motion_feat, motion),
        torch.where(absent, model.start_audio_feat, features),
    )


def draw_times(batch: int, schedule: NoiseSchedule, rng: np.random.Generator) -> Tensor:
    """Diffusion times: half where few-step samplers call, half uniform over 1..N."""
    grid = np.concatenate([sampling_times(schedule, calls) for calls in (1, 1, 2, 2, 3, 4, 8)])
    t = np.where(
        rng.random(batch) < 0.5,
        rng.choice(grid, batch),
        rng.integers(1, schedule.steps + 1, batch),
    )
    return torch.from_numpy(t)
