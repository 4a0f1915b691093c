"""Recordings to a dataset in the released layout: clips, lists by speaker, statistics."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stream.frames import FPS
from training.faces import normalisation
from training.faces.clip_arrays import SetError
from training.faces.lmdb_dataset import ABOUT, SPLITS, STATS, LmdbSet, LmdbWriter
from training.faces.recordings import NO_HEAD, Recording, find, head_problem, read, unnamed

SHORTEST = 200
"""Frames: the paper trains on pairs of windows of 100."""
HELD_OUT = 0.11
"""Share of the speakers for `val`, and again for `test` (the paper: 64 of 588 each)."""


@dataclass(frozen=True)
class Built:
    """What was built: videos by split, minutes, and what was left out and why."""

    folder: Path
    videos: dict[str, list[str]]
    minutes: float
    left_out: list[str]


def build(
    source: Path,
    out: Path,
    *,
    head: str = "",
    val: int | None = None,
    test: int | None = None,
    seed: int = 0,
    smooth: bool = True,
    note: Callable[[int, int], None] = lambda done, total: None,
) -> Built:
    """Write the dataset `out` from the recordings in `source`: all of it, or nothing.

    Args:
        head: the head that the motion belongs to; what the motion files say if empty.
        val, test: speakers to hold out; about a ninth each if None.
        smooth: whether motion is smoothed, as that of a tracker should be.
        seed: of the choice of speakers, unless `source` has val.txt and test.txt.
        note: told how many recordings of how many are done.

    Raises:
        SetError: nothing usable in `source`, `out` is taken, or motion of several heads, of none
            that is named, or of one that is not here.
        OSError: the disk refuses.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SetError(f"{out}: is there already; choose a new folder")
    recordings, left_out = find(source)
    if not head and unnamed(recordings):
        raise SetError(f"{source}: {NO_HEAD}")
    if head and (problem := head_problem(head)):
        raise SetError(f"{source}: {problem}")
    out.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        videos, heads, frames = _write(recordings, made, left_out, smooth, note)
        if not videos:
            raise SetError(f"{source}: nothing can be used; first: {left_out[0]}")
        heads = {head} if head else heads - {""}
        if len(heads) > 1:
            raise SetError(f"{source}: motion of several heads ({', '.join(sorted(heads))})")
        for name in heads:
            if problem := head_problem(name):
                raise SetError(f"{source}: {problem}")
        split = _split(source, videos, val, test, seed)
        for name in SPLITS:
            _lines(made / f"{name}.txt", split[name])
        _lines(made / "keys.txt", sorted(videos))
        with LmdbSet(made) as written:
            clips = (written.read(v, 0, written.n_frames(v)) for v in split["train"])
            normalisation.write(made / STATS, normalisation.measure(clips))
        about = {
            "head": next(iter(heads), ""),
            "smoothed": smooth,
            "videos": {v: str(r) for v, r in videos.items()},
        }
        (made / ABOUT).write_text(json.dumps(about, indent=1) + "\n", "utf-8")
        made.chmod(0o755)
        if out.exists():
            out.rmdir()
        made.rename(out)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return Built(out, split, frames / FPS / 60, left_out)


def _write(
    recordings: Sequence[Recording],
    folder: Path,
    left_out: list[str],
    smooth: bool,
    note: Callable[[int, int], None],
) -> tuple[dict[str, Recording], set[str], int]:
    """Write every recording that can be used: videos by key, the heads they name, frames."""
    writer = LmdbWriter(folder)
    videos: dict[str, Recording] = {}
    counts: dict[str, int] = {}
    heads: set[str] = set()
    frames = 0
    try:
        for done, recording in enumerate(recordings, 1):
            try:
                clip, motion = read(recording, smooth=smooth)
                if len(clip) < SHORTEST:
                    raise SetError(
                        f"{recording}: {len(clip)} frames, {SHORTEST} are the least (8 s)"
                    )
            except SetError as error:
                left_out.append(str(error))
                continue
            number = counts.get(recording.person, 0)
            counts[recording.person] = number + 1
            key = f"{recording.person}/{number:03d}"
            writer.add(key, clip)
            videos[key] = recording
            heads.add(motion.head)
            frames += len(clip)
            note(done, len(recordings))
    finally:
        writer.close()
    return videos, heads, frames


def _split(
    source: Path, videos: dict[str, Recording], val: int | None, test: int | None, seed: int
) -> dict[str, list[str]]:
    """Videos by split; no speaker is in two."""
    people = sorted({key.rpartition("/")[0] for key in videos})
    held: dict[str, set[str]] = {}
    named = [name for name in ("val", "test") if (source / f"{name}.txt").is_file()]
    if named:
        for name in named:
            lines = (source / f"{name}.txt").read_text("utf-8").split("\n")
            held[name] = {line.strip() for line in lines if line.strip()} & set(people)
        both = held.get("val", set()) & held.get("test", set())
        if both:
            raise SetError(f"{source}: {min(both)} is in val.txt and in test.txt")
    else:
        share = round(HELD_OUT * len(people)) if len(people) > 9 else int(len(people) > 2)
        counts = {"val": share if val is None else val, "test": share if test is None else test}
        order = [people[i] for i in np.random.default_rng(seed).permutation(len(people))]
        if min(counts.values()) < 0 or sum(counts.values()) >= len(people):
            raise SetError(f"{len(people)} speakers: hold out fewer, somebody must be left")
        held["test"] = set(order[len(order) - counts["test"] :])
        rest = order[: len(order) - counts["test"]]
        held["val"] = set(rest[len(rest) - counts["val"] :])
    split: dict[str, list[str]] = {name: [] for name in SPLITS}
    for key in sorted(videos):
        person = key.rpartition("/")[0]
        where = [name for name, chosen in held.items() if person in chosen]
        split[where[0] if where else "train"].append(key)
    if not split["train"]:
        raise SetError(f"{source}: every speaker is held out")
    return split


def _lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
