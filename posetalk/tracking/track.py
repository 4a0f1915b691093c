"""From a film to motion: follow a face, meet the person, fit every frame, make it 25 a second."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.channels import CHANNELS
from head.model import Head
from head.rig import builtin_head
from posetalk.tracking import quality
from posetalk.tracking.fitting import skull
from posetalk.tracking.fitting.person import Person, blink, meet
from posetalk.tracking.fitting.smoothing import filled, nearest, resample, smooth
from posetalk.tracking.fitting.solve import SMOOTH_POSE, channels, displacements, jaw_radians
from posetalk.tracking.landmarks.follow import Followed, SeesFaces, follow
from posetalk.tracking.landmarks.points import RIGID, places
from posetalk.tracking.problem import TrackingError
from posetalk.tracking.sources.film import LONGEST_HOLD, Shot

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

FPS: Final = 25
CHUNK: Final = 3000
"""Pictures that are fitted at once."""
MARGIN: Final = 25
"""Pictures before and after a chunk that its smoothing looks at."""
BLOCKS: Final = 12
BLOCK: Final = 500
"""Pictures by which a person is met: all of a short film, blocks spread over a long one."""
FEWEST: Final = 12
"""Pictures with a face below which nothing is said."""


@dataclass(frozen=True, eq=False)
class Tracked:
    """Motion of a person at 25 frames per second, for the head `head`.

    Attributes:
        exp: (L, 50) channel weights.
        pose: (L, 6) axis-angle in radians: rotation of the head from its rest, then the jaw.
        marks: (L,) bits of `quality.MEANING`; 0 where a frame can be believed.
        rest: (3,) the head at rest as the camera sees it, axis-angle.
        head: id of the head.
        pictures: how many there were, at how many per second.
        rate: pictures per second.
        cuts: how often the film was cut.
    """

    exp: Floats
    pose: Floats
    marks: quality.Marks
    rest: Floats
    head: str
    pictures: int
    rate: float
    cuts: int

    def __len__(self) -> int:
        return len(self.exp)

    def part(self, first: int, last: int) -> Tracked:
        """The frames from `first` up to `last`."""
        kept = slice(first, last)
        return replace(self, exp=self.exp[kept], pose=self.pose[kept], marks=self.marks[kept])


def track(
    shots: Iterable[Shot],
    sees: SeesFaces,
    *,
    head: Head | None = None,
    face: int = 0,
    folder: Path | None = None,
    note: Callable[[int], None] = lambda frames: None,
) -> Tracked:
    """The motion of one face in `shots`.

    Args:
        shots: pictures in order, as `Film` and `Camera` give them.
        sees: finds landmarks: `LandmarkTracker`.
        head: whose channels are fitted; the built-in head if None.
        face: 0 for the largest, else which from the left.
        folder: where landmarks wait on disk.
        note: told how many pictures are done.

    Raises:
        TrackingError: no face, or too few pictures of it.
    """
    return motion_of(follow(shots, sees, face=face, folder=folder, note=note), head)


def motion_of(seen: Followed, head: Head | None = None) -> Tracked:
    """The motion in what was followed.

    Raises:
        TrackingError: too few pictures of the face.
    """
    head = builtin_head() if head is None else head
    if seen.found.sum() < FEWEST:
        raise TrackingError(
            f"a face is found in {seen.found.sum()} of {len(seen.times)} pictures; too few"
        )
    segments = quality.segments_of(seen)
    person = _meet(seen, head)
    weights, turns, unsteady = _fit_all(seen, segments, person, head)
    rotation = skull.axis_angle(_matrices(turns, person.rest))
    marks = quality.marks_of(seen, segments, rotation, unsteady)
    goals = (np.arange(max(1, int(seen.end * FPS + 1e-6))) + 0.5) / FPS
    values = np.concatenate([weights, turns], axis=1)
    values = resample(values, seen.times, segments, goals)
    jaw = jaw_radians(values, head)
    pose = np.zeros((len(goals), 6))
    pose[:, :3], pose[:, 3] = values[:, -3:], jaw
    return Tracked(
        values[:, : len(CHANNELS)].astype(np.float32),
        pose.astype(np.float32),
        _at(goals, seen.times, marks),
        skull.axis_angle(person.rest[None])[0].astype(np.float32),
        head.id,
        len(seen.times),
        len(seen.times) / max(seen.end, 1e-6),
        int(segments[-1]),
    )


def _at(goals: Doubles, times: Doubles, marks: quality.Marks) -> quality.Marks:
    """(m,) the marks of the pictures at `times` (n,) that are nearest to `goals` (m,); where the
    film stands still for longer than pictures may, there is no face."""
    near = nearest(times, goals)
    out = marks[near]
    out[np.abs(times[near] - goals) > LONGEST_HOLD] |= quality.NO_FACE
    return out


def _meet(seen: Followed, head: Head) -> Person:
    count = len(seen.times)
    if count <= BLOCKS * BLOCK:
        chosen = np.arange(count)
    else:
        starts = np.linspace(0, count - BLOCK, BLOCKS).astype(int)
        chosen = (starts[:, None] + np.arange(BLOCK)).reshape(-1)
        if seen.found[chosen].sum() < FEWEST:
            chosen = np.flatnonzero(seen.found)[: BLOCKS * BLOCK]
    return meet(np.asarray(seen.points[chosen], np.float64), seen.found[chosen], head)


def _fit_all(
    seen: Followed, segments: NDArray[np.int64], person: Person, head: Head
) -> tuple[Doubles, Doubles, Doubles]:
    """Weights (n, 51), rotations from rest (n, 3) and how unsteady the skull is (n,)."""
    parts: list[tuple[Doubles, Doubles, Doubles]] = []
    for first in range(0, len(seen.times), CHUNK):
        low, high = max(0, first - MARGIN), min(len(seen.times), first + CHUNK + MARGIN)
        part = slice(low, high)
        if seen.found[part].any():
            fitted = _fit(seen, part, segments[part], person, head)
        else:
            size = high - low
            fitted = np.zeros((size, len(CHANNELS) + 1)), np.zeros((size, 3)), np.zeros(size)
        kept = slice(first - low, min(first + CHUNK, len(seen.times)) - low)
        parts.append((fitted[0][kept], fitted[1][kept], fitted[2][kept]))
    weights, turns, unsteady = (np.concatenate(each) for each in zip(*parts, strict=True))
    return weights, turns, unsteady


def _fit(
    seen: Followed, part: slice, segments: NDArray[np.int64], person: Person, head: Head
) -> tuple[Doubles, Doubles, Doubles]:
    found, times = seen.found[part], seen.times[part]
    points = filled(np.asarray(seen.points[part], np.float64), found, segments)
    rigid = places(RIGID)
    fit = skull.similarity(person.skull, points[:, rigid])
    posed = skull.undo(points, fit)
    off = np.linalg.norm(posed[:, rigid] - person.skull, axis=2)
    size = float(np.linalg.norm(person.skull - person.skull.mean(0), axis=1).mean())
    weights, _ = channels(posed, times, segments, person, head)
    blinks = blink(posed, person.opening).mean(1)
    turns = skull.axis_angle(np.einsum("ji,njk->nik", person.rest, fit[0]))
    turns = turns - blinks[:, None] * (person.rest.T @ person.blink_turn)
    return weights, smooth(turns, times, segments, SMOOTH_POSE), off.mean(1) / size


def moved_points(seen: Followed, head: Head) -> Doubles:
    """(n, U, 3) how far each landmark is from the person at rest, as the fit has it, in metres.

    All pictures at once: for films of some minutes.
    """
    segments = quality.segments_of(seen)
    person = _meet(seen, head)
    points = filled(np.asarray(seen.points, np.float64), seen.found, segments)
    posed = skull.undo(points, skull.similarity(person.skull, points[:, places(RIGID)]))
    posed = posed - blink(posed, person.opening).mean(1)[:, None, None] * person.blink_points
    return displacements(posed, seen.times, segments, person)


def _matrices(turns: Doubles, rest: Doubles) -> Doubles:
    from head.skinning import rotation_matrices

    return np.asarray(rest @ rotation_matrices(turns))
