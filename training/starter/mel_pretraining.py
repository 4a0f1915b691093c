"""Teach the mel encoder phones and lips before the denoiser meets it.

The encoder is the starter's only ear; classifying phones, now and two frames ago, and regressing
the articulation make its features phonetic at a tenth of the denoiser's cost per frame.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffposetalk.network.mel import MelEncoder
from diffposetalk.network.mel_front import COLUMNS, LOWEST
from diffposetalk.spec import ModelSpec
from head.channels import ARTICULATION
from training.speech.track import PHONES
from training.speech.track_batches import Tracks

LAG = 2
"""Frames of hindsight of the second phone target: what lookahead is worth to the denoiser."""
LIPS = (*ARTICULATION, 53)
"""Jaw, mouth and tongue channels of the motion vector."""
BEGIN = 0.2
"""Share of crops that begin a stream, perhaps in a loud room: before them there is only silence."""


class SpeechPretraining(nn.Module):
    """The encoder with three linear heads that training throws away."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        d = spec.speech.d_out
        self.encoder = MelEncoder(spec)
        self.encoder_history = spec.speech.history_frames
        self.now = nn.Linear(d, len(PHONES))
        self.before = nn.Linear(d, len(PHONES))
        self.lips = nn.Linear(d, len(LIPS))

    def losses(
        self, columns: Tensor, phone: Tensor, motion: Tensor
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Loss of columns (B, 4 (history - 1 + n), n_mels) against phones, motion (B, n, ...)."""
        return self.feature_losses(self.encoder(columns), phone, motion)

    def feature_losses(
        self, features: Tensor, phone: Tensor, motion: Tensor
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The same, of features (B, n, d_out) that were computed already."""
        now, before = self.now(features), self.before(features[:, LAG:])
        past = phone[:, :-LAG]
        lips = self.lips(features[:, LAG:])
        target = motion[:, :-LAG][..., LIPS]
        terms = {
            "phone_now": F.cross_entropy(now.flatten(0, 1).float(), phone.flatten()),
            "phone_before": F.cross_entropy(before.flatten(0, 1).float(), past.flatten()),
            "lips": F.mse_loss(lips.float(), target),
        }
        loss = 0.5 * terms["phone_now"] + terms["phone_before"] + terms["lips"]
        with torch.no_grad():
            spoken = past > 0
            right = (before.argmax(-1) == past)[spoken]
            terms["accuracy"] = right.float().mean() if len(right) else torch.zeros(())
        return loss, terms


def batch_losses(
    model: SpeechPretraining, tracks: Tracks, batch: int, n: int, rng: np.random.Generator
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """One batch of crops through the model, with small masks over time and frequency."""
    crops = tracks.crops(batch, n, model.encoder_history, rng, starts=BEGIN)
    return model.losses(mask_columns(crops.columns, rng), crops.phone, crops.motion)


def mask_columns(columns: Tensor, rng: np.random.Generator) -> Tensor:
    """A band of up to 12 filters and a gap of up to 2 frames fall silent, in half of the crops."""
    out = columns + float(rng.uniform(-0.15, 0.15))
    for row in np.flatnonzero(rng.random(len(columns)) < 0.5):
        low = int(rng.integers(0, columns.shape[2] - 12))
        out[row, :, low : low + int(rng.integers(2, 13))] = LOWEST / 2
        start = int(rng.integers(0, columns.shape[1] - 2 * COLUMNS))
        out[row, start : start + int(rng.integers(1, 2 * COLUMNS))] = LOWEST / 2
    return out
