"""Crops of a dataset, normalised, as tensors: what both networks' batches are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from diffposetalk.spec import Statistics
from stream.frames import FPS
from training.faces import normalisation
from training.faces.clip_arrays import FaceClip, FloatArray, SetError
from training.faces.lmdb_dataset import STATS, LmdbSet


@dataclass(frozen=True, eq=False)
class Batch:
    """B crops of n frames.

    samples (B, 640 n); motion (B, n, D) normalised; shape (B, 100) normalised, of the first frame;
    raw_shape (B, 100).
    """

    samples: Tensor
    motion: Tensor
    shape: Tensor
    raw_shape: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        parts = (self.samples, self.motion, self.shape, self.raw_shape)
        return Batch(*(part.to(device, non_blocking=True) for part in parts))


class CropSource:
    """Draws crops from one split of a dataset; any thread may draw.

    Args:
        data: the dataset.
        split: `train`, `val` or `test`.
        head_rotation: whether motion has the head's three channels.

    Raises:
        SetError: the list or the statistics are missing or wrong.
    """

    def __init__(self, data: LmdbSet, split: str, *, head_rotation: bool = True) -> None:
        self.data, self.split = data, split
        values = normalisation.read(data.folder / STATS)
        self.statistics: Statistics = normalisation.for_model(values, head_rotation=head_rotation)
        self.jaw_yz: FloatArray = values["pose_mean"][4:6]
        """(2,) mean of the jaw's y and z, which are no channels of motion, in radians."""
        self._lengths = {video: data.n_frames(video) for video in data.videos(split)}
        self._rotation = head_rotation

    def videos(self, n: int) -> list[str]:
        """Videos of at least n frames.

        Raises:
            SetError: there is none.
        """
        found = [video for video, length in self._lengths.items() if length >= n]
        if not found:
            raise SetError(
                f"{self.data.folder}: {self.split}.txt lists no video of {n} frames "
                f"({n / FPS:g} s): `posetalk dataset check` says what there is"
            )
        return found

    def people(self, n: int) -> dict[str, list[str]]:
        """Videos of at least n frames by who speaks."""
        out: dict[str, list[str]] = {}
        for video in self.videos(n):
            out.setdefault(video.rpartition("/")[0], []).append(video)
        return out

    def draw(self, rng: np.random.Generator, batch: int, n: int) -> Batch:
        """Crops of n frames from random videos."""
        videos = self.videos(n)
        return self.batch(
            [self.crop(videos[int(rng.integers(len(videos)))], n, rng) for _ in range(batch)]
        )

    def draw_people(self, rng: np.random.Generator, batch: int, n: int) -> Batch:
        """Crops of n frames of different people, all of them if there are fewer than `batch`."""
        people = self.people(n)
        names = list(people)
        chosen = rng.choice(len(names), min(batch, len(names)), replace=False)
        own = [people[names[i]] for i in chosen]
        return self.batch([self.crop(v[int(rng.integers(len(v)))], n, rng) for v in own])

    def crop(self, video: str, n: int, rng: np.random.Generator) -> FaceClip:
        """A random crop of one video."""
        return self.data.read(video, int(rng.integers(self._lengths[video] - n + 1)), n)

    def motion(self, clip: FaceClip) -> FloatArray:
        """A clip's motion as the networks see it: (n, D) normalised."""
        rotation = [clip.pose[:, :3]] if self._rotation else []
        raw = np.concatenate([clip.exp, *rotation, clip.pose[:, 3:4]], -1)
        s = self.statistics
        return ((raw - s.motion_mean) / s.motion_std).astype(np.float32)

    def batch(self, clips: list[FaceClip]) -> Batch:
        """Clips of one length as a batch."""
        s = self.statistics
        raw_shape = np.stack([clip.shape[0] for clip in clips])
        return Batch(
            torch.from_numpy(np.stack([clip.samples for clip in clips])),
            torch.from_numpy(np.stack([self.motion(clip) for clip in clips])),
            torch.from_numpy((raw_shape - s.shape_mean) / s.shape_std),
            torch.from_numpy(raw_shape),
        )
