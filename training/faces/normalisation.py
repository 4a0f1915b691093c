"""Normalisation of a dataset, in the released form: stats_train.npz.

`{shape,exp,pose}_{mean,std,max,min}` of 100, 50 and 6 numbers.  As the released script has it,
mean and deviation are those *within* crops of 4 s, averaged over crops and videos: the deviation
says how far a face moves in 4 s, not how far faces are apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffposetalk.spec import Statistics
from head.files.array_file import read_npz
from head.new_file import new_file
from training.faces.clip_arrays import WIDTHS, FaceClip, SetError

FloatArray = NDArray[np.float32]
CROP = 100
LEAST = 1e-9
"""Added to deviations, as in the released training."""
_LARGEST_FILE = 1 << 20
KINDS = ("mean", "std", "max", "min")


def measure(clips: Iterable[FaceClip]) -> dict[str, FloatArray]:
    """Statistics of whole videos; every crop of 100 frames counts, where the released script draws
    a thousand of them.

    Raises:
        SetError: no video is as long as a crop.
    """
    sums: dict[str, list[NDArray[np.float64]]] = {f"{n}_{k}": [] for n in WIDTHS for k in KINDS}
    for clip in clips:
        if len(clip) < CROP:
            continue
        for name in WIDTHS:
            values = getattr(clip, name).astype(np.float64)
            centre = values.mean(0)
            mean, spread = _within(values - centre)
            for kind, found in zip(
                KINDS, (mean + centre, spread, values.max(0), values.min(0)), strict=True
            ):
                sums[f"{name}_{kind}"].append(found)
    if not sums["exp_mean"]:
        raise SetError(f"no video is {CROP} frames long: nothing to take statistics of")
    reduce: dict[str, Callable[..., Any]] = {
        "mean": np.mean,
        "std": np.mean,
        "max": np.max,
        "min": np.min,
    }
    return {
        key: np.asarray(reduce[key[-4:].strip("_")](rows, axis=0), np.float32)
        for key, rows in sums.items()
    }


def _within(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation inside every crop, each averaged over the crops: (n, d) -> (d,), (d,)."""
    total = np.cumsum(np.pad(values, ((1, 0), (0, 0))), axis=0)
    squares = np.cumsum(np.pad(values**2, ((1, 0), (0, 0))), axis=0)
    mean = (total[CROP:] - total[:-CROP]) / CROP
    variance = (squares[CROP:] - squares[:-CROP]) / CROP - mean**2
    return mean.mean(0), np.sqrt(np.maximum(variance, 0.0)).mean(0)


def write(path: Path, values: Mapping[str, FloatArray]) -> None:
    """Write stats_train.npz: all of it, or nothing."""
    with new_file(path) as part, part.open("wb") as file:
        np.savez(file, **values)  # type: ignore[arg-type]


def read(path: Path) -> dict[str, FloatArray]:
    """Read and check stats_train.npz.

    Raises:
        SetError: missing, not such a file, other sizes, or values that are not finite.
    """
    try:
        arrays = read_npz(path, _LARGEST_FILE)
        found = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
    except FileNotFoundError:
        raise SetError(f"{path}: missing; `posetalk dataset build` writes it") from None
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise SetError(f"{path}: not a statistics file ({reason})") from None
    for name, width in WIDTHS.items():
        for kind in ("mean", "std"):
            key = f"{name}_{kind}"
            if key not in found:
                raise SetError(f"{path}: lacks {key}")
            if found[key].shape != (width,) or not np.isfinite(found[key]).all():
                raise SetError(f"{path}: {key} is not {width} finite numbers")
        if found[f"{name}_std"].min() < 0:
            raise SetError(f"{path}: {name}_std is negative")
    return found


def for_model(values: Mapping[str, FloatArray], *, head_rotation: bool = True) -> Statistics:
    """Statistics of motion (54 or 51 channels: expression, rotation, jaw x) and of shape.

    Channels that never move get a deviation of 1, so that they stay near zero.
    """
    parts = [
        ("exp", slice(None)),
        *([("pose", slice(0, 3))] if head_rotation else []),
        ("pose", slice(3, 4)),
    ]
    mean = np.concatenate([values[f"{name}_mean"][part] for name, part in parts])
    std = np.concatenate([values[f"{name}_std"][part] for name, part in parts])
    return Statistics(mean, _safe(std), values["shape_mean"], _safe(values["shape_std"]))


def _safe(std: FloatArray) -> FloatArray:
    return np.where(std > 1e-6, std + LEAST, 1.0).astype(np.float32)
