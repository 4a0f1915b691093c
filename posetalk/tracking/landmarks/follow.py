"""A film from picture to picture: one face is followed, and what it did is written down on disk.

Only the landmarks that are used are kept, in a file without a name, so that ten hours need no
memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from posetalk.tracking.landmarks.points import USED
from posetalk.tracking.landmarks.tracker import Face
from posetalk.tracking.problem import TrackingError
from posetalk.tracking.sources.film import Shot

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

LOOKS: Final = (0, 17, 37, 267, 84, 314, 164, 18, 57, 287, 200, 201, 421, 43, 273, 165, 391)
"""Landmarks on and around the lips whose colour is watched: what covers the mouth changes it."""
REFERENCE: Final = (50, 280, 205, 425, 8, 151)
"""Landmarks on cheeks and forehead: the light."""
THUMB: Final = 16
"""Pixels of the small picture by which cuts are found."""
REACH: Final = 0.6
"""Of a face's height: where it may be in the next picture."""


class SeesFaces(Protocol):
    """What finds landmarks: `LandmarkTracker`, or a stand-in."""

    def __call__(self, picture: NDArray[np.uint8], seconds: float) -> list[Face]: ...


@dataclass(frozen=True, eq=False)
class Followed:
    """What was seen of one face in n pictures.

    Attributes:
        times: (n,) seconds of their middles; `end` is that of the last one's end.
        points: (n, U, 3) landmarks `USED` in pixels, y up and z to the camera; NaN without a face.
        rival: (n,) height of the second largest face, of that of the followed one; 0 where the
            user said which face.
        height: (n,) pixels from the highest to the lowest landmark.
        inside: (n,) share of the landmarks that lie in the picture.
        change: (n,) how much the picture differs from the one before, 0..1.
        colours: (n, L, 3) of the mouth's surroundings, over those of the cheeks; logarithms.
        size: width and height of the pictures.
    """

    times: NDArray[np.float64]
    end: float
    points: NDArray[np.float32]
    rival: Floats
    height: Floats
    inside: Floats
    change: Floats
    colours: Floats
    size: tuple[int, int]

    @property
    def found(self) -> Bools:
        """(n,) whether the face was there."""
        return self.height > 0


def follow(
    shots: Iterable[Shot],
    sees: SeesFaces,
    *,
    face: int = 0,
    folder: Path | None = None,
    note: Callable[[int], None] = lambda frames: None,
) -> Followed:
    """Follow one face through `shots`.

    Args:
        shots: pictures in order.
        sees: finds the faces.
        face: 0 for the largest, else which from the left, counted where one is first seen.
        folder: where the landmarks wait on disk; the system's place for such files if None.
        note: told how many pictures are done.

    Raises:
        TrackingError: no face in any picture, or fewer than asked for.
    """
    with tempfile.TemporaryFile(dir=folder) as store:
        rows: list[tuple[float, ...]] = []
        colours: list[Floats] = []
        last: Face | None = None
        thumb: Floats | None = None
        end, size, most = 0.0, (0, 0), 0
        for shot in shots:
            found = sees(shot.picture, shot.begin)
            most = max(most, len(found))
            now = _thumb(shot.picture)
            step = 0.0 if thumb is None else float(np.abs(now - thumb).mean() / 255)
            thumb, end = now, shot.end
            size = (shot.picture.shape[1], shot.picture.shape[0])
            chosen = _choose(found, last, face)
            last = chosen or last
            rivals = found if face == 0 else []  # who names a face has said who is meant
            rows.append((shot.middle, *_traits(chosen, rivals, size), step))
            colours.append(_colours(shot.picture, chosen))
            _keep(store, chosen)
            note(len(rows))
        if not rows or last is None:
            raise TrackingError(_nobody(most, face))
        table = np.array(rows, np.float64)
        store.seek(0)
        shape = (len(rows), len(USED), 3)
        points = np.memmap(store, np.float32, "r", shape=shape)  # outlives the file's handle
    rival, height, inside, change = (table[:, k].astype(np.float32) for k in range(1, 5))
    return Followed(
        times=table[:, 0],
        end=end,
        points=points,
        rival=rival,
        height=height,
        inside=inside,
        change=change,
        colours=np.array(colours, np.float32),
        size=size,
    )


def _nobody(most: int, face: int) -> str:
    if most:
        return (
            f"there is no face {face} in the film: {most} at once are the most; --face 1 to {most}"
        )
    return "no face is found in any picture; a face must look at the camera, well lit"


def _choose(found: list[Face], last: Face | None, face: int) -> Face | None:
    """The face that is followed: the nearest to where it was, or by the choice at the start."""
    if not found:
        return None
    if last is None:
        if face > len(found):
            return None
        if face > 0:
            return sorted(found, key=lambda each: float(each.centre[0]))[face - 1]
        return max(found, key=lambda each: each.height)
    near = min(found, key=lambda each: float(np.linalg.norm(each.centre - last.centre)))
    if np.linalg.norm(near.centre - last.centre) <= REACH * max(near.height, last.height):
        return near
    # It went elsewhere, or the film was cut: the largest one is whom the film is about.
    return max(found, key=lambda each: each.height) if face == 0 or len(found) == 1 else None


def _traits(
    chosen: Face | None, rivals: list[Face], size: tuple[int, int]
) -> tuple[float, float, float]:
    """Rival, height and the share that is inside."""
    if chosen is None:
        return 0.0, 0.0, 0.0
    others = [each.height for each in rivals if each is not chosen]
    flat = chosen.points[:, :2]
    inside = ((flat >= 0) & (flat < np.array(size))).all(axis=1).mean()
    return max(others, default=0.0) / max(chosen.height, 1e-6), chosen.height, float(inside)


def _keep(store: IO[bytes], chosen: Face | None) -> None:
    if chosen is None:
        store.write(np.full((len(USED), 3), np.nan, np.float32).tobytes())
        return
    points = chosen.points[list(USED)] * np.array([1, -1, -1], np.float32)
    store.write(np.ascontiguousarray(points, np.float32).tobytes())


def _thumb(picture: NDArray[np.uint8]) -> Floats:
    """(THUMB, THUMB) grey means of a part of the pixels."""
    height, width = picture.shape[:2]
    rows = np.linspace(0, height - 1, THUMB * 3).astype(int)
    columns = np.linspace(0, width - 1, THUMB * 3).astype(int)
    small = picture[np.ix_(rows, columns)].astype(np.float32).mean(-1)
    return np.asarray(small.reshape(THUMB, 3, THUMB, 3).mean((1, 3)), np.float32)


def _colours(picture: NDArray[np.uint8], chosen: Face | None) -> Floats:
    """(L, 3) logarithms of the colours at `LOOKS` over the mean of those at `REFERENCE`."""
    if chosen is None:
        return np.full((len(LOOKS), 3), np.nan, np.float32)
    height, width = picture.shape[:2]
    step = max(1, round(chosen.height / 100))
    out = []
    for marks in (LOOKS, REFERENCE):
        centre = np.round(chosen.points[list(marks), :2]).astype(int)
        patch = np.zeros((len(marks), 3), np.float32)
        for dx in (-step, 0, step):
            for dy in (-step, 0, step):
                x = np.clip(centre[:, 0] + dx, 0, width - 1)
                y = np.clip(centre[:, 1] + dy, 0, height - 1)
                patch += picture[y, x]
        out.append(np.log(patch / 9 + 8))
    return np.asarray(out[0] - out[1].mean(0), np.float32)
