"""Put what training has reached into a bundle: `posetalk train pack`.

Works while a part still trains (its last checkpoint), so that a cut-off run is not lost: the
distilled network when there is one, the denoiser as it is otherwise.  The bundle
gets the graphs that live runs, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffposetalk.bundle.bundle import PACKAGED
from diffposetalk.bundle.reading import sha256_of
from diffposetalk.bundle.saving import save_bundle
from diffposetalk.network.style_encoder import StyleEncoder
from diffposetalk.spec import ModelSpec, Statistics
from export.shipped_graphs import write_shipped_graphs
from head.rig import builtin_head
from training.loop.trainer import averaged
from training.reports.starter_report import environment
from training.speech.track_batches import Tracks
from training.starter.adjacent_windows import Training
from training.starter.distillation import Student
from training.starter.style_pairs import style_vectors
from training.starter.train import DISTILLED, STARTER, earlier

STUDENT = ("distilled", "scales")
SHEETS = ("columns.npy", "motion.npy", "phone.npy", "teacher.npy")
CARD = Path(__file__).with_name("model_card.md")


@dataclass(frozen=True)
class BundleSettings:
    """Where the training lies and where the bundle goes."""

    tracks: Path = Path(".training/tracks")
    """Folder of the tracks that it was trained on."""
    folder: Path = Path(".training/starter")
    """Folder of the training's checkpoints."""
    out: Path = PACKAGED / "starter"
    """Folder of the bundle; the starter's own is replaced."""


def main(settings: BundleSettings) -> None:
    """Write the bundle and say how large it is."""
    tracks = Tracks(settings.tracks)
    training: Training | Student = earlier(settings.folder, taught=tracks.teacher is not None)
    spec, parts = STARTER, ["speech", "style", "denoiser"]
    if (settings.folder / "distilled").exists():
        training, spec = Student(training.model), DISTILLED
        ends = [part for part in STUDENT if (settings.folder / part).exists()]
        averaged(settings.folder / ends[-1], training)
        parts += ends
    style = StyleEncoder(STARTER)
    averaged(settings.folder / "style", style)
    rng = np.random.default_rng(1)
    vectors = style_vectors(style, tracks, 200, rng, len(tracks.named)).mean(1).numpy()
    named = {name: vectors[index] for index, name in enumerate(tracks.named)}
    told = json.loads((settings.tracks / "tracks.json").read_text())["settings"]
    spec = heard_as(spec, told)
    d, n_shape = STARTER.d_motion, STARTER.n_shape
    assert tracks.mean.shape == (d,)
    sheets = [settings.tracks / name for name in SHEETS]  # not all tracks have a teacher
    reached = {part: _reached(settings.folder / part / "checkpoint.pt") for part in parts}
    bundle = save_bundle(
        settings.out,
        training.model,
        spec,
        Statistics(
            tracks.mean, tracks.std, np.zeros(n_shape, np.float32), np.ones(n_shape, np.float32)
        ),
        named,
        builtin_head().id,
        CARD.read_text("utf-8"),
        {
            "made_by": "posetalk train tracks; posetalk train starter; "
            "posetalk train pack; posetalk export",
            "where": environment(),
            "torch": torch.__version__.partition("+")[0],
            "tracks": told,
            "settings": json.loads((settings.folder / "settings.json").read_text()),
            "data": {path.name: sha256_of(path) for path in sheets if path.exists()},
            "reached": reached,
        },
        style_encoder=style,
        half=True,
    )
    write_shipped_graphs(bundle.folder)  # its graphs, which live runs
    size = sum(path.stat().st_size for path in bundle.folder.iterdir())
    print(f"{bundle.folder}: {size / 1e6:.1f} MB, styles {', '.join(named)}, {reached}")


def heard_as(spec: ModelSpec, tracks: Mapping[str, Any]) -> ModelSpec:
    """What hears speech at one level if the tracks that it learned from did, by their settings.

    Tracks from before there was such a level say nothing of it.
    """
    one_level = bool(tracks.get("input_gain", False))
    return replace(spec, speech=replace(spec.speech, input_gain=one_level))


def _reached(checkpoint: Path) -> dict[str, float]:
    state = torch.load(checkpoint, weights_only=True)
    return {"steps": state["step"], "minutes": round(float(state["minutes"]), 1)}
