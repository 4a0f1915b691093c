"""What stands under an output's name, and whether a new file would lose more than it makes.

A clip that was made here and is no longer than the new one can be made again, and is replaced; a
longer one, somebody's own file, or the very file that is read, takes `--force`.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import struct
from collections.abc import Sequence
from pathlib import Path

from posetalk.formats.clip import GENERATOR
from posetalk.formats.glb import JSON_CHUNK, MAGIC
from posetalk.terminal.console import UsageError

OURS = {"exp", "pose", "shape", "fps", "head"}
TRACKED = OURS | {"marks", "rest"}
"""Arrays of motion that was made of sound, and of motion that was tracked in a film."""
TOLERANCE = 1.0
"""Seconds by which the lengths of one clip differ between its files."""
_MOST_HEADER = 64 << 20
_MOST_JOINTS = 8


def check_existing(
    outputs: Sequence[Path],
    seconds: float,
    *,
    inputs: Sequence[Path] = (),
    force: bool = False,
    arrays: set[str] = OURS,
) -> list[Path]:
    """Judge what is to be replaced, before any work is done; returns what there is of it.

    Args:
        outputs: names of files to make.
        seconds: how long the new clips will be; 0 where nobody knows.
        inputs: files that are read.
        force: replace whatever there is.
        arrays: what a motion file of the kind that is made holds.

    Raises:
        UsageError: a file that would be lost.
    """
    there = [path for path in outputs if path.exists()]
    for path in () if force else there:
        if any(other.exists() and path.samefile(other) for other in inputs):
            raise UsageError(f"{path} is the file that is read: give another name, or --force")
        length = seconds_of(path, arrays)
        if math.isinf(length):
            raise UsageError(
                f"{path} is there already, and was not made so: give another name, or --force"
            )
        if length > seconds + TOLERANCE:
            new = f", the new one {seconds:.0f} s" if seconds else ""
            raise UsageError(
                f"{path} is there already and {length:.0f} s long{new}: give another name, or "
                "--force"
            )
    return there


def seconds_of(path: Path, arrays: set[str] = OURS) -> float:
    """How long a clip is that was made here; infinite for anything else, 0 for an empty file."""
    if not path.is_file():
        return math.inf
    if path.stat().st_size == 0:
        return 0.0
    ending = path.suffix.lower()
    if ending == ".npz":
        return _of_arrays(path, arrays)
    if ending in (".mp4", ".webm", ".mov"):
        from viewer.play.video import seconds_of_ours

        return seconds_of_ours(path)
    reader = {".csv": _of_table, ".glb": _of_glb, ".usda": _of_usda, ".bvh": _of_bvh}.get(ending)
    if reader is not None:
        with contextlib.suppress(
            OSError, ValueError, KeyError, IndexError, TypeError, struct.error
        ):
            return reader(path)
    return math.inf


def _of_arrays(path: Path, arrays: set[str]) -> float:
    from head.files.array_file import read_npz

    with contextlib.suppress(OSError, ValueError, TypeError):
        found = read_npz(path)
        if set(found) == arrays:
            return len(found["exp"]) / float(found["fps"])
    return math.inf


def _of_table(path: Path) -> float:
    """Ours begins at timecode zero, a phone's take at the time of day."""
    lines = path.read_text("ascii").splitlines()
    if not lines[1].startswith("00:00:00:00.000,"):
        return math.inf
    hours, minutes, seconds = map(int, lines[-1].split(":")[:3])
    return 3600.0 * hours + 60 * minutes + seconds


def _of_glb(path: Path) -> float:
    with path.open("rb") as file:
        magic, _, _, length, kind = struct.unpack("<5I", file.read(20))
        if (magic, kind) != (MAGIC, JSON_CHUNK) or length > _MOST_HEADER:
            return math.inf
        told = json.loads(file.read(length))
    if told["asset"]["generator"] != GENERATOR:
        return math.inf
    times = {sampler["input"] for one in told["animations"] for sampler in one["samplers"]}
    return float(max(told["accessors"][index]["max"][0] for index in times))


def _of_usda(path: Path) -> float:
    with path.open(encoding="utf-8") as file:
        header = file.read(2000)
    if f'generator = "{GENERATOR}"' not in header:
        return math.inf
    return _number(r"endTimeCode = ", header) / _number(r"timeCodesPerSecond = ", header)


def _of_bvh(path: Path) -> float:
    """Nothing in it says whose it is: ours has the few joints of a head, motion capture a body."""
    text = path.read_text("ascii")
    if text.count("JOINT ") > _MOST_JOINTS:
        return math.inf
    return _number(r"^Frames: ", text) * _number(r"^Frame Time: ", text)


def _number(before: str, text: str) -> float:
    return float(re.findall(rf"{before}([0-9.]+)", text, re.MULTILINE)[0])
