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
from diffposetalk.spec import ModelSpec
from head.channels import ARTICULATION
from training.speech.column_augment import disturbed
from training.speech.track import PHONES
from training.speech.track_batches import Crops, Tracks

LAG = 2
"""Frames of hindsight of the second phone target: what lookahead is worth to the denoiser."""
LIPS = (*ARTICULATION, 53)
"""Jaw, mouth and tongue channels of the motion vector."""
BEGIN = 0.2
"""Share of crops that begin a stream, perhaps in a loud room: before them there is only silence."""
TEACHER_WIDTH = 384
"""Features of Whisper's smallest encoder (`training.corpora.teacher`)."""
TAUGHT = 1.0
"""Weight of saying what the teacher says."""
SPEECH_DROPOUT = 0.1
"""Of the encoder: it hears few people, and must not know them by heart."""


def lip_mask(size: int) -> Tensor:
    """(size,) bool, True at `LIPS` of motion vectors of so many channels."""
    mask = torch.zeros(size, dtype=torch.bool)
    mask[list(LIPS)] = True
    return mask


class SpeechPretraining(nn.Module):
    """The encoder with linear heads that training throws away.

    With `taught` one of them says what a teacher says, whose features the tracks have.
    """

    def __init__(self, spec: ModelSpec, *, taught: bool = False) -> None:
        super().__init__()
        d = spec.speech.d_out
        self.encoder = MelEncoder(spec, SPEECH_DROPOUT)
        self.encoder_history = spec.speech.history_frames
        self.now = nn.Linear(d, len(PHONES))
        self.before = nn.Linear(d, len(PHONES))
        self.lips = nn.Linear(d, len(LIPS))
        self.teacher = nn.Linear(d, TEACHER_WIDTH) if taught else None

    def losses(self, columns: Tensor, crops: Crops) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Loss of columns (B, 4 (history - 1 + n), n_mels) against what their crops tell."""
        return self.feature_losses(self.encoder(columns), crops)

    def feature_losses(self, features: Tensor, crops: Crops) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The same, of features (B, n, d_out) that were computed already."""
        phone, motion = crops.phone, crops.motion
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
        if self.teacher is not None and crops.teacher is not None:
            told = self.teacher(features[:, LAG:])
            terms["teacher"] = F.mse_loss(told.float(), crops.teacher[:, :-LAG])
            loss = loss + TAUGHT * terms["teacher"]
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
    return model.losses(disturbed(crops.columns, rng), crops)
