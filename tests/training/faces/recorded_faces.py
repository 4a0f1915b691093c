"""Recordings of people who do not exist, and sets that are built of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soundfile

PEOPLE = ("ada", "bob", "cleo", "dan")


def motion_arrays(frames: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    exp = 0.1 * rng.normal(size=(frames, 50)).cumsum(0) / np.sqrt(np.arange(1, frames + 1))[:, None]
    pose = np.zeros((frames, 6))
    pose[:, :4] = 0.05 * np.sin(np.arange(frames)[:, None] / [9, 11, 13, 5] + seed)
    return {
        "exp": exp.astype(np.float32),
        "pose": pose.astype(np.float32),
        "fps": np.array(25),
        "shape": np.full(100, float(seed), np.float32),
        "head": np.array("posetalk-head-1"),
    }


def record(folder: Path, person: str, name: str, frames: int, seed: int) -> None:
    home = folder / person
    home.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(seed).standard_normal(frames * 640)
    with (home / f"{name}.wav").open("wb") as file:
        soundfile.write(file, noise, 16_000, format="WAV")
    np.savez(home / f"{name}.npz", **motion_arrays(frames, seed))


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("touch hacked",))
