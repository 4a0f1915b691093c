"""The paper's losses: equations 2 to 6 on motion and vertices, and NT-Xent for style.

Vertices are those of the head, or a subset of it, with the head rotation set to zero (equation 3's
M_0), in millimetres, so that the weights are of the order of one: the paper's 2e6, 1e7 and 1e5 per
square metre are 2, 10 and 0.1 here.  Every term is a mean over the elements of valid frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from head.channels import ROTATION
from head.rig import Head
from head.skinning import skin

SHUT_MM = 0.8
"""Lips of a target that are nearer are shut."""
PRESSED_MM = -1.0
"""Lips of a target that are nearer are pressed: in a P, B or M, not at rest."""


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
    transition: float = 0.0
    shut: float = 0.0
    """Weight of lips nearer than they should be, on top of `gap`, without which it is nothing."""
    held: float = 0.0
    """The same of lips that part where they should be shut."""
    pressed: float = 0.0
    """Weight per millimetre, not squared, of lips that part where they should press each other."""

    def without_geometry(self) -> Weights:
        """Equation 2 alone: no geometric loss of the face or of the head."""
        return replace(Weights(*[0.0] * len(fields(self))), simple=self.simple)


PAPER = Weights(
    vert=2.0,
    vel=10.0,
    smooth=0.1,
    gap=0.0,
    angle=0.05,
    head_velocity=5.0,
    head_smooth=0.5,
    transition=0.5,
)
"""Section 4.2; the paper leaves the head's to its appendix, these are the released code's."""


class FaceGeometry(nn.Module):
    """Normalised motion to vertices of part of a head, in millimetres, without head rotation.

    Args:
        mean, std: (D,) normalisation of motion.
        others: vertices beside the lips; None takes the whole head, as the paper does.
        lips: at most so many vertices of the lips, spread evenly over them; None takes all.
        jaw_yz: the jaw's y and z in radians, which are no channels: their mean in the data, as the
            released code decodes them.
    """

    def __init__(
        self,
        head: Head,
        mean: NDArray[np.float32],
        std: NDArray[np.float32],
        others: int | None = 60,
        lips: int | None = None,
        jaw_yz: Sequence[float] | NDArray[np.float32] = (0.0, 0.0),
    ) -> None:
        super().__init__()
        every = np.arange(len(head.template))
        pair = [head.regions.get(f"lip_gap_{side}", every[:0]) for side in ("upper", "lower")]
        upper, lower = (np.asarray(indices) for indices in pair)
        if others is None:
            chosen = every
        else:
            rng = np.random.default_rng(0)
            mouth = np.unique(np.asarray(head.region("lips")))
            rest = np.setdiff1d(every, mouth)
            thinned = mouth[:: 1 if lips is None else -(-len(mouth) // lips)]
            chosen = np.unique(
                np.concatenate([thinned, upper, lower, rng.choice(rest, others, replace=False)])
            )
        self.part = head if others is None else head.subset(chosen)
        self.upper = torch.from_numpy(np.searchsorted(chosen, upper))
        self.lower = torch.from_numpy(np.searchsorted(chosen, lower))
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("std", torch.from_numpy(std))
        self.jaw_yz: Tensor
        self.register_buffer("jaw_yz", torch.tensor([float(angle) for angle in jaw_yz]))

    @property
    def has_lips(self) -> bool:
        """Whether the head says where its lips meet."""
        return len(self.upper) > 0

    def forward(self, x: Tensor, shape: Tensor | None = None) -> Tensor:
        """(B, n, D) normalised -> (B, n, V, 3) millimetres; shape (B, S) is raw identity."""
        raw = x.float() * self.std + self.mean
        jaw = torch.cat([raw[..., -1:], self.jaw_yz.expand(*raw.shape[:-1], 2)], dim=-1)
        if shape is not None:
            shape = shape[:, None, : self.part.shape_count].float()
        # In full precision: bfloat16 moves vertices by up to half a millimetre.
        with torch.autocast(x.device.type, enabled=False):
            vertices: Tensor = skin(self.part, raw[..., :50], jaw_pose=jaw, shape=shape)
        return vertices * 1000.0

    def gap(self, vertices: Tensor) -> Tensor:
        """Mean height of the upper over the lower inner lip: (B, n, V, 3) -> (B, n) mm."""
        upper: Tensor = vertices[..., self.upper, 1].mean(-1)
        return upper - vertices[..., self.lower, 1].mean(-1)


def motion_losses(
    predicted: Tensor,
    target: Tensor,
    geometry: FaceGeometry,
    weights: Weights,
    *,
    valid: Tensor | None = None,
    shape: Tensor | None = None,
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Equation 6 over (B, n, D) normalised motion: the weighted sum, and every term by itself.

    Args:
        valid: (B, n) bool, the frames that count; a difference counts if its last frame does.
        shape: (B, S) raw identity of the faces, for the vertices.
    """
    terms = {"simple": _mean_square(predicted - target, valid)}
    if weights.vert or weights.vel or weights.smooth or weights.gap:
        a = geometry(predicted, shape)
        with torch.no_grad():
            b = geometry(target, shape)
        terms["vert"] = _mean_square(a - b, valid)
        terms["vel"] = _mean_square(a.diff(dim=1) - b.diff(dim=1), valid)
        terms["smooth"] = _mean_square(a.diff(n=2, dim=1), valid)
        if weights.gap and geometry.has_lips:
            target_gap = geometry.gap(b)
            apart = geometry.gap(a) - target_gap
            terms["gap"] = _mean_square(apart, valid)
            if weights.shut:
                terms["shut"] = _mean_square(apart.clamp(max=0.0), valid)
            if weights.held:
                parted = apart.clamp(min=0.0) * (target_gap < SHUT_MM)
                terms["held"] = _mean_square(parted, valid)
            if weights.pressed:
                parted = apart.clamp(min=0.0) * (target_gap < PRESSED_MM)
                terms["pressed"] = _mean(parted, valid)
    if predicted.shape[-1] > ROTATION.stop:
        rotation, true = predicted[..., ROTATION], target[..., ROTATION]
        terms["angle"] = _mean_square(rotation - true, valid)
        terms["head_velocity"] = _mean_square(rotation.diff(dim=1) - true.diff(dim=1), valid)
        terms["head_smooth"] = _mean_square(rotation.diff(n=2, dim=1), valid)
    total = torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
    return total, terms


def transition_loss(before: Tensor, after: Tensor, valid: Tensor | None = None) -> Tensor:
    """How unevenly the head goes on at the seam of two windows, in the released code's form.

    Args:
        before: (B, 3, 3) the last three true rotations; after: (B, 3, 3) the first three predicted.
        valid: (B, 3) bool, which of the latter count.

    Velocity may not change between the step into the first predicted frame and the two after it,
    nor acceleration along the way: mean squares of both changes.
    """
    velocity = torch.cat([before, after], dim=1).diff(dim=1)  # (B, 5, 3)
    acceleration = velocity.diff(dim=1)  # (B, 4, 3)
    change = velocity[:, 2:4] - velocity[:, 1:3]
    jerk = acceleration[:, 1:] - acceleration[:, :-1]
    return _mean_square(change, None if valid is None else valid[:, :2]) + _mean_square(jerk, valid)


def _mean_square(error: Tensor, valid: Tensor | None) -> Tensor:
    """Mean of squares over frames: (B, m, ...), see `_mean`."""
    return _mean(error.square(), valid)


def _mean(each: Tensor, valid: Tensor | None) -> Tensor:
    """Mean over frames: (B, m, ...); of `valid` (B, n >= m) the last m columns count.

    Windows too short for a difference have none: 0.
    """
    if each.numel() == 0:
        return each.sum()
    if valid is None:
        return each.mean()
    mask = valid[:, valid.shape[1] - each.shape[1] :].to(each.dtype)
    each = each.flatten(2).mean(2) if each.ndim > 2 else each
    return (each * mask).sum() / mask.sum().clamp(min=1.0)


def nt_xent(a: Tensor, b: Tensor, temperature: float = 0.1) -> Tensor:
    """Equation 9 over N pairs (a_i, b_i) of style features, (N, d) each; others are negatives."""
    both = F.normalize(torch.cat([a, b]), dim=-1)  # (2N, d)
    with torch.autocast(a.device.type, enabled=False):
        similarity = both @ both.T / temperature
    similarity.fill_diagonal_(float("-inf"))
    n = len(a)
    partner = torch.cat([torch.arange(n, 2 * n), torch.arange(n)]).to(a.device)
    return F.cross_entropy(similarity, partner)
