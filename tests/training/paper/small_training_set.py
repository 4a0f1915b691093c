"""A dataset of four people that is learnt in seconds, and the losses of a small network on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.network.style_encoder import StyleEncoder
from head.rig import builtin_head
from training.faces import normalisation
from training.faces.clip_arrays import FaceClip
from training.faces.crops import CropSource
from training.faces.lmdb_dataset import ABOUT, STATS, LmdbWriter
from training.loop.losses import FaceGeometry
from training.paper.denoiser_loss import TwoWindowLosses
from training.paper.presets import PRESETS, Preset

TINY = PRESETS["tiny"]
SMALL = replace(TINY, spec=replace(TINY.spec, T_w=20))
"""Windows of 0.8 s: everything in a fraction of the time."""


def write_small_set(folder: Path) -> Path:
    """Four people whose jaw follows the loudness, each with a manner of their own."""
    writer = LmdbWriter(folder)
    videos, clips = [], []
    for person in range(4):
        rng = np.random.default_rng(person)
        n = 230
        loud = 0.5 + 0.5 * np.sin(np.arange(n) / (3 + person))
        samples = 0.3 * np.repeat(loud, 640) * rng.standard_normal(640 * n)
        exp = 0.1 * rng.normal(size=50) * (loud[:, None] - 0.5)
        pose = np.zeros((n, 6))
        pose[:, 0], pose[:, 3] = 0.02 * person, (0.05 + 0.05 * person) * loud
        arrays = (samples, np.zeros((n, 100)), exp, pose)
        clips.append(FaceClip(*(array.astype(np.float32) for array in arrays)))
        videos.append(f"p{person}/000")
        writer.add(videos[-1], clips[-1])
    writer.close()
    for name, part in (("train", videos[:3]), ("val", videos[3:]), ("test", [])):
        (folder / f"{name}.txt").write_text("".join(f"{v}\n" for v in part))
    (folder / ABOUT).write_text(f'{{"head": "{builtin_head().id}"}}')
    normalisation.write(folder / STATS, normalisation.measure(clips[:3]))
    return folder


def two_windows(crops: CropSource, preset: Preset) -> TwoWindowLosses:
    torch.manual_seed(0)
    s = crops.statistics
    geometry = FaceGeometry(
        builtin_head(), s.motion_mean, s.motion_std[: preset.spec.d_motion], others=20
    )
    style = StyleEncoder(preset.spec).eval() if preset.spec.use_style else None
    return TwoWindowLosses(
        DiffPoseTalk(preset.spec, dropout=0.0), style, geometry, crops, preset.denoiser
    )
