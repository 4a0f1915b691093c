"""The middle between two bundles of one language: `posetalk train average A B --out DIR`.

A network that was trained on from another and gained on one kind of speech what it lost on another
has both, halfway (Wortsman et al. 2022, weight-space ensembles), and is where to train on from.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from diffposetalk.bundle.bundle import load_bundle
from diffposetalk.bundle.saving import save_bundle
from export.shipped_graphs import write_shipped_graphs
from head.errors import WrongValue


@dataclass(frozen=True)
class AverageSettings:
    """Two bundles, and where the bundle between them goes."""

    first: tyro.conf.Positional[str]
    """Bundle by name or folder."""
    second: tyro.conf.Positional[str]
    """Bundle whose style encoder, styles, units and live defaults stay."""
    out: Path
    """Folder of the bundle between them."""


def main(settings: AverageSettings) -> None:
    """Write the bundle; style encoder, styles, units and live defaults are the second's.

    Raises:
        ValueError: the bundles differ in shape, units or styles.
    """
    first, second = load_bundle(settings.first), load_bundle(settings.second)
    model = second.model()
    one = first.model().state_dict()
    if {k: v.shape for k, v in one.items()} != {k: v.shape for k, v in model.state_dict().items()}:
        raise WrongValue("the bundles' networks differ in shape")
    for name in ("motion_mean", "motion_std"):
        if not np.allclose(getattr(first.statistics, name), getattr(second.statistics, name)):
            raise WrongValue("the bundles have other units: train the second with --start FIRST")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(0.5 * (one[name] + weight))
    bundle = save_bundle(
        settings.out,
        model,
        second.spec,
        second.statistics,
        second.styles,
        second.head_id,
        second.card,
        {"made_by": "posetalk train average", "of": [first.hash, second.hash]},
        style_encoder=second.style_encoder(),
        half=True,
    )
    write_shipped_graphs(bundle.folder)
