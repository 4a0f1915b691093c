"""What a training has reached, as a bundle that `posetalk animate --bundle` runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffposetalk.bundle.bundle import Bundle
from diffposetalk.bundle.saving import save_bundle
from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.network.style_encoder import StyleEncoder
from training.faces.crops import CropSource
from training.paper.style_loss import WINDOW_FRAMES

NAMED, LOOKS = 12, 8
"""Styles that a bundle names at most, and windows that each is the mean of."""
CARD = """# {name}

Trained with `posetalk train faces`, preset `{preset}`, on {videos} videos of {people}
people. Its styles are named after people of the training set. Whoever ships it has to say more:
where the faces come from, who agreed, and what the model must not be used for. What it makes is
synthetic, and every video of posetalk says so.
"""


def write_bundle(
    folder: Path,
    model: DiffPoseTalk,
    style: StyleEncoder | None,
    crops: CropSource,
    *,
    preset: str,
    head_id: str,
    provenance: Mapping[str, Any],
    half: bool = True,
) -> Bundle:
    """Write the bundle, with the styles of some people of the training set.

    Raises:
        diffposetalk.bundle.bundle.BundleError: weights that are not finite, or the folder is taken.
    """
    styles = {"plain": np.zeros(0, np.float32)}
    if style is not None and model.spec.use_style:
        styles = people_styles(style, crops)
    videos = crops.videos(1)
    card = CARD.format(
        name=folder.name, preset=preset, videos=len(videos), people=len(crops.people(1))
    )
    return save_bundle(
        folder,
        model.cpu(),
        model.spec,
        crops.statistics,
        styles,
        head_id,
        card,
        provenance,
        style_encoder=None if style is None else style.cpu(),
        half=half,
    )


@torch.no_grad()
def people_styles(encoder: StyleEncoder, crops: CropSource) -> dict[str, np.ndarray]:
    """(d_style,) by person: the mean over random windows of theirs."""
    rng = np.random.default_rng(0)
    device = next(encoder.parameters()).device
    out: dict[str, np.ndarray] = {}
    for person, videos in list(crops.people(WINDOW_FRAMES).items())[:NAMED]:
        clips = [
            crops.crop(videos[int(rng.integers(len(videos)))], WINDOW_FRAMES, rng)
            for _ in range(LOOKS)
        ]
        vectors = encoder(crops.batch(clips).motion.to(device))
        name = person.replace("/", "-").replace("*", "-").replace("+", "-")
        out[name] = vectors.mean(0).cpu().numpy().astype(np.float32)
    return out
