"""Which frames can be believed: marks frame by frame, and the windows that have none."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from posetalk.tracking.landmarks.follow import Followed

Marks = NDArray[np.uint16]
Bools = NDArray[np.bool_]
Doubles = NDArray[np.float64]

NO_FACE, SEVERAL, TURNED, CUT, COVERED, SMALL, EDGE, UNSTEADY = (1 << k for k in range(8))
MEANING: Final = {
    NO_FACE: "no face",
    SEVERAL: "another face as large",
    TURNED: "turned away too far",
    CUT: "a cut",
    COVERED: "something before the mouth",
    SMALL: "face too small",
    EDGE: "face at the picture's edge",
    UNSTEADY: "landmarks that jump",
}
"""What each bit of a mark says, for people."""

RIVAL: Final = 0.75
"""Height of another face, of the followed one's, from which it is doubtful who is meant."""
MOST_YAW, MOST_PITCH = np.radians(38.0), np.radians(32.0)
SMALLEST: Final = 56
"""Pixels of a face's height below which lips are too small to be read."""
LEAST_INSIDE: Final = 0.97
CUT_CHANGE: Final = 0.10
"""Change of the picture, of all its range, that makes a cut where the usual change is small."""
JUMP: Final = 0.35
"""Of a face's height: what a head cannot do between two pictures."""
COVER: Final = 0.05
"""Mean deviation of the colours around the mouth from the usual, in logarithms, beyond three times
the film's own spread. Free mouths, drawn and real, stay below 0.02."""
SPREAD_PICTURES: Final = 2
"""Pictures around a bad one that are doubtful, too."""
WINDOW: Final = 100


def segments_of(seen: Followed) -> NDArray[np.int64]:
    """(n,) a number for each run of pictures between cuts."""
    usual = float(np.median(seen.change))
    jump = np.zeros(len(seen.times), bool)
    jump[1:] = seen.change[1:] > max(CUT_CHANGE, 6 * usual)
    centre = seen.points[:, :, :2].mean(1)
    height = np.maximum(np.maximum(seen.height[1:], seen.height[:-1]), 1)
    moved = np.linalg.norm(np.diff(centre, axis=0), axis=1) / height
    grown = np.abs(np.diff(seen.height)) / height
    both = seen.found[1:] & seen.found[:-1]
    jump[1:] |= both & ((moved > JUMP) | (grown > JUMP))
    return np.cumsum(jump).astype(np.int64)


def marks_of(
    seen: Followed, segments: NDArray[np.int64], turns: Doubles, steadiness: Doubles
) -> Marks:
    """(n,) marks.

    Args:
        seen: what was followed.
        segments: (n,) as `segments_of` has them.
        turns: (n, 3) rotation seen from the camera, axis-angle.
        steadiness: (n,) how far the skull's landmarks are from a skull, of its size.
    """
    marks = np.zeros(len(seen.times), np.uint16)
    marks[~seen.found] |= NO_FACE
    marks[seen.rival > RIVAL] |= SEVERAL
    away = (np.abs(turns[:, 1]) > MOST_YAW) | (np.abs(turns[:, 0]) > MOST_PITCH)
    marks[away & seen.found] |= TURNED
    cut = np.flatnonzero(np.diff(segments)) + 1
    marks[np.unique(np.concatenate([cut, cut - 1]))] |= CUT
    marks[_around(covered(seen), segments)] |= COVERED
    marks[seen.found & (seen.height < SMALLEST)] |= SMALL
    marks[seen.found & (seen.inside < LEAST_INSIDE)] |= EDGE
    usual = float(np.median(steadiness[seen.found]))
    unsteady = seen.found & (steadiness > max(0.05, 3.5 * usual))
    marks[_around(unsteady, segments)] |= UNSTEADY
    return marks


def covered(seen: Followed) -> Bools:
    """(n,) where the colours on and around the lips are not this person's."""
    out = np.zeros(len(seen.times), bool)
    if not seen.found.any():
        return out
    colours = seen.colours[seen.found]
    usual = np.median(colours, axis=0)
    off = np.abs(colours - usual).mean(-1)  # (n, L)
    own = np.median(off, axis=0)
    far = np.maximum(off - 3 * own, 0)
    out[seen.found] = far.mean(1) > COVER
    return out


def believed(marks: Marks) -> Bools:
    """(n,) whether a frame has no mark."""
    return marks == 0


def good_windows(marks: Marks, stride: int = 25) -> list[int]:
    """First frames of the windows of 4 s, a second apart, in which nothing is marked."""
    good = believed(marks)
    runs = np.concatenate([[0], np.cumsum(~good)])
    firsts = range(0, len(marks) - WINDOW + 1)
    clean = [first for first in firsts if runs[first + WINDOW] == runs[first]]
    chosen: list[int] = []
    for first in clean:
        if not chosen or first - chosen[-1] >= stride:
            chosen.append(first)
    return chosen


def shares(marks: Marks) -> dict[str, float]:
    """What is marked and in which share of the frames, the most frequent first."""
    found = {text: float(((marks & bit) > 0).mean()) for bit, text in MEANING.items()}
    return dict(sorted(((t, s) for t, s in found.items() if s > 0), key=lambda item: -item[1]))


def _around(bad: Bools, segments: NDArray[np.int64]) -> Bools:
    """`bad` with the pictures beside it, on the same side of a cut."""
    out = bad.copy()
    for offset in range(1, SPREAD_PICTURES + 1):
        same = segments[offset:] == segments[:-offset]
        out[offset:] |= bad[:-offset] & same
        out[:-offset] |= bad[offset:] & same
    return out
