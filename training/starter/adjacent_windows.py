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

from diffposetalk.network.mel_front import COLUMNS, LOWEST
from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.sampling.samplers import add_noise
from diffposetalk.schedule import NoiseSchedule, noise_schedule, sampling_times
from diffposetalk.spec import ModelSpec
from head.channels import ROTATION
from training.labels.gaze_drift import add_gaze_drift
from training.loop.losses import FaceGeometry, Weights, motion_losses
from training.speech.column_augment import disturbed
from training.speech.track_batches import Tracks
from training.starter.mel_pretraining import BEGIN, SPEECH_DROPOUT, SpeechPretraining, lip_mask

LENGTHS = {1: 0.06, 2: 0.15, 3: 0.38, 4: 0.13, 6: 0.07, 12: 0.06, 25: 0.07, 50: 0.05, 100: 0.03}
"""Window lengths in frames and how often a batch has them.

One network for every lookahead: live at hop 1, a window's first frame counts, and its length says
how much was heard after it (1 nothing, 2 a frame of lookahead, 3 the default's two)."""
FOREIGN = 0.8
"""Share of windows that go on from another person's past, from which only the mouth learns.

Whatever a past tells, a blink, brows, a head that is still, goes with speech or silence, so a true
one would tell the mouth whether somebody speaks; live it is the model's own, and a mouth that
believed it would stay shut in noise.  The rest of the face learns from its own past alone."""
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
    begin: float = BEGIN
    """Crops that are the beginning of a stream."""


class Training(nn.Module):
    """The model, with the speech heads that keep its features phonetic."""

    def __init__(self, spec: ModelSpec, speech: SpeechPretraining) -> None:
        super().__init__()
        # The denoiser is too small a network to forget anything.
        self.model = DiffPoseTalk(spec, dropout=0.0, speech_dropout=SPEECH_DROPOUT)
        self.model.audio_encoder.load_state_dict(speech.encoder.state_dict())
        self.speech = speech
        # One encoder: the heads are trained through the model's.
        self.speech.encoder = self.model.audio_encoder


@dataclass(frozen=True)
class Windows:
    """B windows of n frames as live calls see them.

    Attributes:
        features: (B, n, d), context_features: (B, T_p, d), speech; start features filled in.
        context_motion: (B, T_p, D) perturbed, start features filled in.
        before: (B, 1, D) the frame before the window, clean: differences reach over the seam.
        x0: (B, n, D) the label, with eyes that come back to it; zero at padding.
        valid: (B, n) bool, False at padding.
        style: (B, d_style) of another clip in the same style.
        foreign: (B,) bool, True where the past's motion is another crop's.
    """

    features: Tensor
    context_features: Tensor
    context_motion: Tensor
    before: Tensor
    x0: Tensor
    valid: Tensor
    style: Tensor
    foreign: Tensor


class WindowSource:
    """Draws batches of windows; the speech losses of the crops they come from fall off as well.

    Args:
        training: its encoder hears the crops.
        tracks: what crops are cut from.
        styles: (n_styles, m, d_style) style vectors of m clips each.
        dropout: shares of truncated windows and of unfilled contexts.
        crops: per batch.
    """

    def __init__(
        self, training: Training, tracks: Tracks, styles: Tensor, dropout: Dropout, crops: int = 10
    ) -> None:
        self.training, self.tracks, self.styles = training, tracks, styles
        self.dropout, self.crops = dropout, crops
        self.units = torch.from_numpy(tracks.mean).float(), torch.from_numpy(tracks.std).float()

    def draw(self, rng: np.random.Generator) -> tuple[Windows, Tensor, Tensor]:
        """A batch, its speech loss, and how many of its phones the encoder tells."""
        model = self.training.model
        spec, T_p = model.spec, model.spec.T_p
        n = int(rng.choice(list(LENGTHS), p=list(LENGTHS.values())))
        crop = T_p + max(60, n)
        crops = self.tracks.crops(
            self.crops, crop, spec.speech.history_frames, rng, starts=self.dropout.begin, lead=T_p
        )
        columns = disturbed(crops.columns, rng)
        # A truncated batch has one window a crop, as what follows its end falls silent.
        truncated = n >= LONG and rng.random() < self.dropout.truncate
        ends = torch.full((self.crops,), crop)
        if truncated:
            ends = T_p + torch.from_numpy(rng.integers(1, n, self.crops))
            frame = torch.arange(columns.shape[1]) // COLUMNS - (spec.speech.history_frames - 1)
            after = frame[None] >= ends[:, None]
            columns = torch.where(after[..., None], DIGITAL_SILENCE, columns)
        encoded = model.audio_encoder(columns)
        speech_loss, speech_terms = self.training.speech.feature_losses(encoded, crops)
        features = model.audio_feature_map(encoded)

        count = 1 if truncated else max(1, TOKENS // (1 + T_p + n) // self.crops)
        rows = torch.arange(self.crops).repeat_interleave(count)
        starts = torch.from_numpy(rng.integers(T_p, crop - n + 1, len(rows)))
        if truncated:
            starts[:] = T_p
        span = starts[:, None] + torch.arange(-T_p, n)[None]  # (B, T_p + n)
        context_features, now_features = features[rows[:, None], span].split([T_p, n], 1)
        missing = missing_slots(
            len(rows), T_p, self.dropout.start, rng, least=crops.before[rows] + T_p - starts
        )
        motion = crops.motion[rows[:, None], span]
        motion = add_gaze_drift(motion, T_p, missing < T_p, *self.units, rng)
        clean, x0 = motion.split([T_p, n], 1)
        foreign = torch.from_numpy(rng.random(len(rows)) < FOREIGN)
        elsewhere = clean.roll(count * int(rng.integers(1, self.crops)), 0)
        past = torch.where(foreign[:, None, None], elsewhere, clean)
        context_motion, context_features = start_slots(
            model, perturb(past, rng), context_features, missing
        )
        choice = torch.from_numpy(rng.integers(0, self.styles.shape[1], len(rows)))
        valid = starts[:, None] + torch.arange(n)[None] < ends[rows][:, None]  # (B, n)
        windows = Windows(
            now_features,
            context_features,
            context_motion,
            clean[:, -1:],
            x0 * valid[..., None],
            valid,
            self.styles[crops.style[rows], choice],
            foreign,
        )
        return windows, speech_loss, speech_terms["accuracy"]


class WindowLosses:
    """Draws batches of windows and returns equation 6 on them; call it once a step."""

    def __init__(
        self,
        training: Training,
        tracks: Tracks,
        geometry: FaceGeometry,
        styles: Tensor,
        weights: Weights | None = None,
        dropout: Dropout | None = None,
        crops: int = 10,
    ) -> None:
        self.model, self.geometry = training.model, geometry
        self.weights, self.dropout = weights or Weights(), dropout or Dropout()
        self.source = WindowSource(training, tracks, styles, self.dropout, crops)
        self.schedule = noise_schedule(self.model.spec.diffusion)

    def __call__(self, rng: np.random.Generator, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of one batch, and its terms."""
        model, net, drop = self.model, self.model.denoising_net, self.dropout
        windows, speech_loss, accuracy = self.source.draw(rng)
        x0, batch = windows.x0, len(windows.x0)
        coin = torch.from_numpy(rng.random(batch))
        no_style = coin < drop.both + drop.style
        no_audio = (coin < drop.both) | (coin > 1.0 - drop.audio)
        style = torch.where(no_style[:, None], model.null_style_feat[:, 0], windows.style)
        person = torch.cat([torch.zeros(batch, model.spec.n_shape), style], -1)[:, None]
        features = torch.where(no_audio[:, None, None], model.null_audio_feat, windows.features)

        t = draw_times(batch, self.schedule, rng)
        x_t = add_noise(x0, torch.randn_like(x0), t, self.schedule)
        terms = net.audio_terms(torch.cat([windows.context_features, features], 1))
        predicted = net.denoise(x_t, t, terms, person, windows.context_motion, windows.valid)
        loss, parts = window_losses(predicted, x0, windows, self.geometry, self.weights)
        return loss + 0.15 * speech_loss, {**parts, "accuracy": accuracy}


def window_losses(
    predicted: Tensor, target: Tensor, windows: Windows, geometry: FaceGeometry, weights: Weights
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Equation 6 of (B, n, D) motion against a target.

    What is padding has no error, nor the face after a foreign past, nor the mouth after its own.
    """
    lips = lip_mask(target.shape[-1])
    counted = windows.valid[..., None] & (windows.foreign[:, None, None] == lips)
    predicted = torch.where(counted, predicted.float(), target)
    return motion_losses(
        torch.cat([windows.before, predicted], 1),
        torch.cat([windows.before, target], 1),
        geometry,
        weights,
    )


def perturb(context: Tensor, rng: np.random.Generator) -> Tensor:
    """The context as the model's own past might be: (B, T_p, D), another error for every window.

    White noise and a slowly drifting error.  In three tenths of the windows the lips say nothing:
    noise in the third of them; held still, as in some frame of another window, in the rest, or a
    mouth that has once stayed shut while somebody speaks would take that for its reason to stay so.
    The head is all but spared: it must go on from where it is, and only the context knows where.
    """
    batch, frames, d = context.shape
    strength = torch.from_numpy(rng.uniform(0.0, 0.5, (batch, 1, 1)).astype(np.float32))
    strength = strength * torch.from_numpy(rng.random((batch, 1, 1)) < 0.8)
    drift = torch.randn(batch, 4, d)
    drift = nn.functional.interpolate(
        drift.transpose(1, 2), size=frames, mode="linear", align_corners=True
    ).transpose(1, 2)
    lips = lip_mask(d)
    white, slow = torch.where(lips, 0.35, 0.1), torch.where(lips, 1.0, 0.5)
    white[ROTATION], slow[ROTATION] = 0.02, 0.0
    out = context + strength * (white * torch.randn_like(context) + slow * drift)
    lost = torch.from_numpy(rng.random((batch, 1, 1)))
    still = context[rng.permutation(batch), rng.integers(frames, size=batch)][:, None]
    still = still + 0.05 * torch.randn_like(out)
    said = torch.where(lost < 0.1, torch.randn_like(out), still)
    return torch.where((lost < 0.3) & lips, said, out)


def missing_slots(
    batch: int, T_p: int, share: float, rng: np.random.Generator, least: Tensor | None = None
) -> Tensor:
    """How many of the past's first slots are not there: (B,), at least as many as given.

    A share of the windows begin s < T_p frames into the stream, half of these at its beginning.
    """
    missing = torch.from_numpy(rng.integers(1, T_p + 1, batch))
    missing = torch.where(torch.from_numpy(rng.random(batch)) < 0.5, T_p, missing)
    missing = torch.where(torch.from_numpy(rng.random(batch)) < share, missing, 0)
    return missing if least is None else torch.maximum(missing, least).clamp(max=T_p)


def start_slots(
    model: DiffPoseTalk, motion: Tensor, features: Tensor, missing: Tensor
) -> tuple[Tensor, Tensor]:
    """The past (B, T_p, D) and (B, T_p, d) with learned features where slots are missing, (B,)."""
    absent = (torch.arange(motion.shape[1])[None] < missing[:, None])[..., None]  # (B, T_p, 1)
    return (
        torch.where(absent, model.start_motion_feat, motion),
        torch.where(absent, model.start_audio_feat, features),
    )


def draw_times(batch: int, schedule: NoiseSchedule, rng: np.random.Generator) -> Tensor:
    """Diffusion times: half where few-step samplers call, half uniform over 1..N."""
    grid = np.concatenate([sampling_times(schedule, calls) for calls in (1, 1, 2, 2, 3, 4, 8)])
    t = np.where(
        rng.random(batch) < 0.5, rng.choice(grid, batch), rng.integers(1, schedule.steps + 1, batch)
    )
    return torch.from_numpy(t)
