"""Checkpoints of a run: one file, replaced as a whole, that a full disk or a kill cannot spoil."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from head.errors import PosetalkError, WrongValue
from head.files.regular_file import open_regular

NAME = "checkpoint.pt"


class TrainingStateError(PosetalkError, OSError):
    """A checkpoint that cannot be written or read; the message is one line."""


def save(folder: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint beside the old one, then put it in its place.

    Raises:
        TrainingStateError: it cannot be written; the old one is as it was.
    """
    fresh = folder / f"{NAME}.tmp"
    try:
        with fresh.open("wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())  # or a power cut leaves an empty file under the new name
        os.replace(fresh, folder / NAME)
    except (OSError, RuntimeError) as error:  # torch wraps what the disk says
        fresh.unlink(missing_ok=True)
        raise TrainingStateError(
            f"{folder / NAME} cannot be written (disk full?): {_first_line(error)}"
        ) from None


def load(folder: Path, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """The folder's checkpoint, or None. Nothing but tensors and numbers is read.

    Raises:
        TrainingStateError: it is damaged, or no checkpoint.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        open_regular(path).close()
        state = torch.load(path, map_location=device, weights_only=True)
        if not {"model", "optimiser", "average", "step", "minutes"} <= set(state):
            raise WrongValue("it is no checkpoint of a run")
    except Exception as error:  # torch raises what the damage happens to hit
        raise TrainingStateError(
            f"{path} cannot be read ({_first_line(error)}): delete it to begin anew"
        ) from None
    return dict(state)


def restore(model: nn.Module, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Put a checkpoint's weights into `model`.

    Raises:
        TrainingStateError: they are another model's.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError:
        raise TrainingStateError(
            f"{folder / NAME} is of another model: choose another folder, or the settings it has"
        ) from None


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]
