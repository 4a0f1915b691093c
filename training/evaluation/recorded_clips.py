"""Clips from a dataset in the released layout (TFHP): recorded motion as the label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from head.rig import BUILTIN_ID
from training.evaluation.clips import ClipError, EvaluationClip
from training.faces.lmdb_dataset import SPLITS, LmdbSet

STYLE_FRAMES = 100
"""Frames of the same video, right behind the clip, that its style is taken from: the paper does not
say which clip its test styles come from, but not the one that is to be predicted."""


def split_name(text: str) -> tuple[Path, str]:
    """`FOLDER` or `FOLDER:SPLIT` as a folder and one of train, val, test (the default)."""
    folder, colon, split = text.rpartition(":")
    if colon and split in SPLITS:
        return Path(folder), split
    return Path(text), "test"


def dataset_clips(text: str, count: int, frames: int) -> tuple[list[EvaluationClip], str]:
    """`count` clips, spread evenly over the videos of a split, and the head they move.

    Raises:
        ClipError: fewer videos than asked for that are long enough.
        SetError: not a dataset, or something in it cannot be read.
    """
    folder, split = split_name(text)
    with LmdbSet(folder) as found:
        head = str(found.about.get("head") or "")
        fitting = [v for v in found.videos(split) if found.n_frames(v) >= frames + STYLE_FRAMES]
        if len(fitting) < count or count < 1:
            raise ClipError(
                f"{folder}: {len(fitting)} videos of `{split}` have {frames + STYLE_FRAMES} frames "
                f"or more, not {count}"
            )
        out = []
        for place in np.linspace(0, len(fitting) - 1, count).round().astype(int):
            video = fitting[place]
            clip = found.read(video, 0, frames)
            style = found.read(video, frames, STYLE_FRAMES)
            motion, other = _motion(clip.exp, clip.pose), _motion(style.exp, style.pose)
            if not all(np.isfinite(part).all() for part in (clip.samples, motion, other)):
                raise ClipError(f"{folder}: {video} holds values that are not finite")
            out.append(
                EvaluationClip(
                    video,
                    f"{folder.name}:{split}",
                    "",
                    clip.samples,
                    motion,
                    (),
                    style_motion=other,
                    shape=clip.shape[0],
                )
            )
    return out, head or BUILTIN_ID


def _motion(exp: NDArray[np.float32], pose: NDArray[np.float32]) -> NDArray[np.float32]:
    """Expression, head rotation and the jaw's one angle: (n, 54)."""
    return np.concatenate([exp, pose[:, :4]], axis=1).astype(np.float32)
