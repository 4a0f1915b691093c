"""What needs no network: the mean motion, and a follower of loudness fitted to the tracks.

Pure numpy; both see the same tracks as the networks of the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from head.errors import PosetalkError
from head.new_file import new_file

Array = NDArray[np.floating[Any]]

LAGS = (-2, -1, 0, 1, 2)
"""Frames of loudness that the follower sees around its own: two behind, two ahead, as live."""
COLUMNS = 4
"""Mel columns per frame."""
RIDGE = 1e-3
"""Per frame, on weights of standardised loudness."""
MOST_FRAMES = 200_000


class BaselineError(PosetalkError, ValueError):
    """A file of baselines that cannot be used; one line."""


class HasTracks(Protocol):
    """What the fits read of `training.speech.track_batches.Tracks`."""

    columns: NDArray[np.float16]
    motion: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Baselines:
    """Two predictors of raw motion of D channels.

    Attributes:
        mean: (D,) motion of every frame.
        weights: (len(LAGS) + 1, D) on loudness at the lags, then 1.
    """

    mean: Array
    weights: Array

    def mean_motion(self, frames: int) -> Array:
        """(frames, D): the mean, still."""
        return np.tile(self.mean, (frames, 1))

    def follow(self, columns: Array) -> Array:
        """Motion that follows loudness: normalised mel columns (4 n, n_mels) -> (n, D)."""
        out: Array = _design(loudness(columns)) @ self.weights
        return out


def loudness(columns: Array) -> Array:
    """Loudest column of each frame, mean over filters: (..., 4 n, n_mels) -> (..., n)."""
    *lead, count, n_mels = columns.shape
    frames = columns.reshape(*lead, count // COLUMNS, COLUMNS, n_mels).astype(np.float32)
    out: Array = frames.max(-2).mean(-1)
    return out


def fit_baselines(tracks: HasTracks) -> Baselines:
    """Mean of the motion and ridge regression from loudness, over the first hearing."""
    frames = min(len(tracks.motion), MOST_FRAMES)
    motion = np.asarray(tracks.motion[:frames], np.float64)
    x = _design(loudness(np.asarray(tracks.columns[0, : COLUMNS * frames])))
    penalty = RIDGE * frames * np.eye(x.shape[1])
    penalty[-1, -1] = 0.0  # the constant is free
    weights = np.linalg.solve(x.T @ x + penalty, x.T @ motion)
    return Baselines(motion.mean(0), weights)


def _design(level: Array) -> Array:
    """Loudness at the lags, edges repeated, and 1: (n,) -> (n, len(LAGS) + 1)."""
    reach = max(abs(lag) for lag in LAGS)
    padded = np.pad(level.astype(np.float64), reach, mode="edge")
    shifted = [padded[reach + lag : reach + lag + len(level)] for lag in LAGS]
    return np.stack([*shifted, np.ones(len(level))], axis=1)


def save_baselines(path: Path, baselines: Baselines) -> None:
    """Write the two fits, beside the old file first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path) as part, part.open("wb") as file:
        np.savez(file, mean=baselines.mean, weights=baselines.weights)


def load_baselines(path: Path) -> Baselines:
    """Read them back.

    Raises:
        BaselineError: missing, damaged, or of other shapes.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            mean, weights = found["mean"], found["weights"]
    except (OSError, KeyError, ValueError, EOFError) as error:
        raise BaselineError(
            f"{path} holds no baselines ({error}): make them with posetalk train ablations"
        ) from None
    if mean.ndim != 1 or weights.shape != (len(LAGS) + 1, len(mean)):
        raise BaselineError(f"{path}: baselines of shapes {mean.shape} and {weights.shape}")
    if not (np.isfinite(mean).all() and np.isfinite(weights).all()):
        raise BaselineError(f"{path}: baselines that are not finite")
    return Baselines(mean, weights)
