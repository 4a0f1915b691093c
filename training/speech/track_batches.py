"""Batches of crops from the tracks that `training.speech.tracks` wrote."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffposetalk.network.mel_front import COLUMNS, LOWEST
from head.new_file import new_file


@dataclass(frozen=True)
class Crops:
    """B crops of n frames, with the mel history their first feature needs.

    columns (B, 4 (history - 1 + n), n_mels); motion (B, n, D) normalised; phone (B, n) int64;
    style (B,) int64 index into the style table; before (B,) int64: so many of the crop's first
    frames lie before the stream, in silence; teacher (B, n, width) normalised, or None.
    """

    columns: Tensor
    motion: Tensor
    phone: Tensor
    style: Tensor
    before: Tensor
    teacher: Tensor | None = None


class Tracks:
    """The tracks on disk, memory-mapped; draws crops.

    Args:
        without: sets of voices that are left out.
    """

    def __init__(self, folder: Path, without: Collection[str] = ()) -> None:
        self.columns: NDArray[np.float16] = np.load(folder / "columns.npy", mmap_mode="r")
        self.motion: NDArray[np.float32] = np.load(folder / "motion.npy", mmap_mode="r")
        self.phone: NDArray[np.uint8] = np.load(folder / "phone.npy", mmap_mode="r")
        told = folder / "teacher.npy"
        self.teacher: NDArray[np.float16] | None = None
        if told.exists():
            self.teacher = np.load(told, mmap_mode="r")
            some = self.teacher[:: max(1, len(self.teacher) // 20_000)].astype(np.float32)
            self._teacher_units = some.mean(0), some.std(0) + 1e-3
        meta = json.loads((folder / "tracks.json").read_text())
        kept = [s for s in meta["spans"] if s["set"] not in without]
        self.spans = np.array([(s["start"], s["end"], s["style"]) for s in kept])
        self.sets = [s["set"] for s in kept]
        self.restarts: list[list[list[int]]] = [s.get("restarts", []) for s in kept]
        self.named: list[str] = meta["named"]
        self.n_styles = len(meta["styles"])
        self.mean, self.std = _statistics(folder / "statistics.npz", self.motion)
        # Long tracks are drawn more often: every frame is as likely as every other.
        lengths = (self.spans[:, 1] - self.spans[:, 0]).astype(np.float64)
        self._weights = lengths / lengths.sum()

    def normalised(self, start: int, stop: int) -> NDArray[np.float32]:
        """Normalised motion of frames [start, stop): (n, D)."""
        return (self.motion[start:stop] - self.mean) / self.std

    def crops(
        self,
        batch: int,
        n: int,
        history: int,
        rng: np.random.Generator,
        *,
        starts: float = 0.0,
        lead: int = 0,
    ) -> Crops:
        """Draw `batch` crops of n frames, each with `history` - 1 frames of columns before it.

        A share of `starts` are the beginnings of streams, with `lead` frames of the silence of a
        microphone that is still closed: half of them where their track begins, in a pause, half
        where its hearing begins anew, as when somebody is speaking already. No other crop is heard
        across such a beginning, unless its track has no room.
        """
        columns, motion, phone, style, before, teacher = [], [], [], [], [], []
        for track in rng.choice(len(self.spans), batch, p=self._weights):
            start, end, style_id = self.spans[track]
            hearing = int(rng.integers(len(self.columns)))
            heard, begun = self.columns[hearing], self.restarts[track]
            anew = [start + frame for frame in begun[hearing]] if begun else []
            begins = bool(starts) and rng.random() < starts
            early, reach = (lead, 0) if begins else (0, history - 1)
            in_a_pause = begins and rng.random() < 0.5
            first = start if in_a_pause else int(rng.integers(start + reach, end - n + 1))
            fitting = [frame for frame in anew if frame + n <= end]
            if begins and not in_a_pause and fitting:
                first = fitting[int(rng.integers(len(fitting)))]
            elif not begins:
                for _ in range(8):
                    if not any(first - reach < frame < first + n for frame in anew):
                        break
                    first = int(rng.integers(start + reach, end - n + 1))
            last, silent = first + n - early, COLUMNS * (early + history - 1 - reach)
            sound = heard[COLUMNS * (first - reach) : COLUMNS * last]
            columns.append(np.pad(sound, ((silent, 0), (0, 0)), constant_values=LOWEST))
            motion.append(np.pad(self.normalised(first, last), ((early, 0), (0, 0)), mode="edge"))
            phone.append(np.pad(self.phone[first:last], (early, 0)))
            if self.teacher is not None:
                mean, std = self._teacher_units
                told = (self.teacher[first:last].astype(np.float32) - mean) / std
                teacher.append(np.pad(told, ((early, 0), (0, 0)), mode="edge"))
            style.append(style_id)
            before.append(early)
        return Crops(
            torch.from_numpy(np.stack(columns)).float(),
            torch.from_numpy(np.stack(motion)),
            torch.from_numpy(np.stack(phone)).long(),
            torch.tensor(style),
            torch.tensor(before),
            torch.from_numpy(np.stack(teacher)) if teacher else None,
        )


def _statistics(
    path: Path, motion: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and deviation of every channel; what was found first stays when labels are refined.

    Networks are trained in these units: they must not change under them.
    """
    if not path.exists():
        std = motion.std(0)
        floor = np.full(len(std), 0.02, np.float32)  # keeps silent channels from being blown up
        floor[50:] = 0.005
        with new_file(path) as part, part.open("wb") as file:
            np.savez(file, mean=motion.mean(0), std=np.maximum(std, floor))
    with np.load(path, allow_pickle=False) as found:
        return found["mean"].astype(np.float32), found["std"].astype(np.float32)
