"""The style encoder's loss on a dataset: NT-Xent over pairs of windows (section 3.3.1, eq. 9)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from diffposetalk.network.style_encoder import StyleEncoder
from training.faces.crops import Batch, CropSource
from training.loop.losses import nt_xent
from training.paper.presets import StyleTraining

WINDOW_FRAMES = 100


class PairLosses:
    """Draws crops of different people, and returns the loss of telling them apart.

    Two windows of one crop, `gap` frames apart, are a positive pair; all others are negatives.
    """

    def __init__(self, encoder: StyleEncoder, crops: CropSource, settings: StyleTraining) -> None:
        self.encoder, self.crops, self.settings = encoder, crops, settings
        self.frames = 2 * WINDOW_FRAMES + settings.gap

    def draw(self, rng: np.random.Generator) -> Batch:
        """A batch: one crop of every person in it."""
        return self.crops.draw_people(rng, self.settings.run.batch, self.frames)

    def __call__(
        self, rng: np.random.Generator, step: int, batch: Batch
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """NT-Xent, and how many windows are nearest to their partner."""
        device = next(self.encoder.parameters()).device
        motion = batch.motion.to(device)
        a, b = self.encoder(motion[:, :WINDOW_FRAMES]), self.encoder(motion[:, -WINDOW_FRAMES:])
        a, b = a.float(), b.float()
        loss = nt_xent(a, b, self.settings.temperature)
        with torch.no_grad():
            near = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T
            partner = torch.arange(len(a), device=device)
            retrieved = (near.argmax(1) == partner).float().mean()
        return loss, {"nt_xent": loss.detach(), "retrieved": retrieved}
