"""Numbers of the starter's and the table's recipes, and spans that just fit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from training.paper.ablations import SMALL
from training.starter import style_pairs


def test_the_small_network_of_the_table_is_what_the_page_says() -> None:
    denoiser, style = SMALL.denoiser, SMALL.style
    assert (denoiser.d_model, denoiser.n_heads, denoiser.n_layers) == (128, 4, 3)
    assert (style.d_style, style.n_heads, style.n_layers) == (64, 4, 2)
    assert (SMALL.live.steps, SMALL.live.audio_guidance, SMALL.live.style_guidance) == (
        2,
        1.15,
        3.0,
    )


def test_a_pair_just_fits_its_span() -> None:
    length = 2 * style_pairs.WINDOW_FRAMES + style_pairs.GAP_FRAMES
    spans = np.array([(0, length, 0), (length, 2 * length, 1)])
    asked: list[tuple[int, int]] = []

    def normalised(first: int, last: int) -> Any:
        asked.append((first, last))
        return np.ones((last - first, 3), np.float32) * (first + 1)

    tracks: Any = SimpleNamespace(spans=spans, normalised=normalised)
    encoder: Any = lambda motion: torch.stack([motion.mean((1, 2)), motion.std((1, 2))], -1)  # noqa: E731
    for seed in range(5):
        style_pairs.pair_losses(encoder, tracks, 2, np.random.default_rng(seed))
    half, gap = style_pairs.WINDOW_FRAMES, style_pairs.GAP_FRAMES
    whole = {(s, s + half) for s in (0, length)} | {
        (s + half + gap, s + length) for s in (0, length)
    }
    assert set(asked) == whole
