"""Train the style encoder on pairs from one clip (section 3.3.1), and ask it for style vectors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from diffposetalk.network.style_encoder import StyleEncoder
from training.loop.losses import nt_xent
from training.speech.track_batches import Tracks

WINDOW_FRAMES, GAP_FRAMES = 100, 10
"""Frames of each half of a pair, and between them."""


def pair_losses(
    encoder: StyleEncoder, tracks: Tracks, batch: int, rng: np.random.Generator
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """NT-Xent over `batch` styles, one pair each; a style plays the part of a person."""
    by_style = spans_by_style(tracks)
    styles = rng.choice(sorted(by_style), min(batch, len(by_style)), replace=False)
    firsts, seconds = [], []
    for style in styles:
        start, end = by_style[style][int(rng.integers(len(by_style[style])))]
        first = int(rng.integers(start, end - 2 * WINDOW_FRAMES - GAP_FRAMES + 1))
        firsts.append(tracks.normalised(first, first + WINDOW_FRAMES))
        second = first + WINDOW_FRAMES + GAP_FRAMES
        seconds.append(tracks.normalised(second, second + WINDOW_FRAMES))
    a = encoder(torch.from_numpy(np.stack(firsts)))
    b = encoder(torch.from_numpy(np.stack(seconds)))
    loss = nt_xent(a, b)
    with torch.no_grad():
        near = torch.nn.functional.normalize(a, dim=-1) @ torch.nn.functional.normalize(b, dim=-1).T
        right = (near.argmax(1) == torch.arange(len(near))).float().mean()
    return loss, {"nt_xent": loss.detach(), "retrieved": right}


def spans_by_style(tracks: Tracks) -> dict[int, list[tuple[int, int]]]:
    """Track spans long enough for a pair, by style id."""
    out: dict[int, list[tuple[int, int]]] = {}
    for start, end, style in tracks.spans:
        if end - start >= 2 * WINDOW_FRAMES + GAP_FRAMES:
            out.setdefault(int(style), []).append((int(start), int(end)))
    return out


@torch.no_grad()
def style_vectors(
    encoder: StyleEncoder,
    tracks: Tracks,
    per_style: int,
    rng: np.random.Generator,
    first: int | None = None,
) -> Tensor:
    """Vectors of random windows of every style, or the `first` few: (n, per_style, d_style)."""
    by_style = spans_by_style(tracks)
    out = []
    for style in range(tracks.n_styles if first is None else first):
        windows = []
        for _ in range(per_style):
            start, end = by_style[style][int(rng.integers(len(by_style[style])))]
            first = int(rng.integers(start, end - WINDOW_FRAMES + 1))
            windows.append(tracks.normalised(first, first + WINDOW_FRAMES))
        out.append(encoder(torch.from_numpy(np.stack(windows))))
    return torch.stack(out)
