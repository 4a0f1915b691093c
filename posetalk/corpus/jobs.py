"""What is made of a corpus: one file for each sound, named as that is; no Ray here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from head.files.json_file import read_json, write_json
from posetalk.app.settings.model import ModelSettings
from posetalk.terminal.console import UsageError

Kind = Literal["npz", "glb"]

SOUNDS = re.compile(
    r"\.(wav|flac|mp3|ogg|oga|opus|m4a|aac|aiff?|au|caf|w64|wma|webm|mp4|m4v|mov|mkv)$", re.I
)
"""Endings of the files of a folder that are taken for sound; a file that is named may have any."""
RECORD = "posetalk-corpus.json"
FAILURES = "failures.txt"


@dataclass(frozen=True)
class Job:
    """One sound, and the file that is made of it."""

    sound: str
    output: str


@dataclass(frozen=True)
class Corpus:
    """How every sound of a corpus is animated.

    Attributes:
        model: weights, style, seed and the rest.
        kind: of the files that are made.
        audio_guidance, style_guidance: None is the bundle's.
        channel: as `--channel` has it.
        fps: of `.glb`; None is 25.
        neutral: whether a frame at rest goes first.
        force: whether everything is made anew.
    """

    model: ModelSettings
    kind: Kind = "npz"
    audio_guidance: float | None = None
    style_guidance: float | None = None
    channel: str = "auto"
    fps: int | None = None
    neutral: bool = False
    force: bool = False

    def record(self, bundle: str) -> dict[str, Any]:
        """What files that lie in one folder must share; `bundle` is the hash of its weights."""
        told = asdict(self)
        del told["force"]
        # What computes the motion does not change whose it is.
        for name in ("bundle", "backend", "gpu"):
            del told["model"][name]
        return {"bundle": bundle, **told}


def jobs_of(names: Sequence[str], folder: Path, kind: Kind) -> list[Job]:
    """A job for each sound: those that are named, and those below the folders that are named.

    What lies below a folder keeps its place in the folder of the outputs.

    Raises:
        UsageError: there is no sound, or two would become one file.
    """
    found: list[tuple[Path, Path]] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if SOUNDS.search(p.name) and p.is_file())
            found += [(sound, sound.relative_to(path)) for sound in below]
        else:
            found.append((path, Path(path.name)))
    if not found:
        raise UsageError(f"{', '.join(names)}: no sound files there")
    outputs = [folder / place.with_suffix(f".{kind}") for _, place in found]
    output, count = Counter(outputs).most_common(1)[0]
    if count > 1:
        twice = [str(sound) for (sound, _), other in zip(found, outputs, strict=True)]
        shared = [it for it, other in zip(twice, outputs, strict=True) if other == output]
        raise UsageError(f"{output} would be made of {shared[0]} and of {shared[1]}")
    pairs = zip(found, outputs, strict=True)
    return [Job(str(sound.absolute()), str(out.absolute())) for (sound, _), out in pairs]


def prepare_folder(folder: Path, jobs: Iterable[Job], wanted: dict[str, Any], force: bool) -> None:
    """Make the folders of the outputs, and note in them how they are made.

    Raises:
        UsageError: what is there was made otherwise, and `force` is not given.
        OSError: a folder cannot be made.
    """
    noted = folder / RECORD
    if noted.exists() and not force:
        try:
            before = read_json(noted)
        except ValueError:
            before = None
        if before != wanted:
            named = difference(before, wanted)
            raise UsageError(
                f"{folder} holds files made with another {named}: name another folder, or --force"
            )
    for parent in {Path(job.output).parent for job in jobs}:
        parent.mkdir(parents=True, exist_ok=True)
    write_json(noted, wanted)


def difference(before: Any, wanted: dict[str, Any]) -> str:
    """The first setting in which a folder differs from what is wanted."""
    if not isinstance(before, dict):
        return "record"
    for name, value in wanted.items():
        if before.get(name) != value:
            inner = before.get(name)
            if isinstance(value, dict) and isinstance(inner, dict):
                return difference(inner, value)
            return name.replace("_", " ")
    return "record"
