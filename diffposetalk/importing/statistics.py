"""The normalisation that a released checkpoint was trained with: `stats_train.npz`.

Checkpoints do not hold it, and without it their numbers mean nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from diffposetalk.importing.archive import CheckpointError
from diffposetalk.importing.arguments import Arguments
from diffposetalk.spec import FloatArray, ModelSpec, Statistics
from head.files.array_file import read_npz
from head.files.regular_file import FileRefusedError

SIZES = {"shape": 100, "exp": 50, "pose": 6}
LARGEST_FILE = 1 << 20


def missing_statistics(arguments: Arguments) -> CheckpointError:
    """Why there is no bundle without statistics, and what to do."""
    named = arguments.path("stats_file")
    data = arguments.path("data_root")
    where = f"; this one was trained with {named} of {data}" if named and data else ""
    return CheckpointError(
        f"{arguments.source} cannot run without the statistics of its training data, and "
        f"checkpoints do not hold them{where}: give --stats stats_train.npz, which comes with the "
        "TFHP data set (its authors send it on request) or from "
        "`posetalk dataset` for data of your own; another data set's file makes wrong motion"
    )


def read_statistics(path: str | Path, spec: ModelSpec) -> tuple[Statistics, FloatArray]:
    """The statistics for a model's channels, and (2,) the mean of the jaw's y and z, raw.

    The jaw's y and z are no channels; the released code decodes them to their mean.

    Raises:
        CheckpointError: not such a file, other sizes, or values that cannot be divided by.
        FileNotFoundError: there is none.
    """
    path = Path(path)
    try:
        arrays = read_npz(path, LARGEST_FILE)
        found = {
            f"{what}_{kind}": np.asarray(arrays[f"{what}_{kind}"], np.float32)
            for what in SIZES
            for kind in ("mean", "std")
        }
    except FileRefusedError as error:
        raise CheckpointError(f"{error}: it is no file of statistics") from None
    except (KeyError, TypeError, ValueError) as error:
        lacking = str(error) if isinstance(error, KeyError) else ""
        raise CheckpointError(
            f"{path} is no file of statistics ({' '.join(lacking.split())[:80] or 'unreadable'}): "
            "it holds shape_, exp_ and pose_, each with mean and std"
        ) from None
    for what, size in SIZES.items():
        for kind in ("mean", "std"):
            shape = found[f"{what}_{kind}"].shape
            if shape != (size,):
                raise CheckpointError(
                    f"{path}: {what}_{kind} is {shape}, not ({size},): these statistics are for "
                    "another representation"
                )
    motion = {
        kind: _motion(found[f"exp_{kind}"], found[f"pose_{kind}"], spec) for kind in ("mean", "std")
    }
    checked = {"motion": motion, "shape": {k: found[f"shape_{k}"] for k in ("mean", "std")}}
    for what, parts in checked.items():
        if not all(np.isfinite(part).all() for part in parts.values()):
            raise CheckpointError(f"{path}: the {what} statistics hold values that are not finite")
        flat = np.flatnonzero(parts["std"] <= 0.0)
        if len(flat):
            raise CheckpointError(
                f"{path}: the deviation of {what} channel {flat[0]} is not positive, and motion is "
                "divided by it"
            )
    jaw = np.nan_to_num(found["pose_mean"][4:6])
    return Statistics(motion["mean"], motion["std"], found["shape_mean"], found["shape_std"]), jaw


def _motion(exp: FloatArray, pose: FloatArray, spec: ModelSpec) -> FloatArray:
    """The motion vector's channels: expression, head rotation (if any), jaw x."""
    parts = [exp, pose[:3], pose[3:4]] if spec.head_rotation else [exp, pose[3:4]]
    return np.concatenate(parts)
