"""What is wrong with a dataset, or with recordings that are to become one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from stream.frames import FPS, FRAME_SAMPLES
from training.faces import normalisation
from training.faces.build import SHORTEST
from training.faces.clip_arrays import SEGMENT_FRAMES, FaceClip, SetError
from training.faces.lmdb_dataset import DATA, SPLITS, STATS, LmdbSet
from training.faces.recordings import (
    NO_HEAD,
    SLACK_FRAMES,
    find,
    head_problem,
    read_motion,
    read_sound,
)

RELEASED_HEAD = "flame"
"""The head of a set without about.json, as the released ones are."""
SIDEWAYS = 0.05
"""Radians of jaw beyond x that are worth a word, as they are dropped."""


def check(
    folder: Path, note: Callable[[int, int], None] = lambda done, total: None, head: str = ""
) -> Iterator[str]:
    """Problems, one line each, as they are found; none if the set can be trained on.

    Args:
        folder: a dataset, or a folder of recordings.
        note: told how many videos of how many are done.
        head: the head that the motion belongs to; what the files say if empty.

    Raises:
        SetError: there is nothing to check.
    """
    if (folder / DATA).exists() or (folder / "train.txt").exists():
        with LmdbSet(folder) as found:
            yield from _check_set(found, note, head)
    else:
        yield from _check_recordings(folder, note, head)


def _check_set(found: LmdbSet, note: Callable[[int, int], None], head: str) -> Iterator[str]:
    if problem := head_problem(head or str(found.about.get("head") or RELEASED_HEAD)):
        yield problem
    listed: dict[str, str] = {}
    speakers: dict[str, str] = {}
    for split in SPLITS:
        try:
            videos = found.videos(split)
        except SetError as error:
            yield str(error)
            continue
        if split == "train" and not videos:
            yield f"{split}.txt: empty"
        for video in videos:
            person = video.rpartition("/")[0]
            if video in listed:
                yield f"{video}: listed in {listed[video]}.txt and in {split}.txt"
            elif speakers.setdefault(person, split) != split:
                yield f"{person}: speaks in {speakers[person]}.txt and in {split}.txt"
            listed.setdefault(video, split)
    try:
        normalisation.read(found.folder / STATS)
    except SetError as error:
        yield str(error)
    known = {"metadata"}
    for done, video in enumerate(listed, 1):
        try:
            n = found.n_frames(video)
        except SetError as error:
            yield str(error)
            continue
        count = -(-n // SEGMENT_FRAMES)
        known |= {f"{video}/metadata", *(f"{video}/{i:03d}" for i in range(count))}
        if n < SHORTEST:
            yield f"{video}: {n} frames, {SHORTEST} are the least"
        parts: list[FaceClip] = []
        for index in range(count):
            try:
                parts.append(found.segment(video, index))
            except SetError as error:
                yield str(error)
        if len(parts) == count:
            yield from (f"{video}: {problem}" for problem in _odd(parts))
        note(done, len(listed))
    stray = [key for key in found.stored() if key not in known]
    videos_lost = sorted({key.rpartition("/")[0] for key in stray})
    if stray:
        yield f"{len(stray)} entries in no list, of {', '.join(videos_lost[:5])}"


def _odd(parts: list[FaceClip]) -> Iterator[str]:
    """What is strange about the values of one video."""
    exp, pose = (np.concatenate([getattr(p, name) for p in parts]) for name in ("exp", "pose"))
    if max(np.abs(part.samples).max(initial=0.0) for part in parts) < 1e-4:
        yield "its sound is silent"
    if len(exp) > FPS and exp.std(0).max() < 1e-6 and pose.std(0).max() < 1e-6:
        yield "its face never moves"
    if np.abs(pose).max() > 2 * np.pi:
        yield f"pose reaches {np.abs(pose).max():.0f}: axis-angle in radians belongs"
    if np.abs(exp).max() > 100:
        yield f"exp reaches {np.abs(exp).max():.0f}"
    if np.abs(pose[:, 4:]).max() > SIDEWAYS:
        turn = np.abs(pose[:, 4:]).max()
        yield f"its jaw turns by {turn:.2f} rad about y and z, which is dropped"


def _check_recordings(source: Path, note: Callable[[int, int], None], head: str) -> Iterator[str]:
    recordings, wrong = find(source)
    yield from wrong
    heads: set[str] = set()
    for done, recording in enumerate(recordings, 1):
        try:
            motion = read_motion(recording.motion)
            samples = read_sound(recording.sound)
        except SetError as error:
            yield str(error)
            continue
        heads.add(motion.head)
        heard, moved = len(samples) // FRAME_SAMPLES, len(motion.exp)
        if abs(heard - moved) > SLACK_FRAMES:
            yield f"{recording}: {heard / FPS:.1f} s of sound, {moved / FPS:.1f} s of motion"
        n = min(heard, moved)
        if n < SHORTEST:
            yield f"{recording}: {n} frames, {SHORTEST} are the least"
        clip = FaceClip(
            samples[: n * FRAME_SAMPLES], motion.shape[:n], motion.exp[:n], motion.pose[:n]
        )
        if n:
            yield from (f"{recording}: {problem}" for problem in _odd([clip]))
        note(done, len(recordings))
    named = {head} if head else heads - {""}
    if len(named) > 1:
        yield f"motion of several heads: {', '.join(sorted(named))}"
    if heads and not named:
        yield NO_HEAD
    yield from filter(None, map(head_problem, sorted(named)))
