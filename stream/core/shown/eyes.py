"""Where shown eyes look: jumps and rests as people who speak or listen to somebody were seen to do.

Rates, sizes and rests are those of `gaze_dialogue` (Dembinsky et al., ETRA 2024): who speaks looks
more than ten degrees away from the other a third of the time, who listens hardly ever.  A model
that makes its frames one by one smears jumps into drifts; so only its lasting looks down, which
some styles have, are kept, and the eyes turn against the head, to stay where they look.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from head.channels import INDEX, LIDS
from head.eye_turns import AXES, GAZE_RADIANS, eye_weights, looks
from stream.frames import FPS

Floats = NDArray[np.floating]
Rows = slice | NDArray[np.intp]
"""Which of the streams."""

LIMIT_RADIANS = 0.45
"""Eyes turn no further than this in a head; heads go along with what is beyond."""
JUMP = 0.7
"""Of the way that is left, in a frame: a jump takes two."""
LIDS_DOWN, LIDS_UP = 0.45, 0.3
"""How far lids go along with eyes that look down, and eyes widen that look up."""


class Habit(NamedTuple):
    """How somebody looks around.

    rest_seconds: mean of a rest before the next jump.
    leaves, returns: chance that a jump leads away from the other, and back.
    near: deviation of looks at the other, degrees, sideways and up.
    away: 25th and 75th percentile of how far looks elsewhere are, degrees.
    """

    rest_seconds: float
    leaves: float
    returns: float
    near: tuple[float, float]
    away: tuple[float, float]


SPEAKING = Habit(1.25, 0.31, 0.46, (1.25, 0.95), (13.0, 23.0))
LISTENING = Habit(1.40, 0.016, 0.65, (1.55, 1.25), (8.5, 16.0))
SPREAD_OF_RESTS = 0.65
"""Deviation of the logarithm of a rest."""


def rest_frames(habit: Habit, rng: np.random.Generator) -> int:
    """Frames of a rest before the next jump."""
    spread = rng.normal(-0.5 * SPREAD_OF_RESTS**2, SPREAD_OF_RESTS)
    return max(3, round(habit.rest_seconds * float(np.exp(spread)) * FPS))


def near(habit: Habit, rng: np.random.Generator) -> NDArray[np.float64]:
    """(2,) degrees, left and up, of a look at the other."""
    return np.asarray(rng.normal(size=2) * np.array(habit.near))


def elsewhere(habit: Habit, rng: np.random.Generator) -> NDArray[np.float64]:
    """(2,) degrees, left and up, of a look away: mostly sideways, else up or down."""
    low, high = habit.away
    far = min(max(rng.normal(0.5 * (low + high), 0.74 * (high - low)), 8.0), 25.0)
    way = rng.normal(0.0, 0.45) + (np.pi if rng.random() < 0.5 else 0.0)
    return np.array([far * np.cos(way), 0.8 * far * np.sin(way)])


class Eyes:
    """Where the eyes of S streams look.

    Args:
        seeds: of the looks, one a stream.
        down_frames: over so many a look down of the model's counts as one that lasts.
    """

    def __init__(self, seeds: Sequence[int], down_frames: float) -> None:
        self._down_frames = down_frames
        self._rngs: list[Any] = [
            np.random.default_rng([seed & 0xFFFF_FFFF_FFFF_FFFF, 0xE7E5]) for seed in seeds
        ]
        streams = len(seeds)
        self._point = np.zeros((streams, 2))  # where they are to look: left, up, radians
        self._at = np.zeros((streams, 2))  # where they look
        self._left = np.zeros(streams, np.int64)  # frames of the rest
        self._aside = np.zeros(streams, bool)
        self._down = np.zeros(streams)  # of the model's own eyes, radians, up

    def apply(
        self,
        raw: Floats,
        rotation: slice,
        speaking: NDArray[np.bool_],
        gaze: Floats,
        still: Floats,
        at: Rows = slice(None),
    ) -> None:
        """Turn the eyes of new frames (B, n, D) in raw units, in place, and the lids with them.

        Args:
            rotation: channels of the head's rotation.
            speaking: (B,) whether there is speech.
            gaze: (B,) from 0, eyes that stay on who watches, to 1, those of people.
            still: (B,) share of stillness: eyes that are still do not jump.
        """
        streams = np.arange(len(self._left))[at]
        for row in raw.swapaxes(0, 1):
            for i in np.flatnonzero(self._left[streams] <= 0):
                self._look(streams[i], bool(speaking[i]), float(gaze[i]))
            self._left[streams] -= 1
            model = looks(row)
            up = model[:, 2:].mean(-1)
            self._down[streams] += (up - self._down[streams]) / self._down_frames
            wanted = self._point[streams]
            wanted[:, 1] += gaze * np.minimum(self._down[streams], 0.0)
            wanted *= (1.0 - still)[:, None]
            self._at[streams] += JUMP * (wanted - self._at[streams])
            turned = row[:, rotation]
            held = self._at[streams] + np.stack([-turned[:, 1], turned[:, 0]], -1)
            held = np.minimum(np.maximum(held, -LIMIT_RADIANS), LIMIT_RADIANS)
            turn_eyes(row, held, up)

    def put(self, stream: int, other: Eyes) -> None:
        """Let a stream go on as that of `other`, which has one."""
        for mine, theirs in zip(self._arrays(), other._arrays(), strict=True):
            mine[stream] = theirs[0]
        self._rngs[stream] = other._rngs[0]

    def of(self, stream: int) -> Eyes:
        """One stream's, which goes its own way from here."""
        one = copy.copy(self)
        one._point, one._at, one._left, one._aside, one._down = (
            each[stream : stream + 1].copy() for each in self._arrays()
        )
        one._rngs = [copy.deepcopy(self._rngs[stream])]
        return one

    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return self._point, self._at, self._left, self._aside, self._down

    def _look(self, stream: int, speaking: bool, gaze: float) -> None:
        """The next jump, and how long what it leads to is looked at."""
        rng, habit = self._rngs[stream], SPEAKING if speaking else LISTENING
        leaves = rng.random() < habit.leaves * gaze
        aside = rng.random() >= habit.returns * (2.0 - gaze) if self._aside[stream] else leaves
        point = elsewhere(habit, rng) if aside else near(habit, rng)
        self._point[stream], self._aside[stream] = np.radians(point), aside
        self._left[stream] = rest_frames(habit, rng)


def turn_eyes(rows: Floats, angles: Floats, model_up: Floats) -> None:
    """Let both eyes of frames (B, D) look `angles` (B, 2) to the left and up, radians, in place.

    Lids follow from where the model's eyes looked, `model_up` (B,), to where these look.
    """
    rows[:, _ENDS] = eye_weights(angles).reshape(len(rows), -1)
    before, now = model_up / GAZE_RADIANS["LookDown"], angles[:, 1] / GAZE_RADIANS["LookDown"]
    down = LIDS_DOWN * (np.maximum(-now, 0.0) - np.maximum(-before, 0.0))
    up = LIDS_UP * (np.maximum(now, 0.0) - np.maximum(before, 0.0))
    lids = rows[:, _LIDS]
    open_share = 1.0 - _share(lids)
    rows[:, _LIDS] = _share(lids + open_share * down[:, None])
    rows[:, _WIDE] = _share(rows[:, _WIDE] + open_share * up[:, None])


def _share(values: Floats) -> Floats:
    """From 0 to 1; `np.clip` takes three times as long for a few numbers."""
    return np.minimum(np.maximum(values, 0.0), 1.0)


_ENDS = np.array(AXES).ravel()
_LIDS = np.array(LIDS)
_WIDE = np.array([INDEX["eyeWideLeft"], INDEX["eyeWideRight"]])
