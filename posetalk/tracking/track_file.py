"""Tracked motion on disk: a motion file as others are, with marks, and the sound beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from head.files.array_file import read_npz
from head.model import Head
from head.new_file import new_file
from head.retarget import retarget
from head.rig import builtin_head
from head.skinning import motion_to_parameters, parameters_to_motion
from posetalk.formats.motion_file import N_SHAPE
from posetalk.tracking.problem import TrackingError
from posetalk.tracking.sources.film import Film
from posetalk.tracking.sources.sound import sound_of, write_wave
from posetalk.tracking.track import FPS, Tracked

SUFFIXES: Final = (
    ".mp4",
    ".m4v",
    ".mov",
    ".mkv",
    ".webm",
    ".avi",
    ".mpg",
    ".mpeg",
    ".ts",
    ".mts",
    ".wmv",
    ".flv",
    ".3gp",
    ".ogv",
)
"""Endings of films."""


def is_film(path: str | Path) -> bool:
    """Whether a file's name says that it is a film."""
    return Path(path).suffix.lower() in SUFFIXES


def brought_to(tracked: Tracked, head: Head) -> Tracked:
    """The same motion for another head.

    Raises:
        head.model.HeadError: it cannot be moved so.
    """
    if head.id == tracked.head:
        return tracked
    motion = parameters_to_motion(tracked.exp, tracked.pose[:, :3], tracked.pose[:, 3:])
    exp, rotation, jaw = motion_to_parameters(retarget(builtin_head(), head)(motion))
    pose = np.concatenate([rotation, jaw], axis=1).astype(np.float32)
    return replace(tracked, exp=exp.astype(np.float32), pose=pose, head=head.id)


def check_motion_path(path: Path) -> None:
    """Judge where a motion file is to go, before any work is done.

    Raises:
        TrackingError: the name does not end in .npz, or its folder is missing.
    """
    if path.suffix.lower() != ".npz":
        raise TrackingError(f"{path}: name the motion file something.npz")
    if not path.absolute().parent.is_dir():
        raise TrackingError(f"{path}: there is no such folder")


def write_motion(path: Path, tracked: Tracked, head: Head | None = None) -> None:
    """Write a motion file: what `posetalk.Motion.load` reads, with `marks` (L,) and `rest` (3,).

    Raises:
        HeadError: `head` cannot be moved so.
        OSError: the folder is missing or the disk refuses.
    """
    tracked = tracked if head is None else brought_to(tracked, head)
    with new_file(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            exp=tracked.exp,
            pose=tracked.pose,
            shape=np.zeros(N_SHAPE, np.float32),
            fps=np.array(FPS),
            head=np.array(tracked.head),
            marks=tracked.marks,
            rest=tracked.rest,
        )


def read_tracked(path: Path) -> Tracked | None:
    """The motion that `write_motion` wrote for the built-in head; None for any other motion file.

    Raises:
        FileNotFoundError, OSError, ValueError: not such a file.
    """
    arrays = read_npz(path)
    if not {"exp", "pose", "marks", "rest"} <= arrays.keys():
        return None
    exp, pose, rest = (np.asarray(arrays[name], np.float32) for name in ("exp", "pose", "rest"))
    marks = np.asarray(arrays["marks"]).astype(np.uint16)
    head = str(arrays.get("head", ""))[:80]
    sizes = (exp.shape, pose.shape, marks.shape, rest.shape)
    count = len(marks)
    if head != builtin_head().id or sizes != ((count, 50), (count, 6), (count,), (3,)):
        return None
    if not all(np.isfinite(values).all() for values in (exp, pose, rest)):
        return None
    return Tracked(exp, pose, marks, rest, head, count, float(FPS), 0)


def write_sound(path: Path, film: Film) -> bool:
    """Write the film's sound as a wave file; False, and no file, where it has none.

    Raises:
        TrackingError: the sound track cannot be decoded.
    """
    if not film.has_sound:
        return False
    return write_wave(path, sound_of(film)) > 0
