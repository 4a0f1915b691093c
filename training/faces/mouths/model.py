"""The coarticulation model as a function with gradients, and the frames of real mouths it meets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stream.frames import FPS
from training.faces.mouths.grid import MouthClip
from training.labels import gestures
from training.labels.mouth_constants import (
    FITTED,
    GLIDES,
    LENGTHS,
    NAMES,
    PAUSE,
    POWER,
    USUAL_LENGTH,
)
from training.labels.phones import PAUSE_SECONDS, SILENCE, VOWELS, Phone

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LEFT_OUT = frozenset((*DIGITS, *"abcdefghijklmnopqrstuvxyz"[::3]))
"""Words to choose on: every digit and every third letter."""
REACH_SECONDS = 0.2
"""No frame nearer to a word that is left out is fitted."""
HELD_OUT_EVERY = 9
"""Sentences of the man that are never fitted, for choosing."""
NEIGHBOURS = 8
LIKE: dict[str, str] = {
    "AA": "AH AO",
    "AE": "EH",
    "AH": "EH IH",
    "AO": "OW1 AA",
    "EH": "AE",
    "ER": "R AH",
    "IH": "IY",
    "IY": "IH",
    "UH": "UW IH",
    "UW": "W OW2",
    "AY1": "AA AH",
    "AY2": "IH IY",
    "AW1": "AA AE",
    "AW2": "UW AO",
    "EY1": "EH",
    "EY2": "IY",
    "OW1": "AO AH",
    "OW2": "UW",
    "OY1": "AO",
    "OY2": "IY",
    "P": "B",
    "B": "P",
    "M": "B P",
    "F": "V",
    "V": "F",
    "TH": "DH",
    "DH": "TH",
    "T": "D",
    "D": "T",
    "N": "D L",
    "S": "Z",
    "Z": "S",
    "SH": "JH UW",
    "ZH": "JH UW",
    "CH": "JH",
    "JH": "CH D",
    "L": "N D",
    "R": "W L",
    "W": "UW",
    "Y": "IY",
    "K": "G",
    "G": "K",
    "NG": "G N",
    "HH": "AH",
}
"""What looks alike."""
FEW_FRAMES = 60
"""Fewer of a phone leave much to what looks like it."""
APERTURE = FITTED.index("aperture")
BASE_FADE = 0.07


@dataclass(frozen=True)
class Frames:
    """Frames of clips with the phones around each; K = 2 NEIGHBOURS.

    row (n, K) of NAMES or -1; start, end (n, K) seconds from the frame; length (n, K) of the whole
    phone; vigour (n, K) above the usual; curves (n, P); known, spoken, left_out, vowel (middle of
    one) (n,).
    """

    row: Tensor
    start: Tensor
    end: Tensor
    length: Tensor
    vigour: Tensor
    curves: Tensor
    known: NDArray[np.bool_]
    spoken: NDArray[np.bool_]
    near_left_out: NDArray[np.bool_]
    left_out: NDArray[np.bool_]
    vowel: NDArray[np.bool_]

    def chosen(self, index: NDArray[np.integer]) -> tuple[Tensor, ...]:
        """Inputs of the model at some frames."""
        at = torch.from_numpy(index)
        return tuple(x[at] for x in (self.row, self.start, self.end, self.length, self.vigour))


def pieces(phones: Sequence[Phone], vigour: NDArray[np.floating]) -> NDArray[np.float64]:
    """(S, 5) row of NAMES, start, end, length of the whole phone, vigour above the usual."""
    out: list[tuple[float, ...]] = []
    for phone, force in zip(phones, vigour, strict=True):
        above = float(force) - 1.0 if phone.name in VOWELS else 0.0
        names: Sequence[tuple[str, float, float]] = [(phone.name, phone.start, phone.end)]
        if phone.name in GLIDES:
            first, second, turn = GLIDES[phone.name]
            cut = phone.start + turn * phone.length
            names = [(first, phone.start, cut), (second, cut, phone.end)]
        elif phone.name == SILENCE and phone.length < PAUSE_SECONDS:
            names = [(PAUSE, phone.start, phone.end)]
        out += [(NAMES.index(n), start, end, phone.length, above) for n, start, end in names]
    return np.array(out)


def frames_of(clips: Sequence[MouthClip]) -> Frames:
    """Every frame of the clips."""
    columns: list[tuple[NDArray[np.floating], ...]] = []
    for clip in clips:
        parts = pieces(clip.phones, gestures.vigour(clip.phones, clip.prosody))
        near = np.searchsorted(parts[:, 1:3].mean(1), clip.middles)
        index = near[:, None] + np.arange(-NEIGHBOURS, NEIGHBOURS)[None]
        inside = (index >= 0) & (index < len(parts))
        index = np.clip(index, 0, len(parts) - 1)
        row = np.where(inside, parts[index, 0], -1.0)
        start, end = (parts[index, k] - clip.middles[:, None] for k in (1, 2))
        columns.append((row, start, end, parts[index, 3], parts[index, 4], clip.curves))
    joined = [np.concatenate(c) for c in zip(*columns, strict=True)]
    row, start, end, length, vigour, curves = (
        torch.from_numpy(np.nan_to_num(c)).float() for c in joined
    )
    return Frames(
        row.long(),
        start,
        end,
        length,
        vigour,
        curves,
        np.concatenate([c.known for c in clips]),
        np.concatenate([c.spoken for c in clips]),
        np.concatenate([c.within(LEFT_OUT, REACH_SECONDS) for c in clips]),
        np.concatenate([c.within(LEFT_OUT) for c in clips]),
        np.concatenate([vowel_middles(c) for c in clips]),
    )


def vowel_middles(clip: MouthClip) -> NDArray[np.bool_]:
    """(n,) frames in which the middle of a vowel lies."""
    out = np.zeros(len(clip.known), bool)
    middles = [int(p.middle * FPS) for p in clip.phones if p.name in VOWELS]
    out[[k for k in middles if k < len(out)]] = True
    return out


class Mouth(nn.Module):
    """The coarticulation model as a function with gradients; curves in standard units.

    Args:
        mean, spread: (P,) of the curves while speaking.
        usual: (N, P) what each phone looks like on the average, in standard units.
    """

    def __init__(self, mean: Tensor, spread: Tensor, usual: Tensor) -> None:
        super().__init__()
        n, p = len(NAMES), len(FITTED)
        self.mean, self.spread, self.usual = mean, spread, usual
        self.target = nn.Parameter(usual.clone())
        self.strength = nn.Parameter(torch.zeros(n, p))
        self.before = nn.Parameter(torch.zeros(n, p))
        self.after = nn.Parameter(torch.zeros(n, p))
        self.core = nn.Parameter(torch.full((n, p, 2), -1.0))
        self.reach = nn.Parameter(torch.zeros(n, p))
        self.vigour = nn.Parameter(torch.zeros(p))
        self.lag = nn.Parameter(torch.full((p,), 0.02))
        self.lead = nn.Parameter(torch.full((p,), 0.15))
        self.settle = nn.Parameter(torch.full((p,), 0.10))
        self.ahead = nn.Parameter(torch.zeros(n, n, p))
        self.carried = nn.Parameter(torch.zeros(n, n, p))

    def forward(
        self, row: Tensor, start: Tensor, end: Tensor, length: Tensor, vigour: Tensor
    ) -> Tensor:
        """(n, P) curves; the arguments are those of `Frames`."""
        inside, row = (row >= 0)[..., None], row.clamp(min=0)
        before, after = torch.roll(row, 1, 1), torch.roll(row, -1, 1)
        paired = self.carried[before, row] + self.ahead[row, after]
        target = self.target[row] + paired
        # A frame's farthest phones have no neighbour there; they hardly count.
        target = torch.where(_inner(row)[..., None], target, self.target[row])
        longer = torch.log(length.clamp(*LENGTHS) / USUAL_LENGTH)[..., None]
        target = target + self.reach[row] * longer + self.vigour * vigour[..., None]
        whole = (end - start)[..., None]
        cut = 0.45 * torch.sigmoid(self.core[row])  # (n, K, P, 2)
        first = start[..., None] + cut[..., 0] * whole
        last = end[..., None] - cut[..., 1] * whole
        resting = (row == 0)[..., None]
        first = torch.where(resting, start[..., None] + self.settle.clamp(min=0.0), first)
        last = torch.where(resting, end[..., None] - self.lead.clamp(min=0.0), last)
        middle = 0.5 * (start + end)[..., None]
        first, last = torch.minimum(first, middle), torch.maximum(last, middle)
        early = (first + self.lag).clamp(min=0.0) / (BASE_FADE * torch.exp(self.before[row]))
        late = (-last - self.lag).clamp(min=0.0) / (BASE_FADE * torch.exp(self.after[row]))
        distance = (early + late + 1e-6).clamp(max=12.0)
        dominance = torch.exp(self.strength[row] - distance**POWER) * inside
        return (dominance * target).sum(1) / (dominance.sum(1) + 1e-9)

    def alike(self) -> Tensor:
        """How far phones are from what looks like them."""
        rows = [NAMES.index(name) for name in LIKE]
        total = torch.zeros(())
        for values in (self.target, self.strength, self.before, self.after, self.core, self.reach):
            others = torch.stack(
                [
                    torch.stack([values[NAMES.index(n)] for n in like.split()]).mean(0)
                    for like in LIKE.values()
                ]
            )
            total = total + ((values[rows] - others) ** 2).mean()
        return total

    def added(self) -> Tensor:
        """How much neighbours add to targets, which only pairs that were seen can tell."""
        return (self.ahead**2).sum() + (self.carried**2).sum()

    def overshoot(self) -> Tensor:
        """How far targets lie from what is seen: far ones fit few contexts and no new ones."""
        return ((self.target - self.usual) ** 2).mean()

    def plain(self) -> Tensor:
        """How far dominances are from the usual shape."""
        shapes = (self.strength, self.before, self.after, 3.0 * self.reach, self.core + 1.0)
        return torch.stack([(values**2).mean() for values in shapes]).sum()


def _inner(row: Tensor) -> Tensor:
    inner = torch.ones_like(row, dtype=torch.bool)
    inner[:, 0] = inner[:, -1] = False
    return inner
