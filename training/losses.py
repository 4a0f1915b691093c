"""The paper's losses: equations 2 to 6 on motion and vertices, and NT-Xent for style.

Vertices are those of a subset of the head with the head rotation set to zero (equation 3's M_0), in
millimetres, so that the weights are of the order of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from head.rig import Head
from head.skinning import skin

ROTATION = slice(50, 53)


@dataclass(frozen=True)
class Weights:
    """Weights of the terms of equation 6; vertex terms per square millimetre."""

    simple: float = 1.0
    vert: float = 0.15
    vel: float = 0.3
    smooth: float = 0.01
    gap: float = 0.08
    angle: float = 0.05
    head_velocity: float = 1.0
    head_smooth: float = 0.1


class FaceGeometry(nn.Module):
    """Normalised motion to vertices of part of a head, in millimetres, without head rotation."""

    def __init__(
        self, head: Head, mean: NDArray[np.float32], std: NDArray[np.float32], others: int = 60
    ) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        lips = np.unique(np.asarray(head.regions["lips"]))
        upper = np.asarray(head.regions["lip_gap_upper"])
        lower = np.asarray(head.regions["lip_gap_lower"])
        rest = np.setdiff1d(np.arange(len(head.template)), lips)
        chosen = np.unique(
            np.concatenate([lips, upper, lower, rng.choice(rest, others, replace=False)])
        )
        self.part = head.subset(chosen)
        self.upper = torch.from_numpy(np.searchsorted(chosen, upper))
        self.lower = torch.from_numpy(np.searchsorted(chosen, lower))
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("std", torch.from_numpy(std))

    def forward(self, x: Tensor) -> Tensor:
        """(B, n, D) normalised -> (B, n, V, 3) millimetres."""
        raw = x.float() * self.std + self.mean
        jaw = F.pad(raw[..., 53:54], (0, 2))
        vertices: Tensor = skin(self.part, raw[..., :50], jaw_pose=jaw)
        return vertices * 1000.0

    def gap(self, vertices: Tensor) -> Tensor:
        """Mean height of the upper over the lower inner lip: (B, n, V, 3) -> (B, n) mm."""
        upper: Tensor = vertices[..., self.upper, 1].mean(-1)
        return upper - vertices[..., self.lower, 1].mean(-1)


def motion_losses(
    predicted: Tensor, target: Tensor, geometry: FaceGeometry, weights: Weights
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Equation 6 over (B, n, D) normalised motion: the weighted sum, and every term by itself."""
    a = geometry(predicted)
    with torch.no_grad():
        b = geometry(target)
    rotation, true_rotation = predicted[..., ROTATION], target[..., ROTATION]
    terms = {
        "simple": F.mse_loss(predicted, target),
        "vert": F.mse_loss(a, b),
        "vel": F.mse_loss(a.diff(dim=1), b.diff(dim=1)),
        "smooth": a.diff(n=2, dim=1).square().mean(),
        "gap": F.mse_loss(geometry.gap(a), geometry.gap(b)),
        "angle": F.mse_loss(rotation, true_rotation),
        "head_velocity": F.mse_loss(rotation.diff(dim=1), true_rotation.diff(dim=1)),
        "head_smooth": rotation.diff(n=2, dim=1).square().mean(),
    }
    total = torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
    return total, terms


def nt_xent(a: Tensor, b: Tensor, temperature: float = 0.1) -> Tensor:
    """Equation 9 over N pairs (a_i, b_i) of style features, (N, d) each; others are negatives."""
    both = F.normalize(torch.cat([a, b]), dim=-1)  # (2N, d)
    similarity = both @ both.T / temperature
    similarity.fill_diagonal_(float("-inf"))
    n = len(a)
    partner = torch.cat([torch.arange(n, 2 * n), torch.arange(n)])
    return F.cross_entropy(similarity, partner)
