"""Where the eyes look: jumps and rests as people who speak or listen to somebody were seen to do.

Rates, sizes and rests are those of `gaze_dialogue` (Dembinsky et al., ETRA 2024): who speaks looks
more than ten degrees away from the other a third of the time, who listens hardly ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.frames import FPS
from training.labels.label_styles import SpeakingStyle
from training.labels.phones import Phone, phrases
from training.labels.prosody import smooth

LIMIT_RADIANS = 0.45
"""Eyes turn no further than this in a head; heads go along with what is beyond."""
COMPENSATED = 0.92
"""Share of the head's movement that the eyes take back, to stay where they look."""


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


def gaze(
    phones: Sequence[Phone],
    n_frames: int,
    style: SpeakingStyle,
    rng: np.random.Generator,
    rotation: NDArray[np.floating],
) -> NDArray[np.float64]:
    """(n_frames, 2) gaze relative to the head, radians: positive x left, positive y up.

    `rotation` (n_frames, 3) is the head's: eyes that hold a point turn against it.
    """
    speaking = _speaking(phones, n_frames)
    point = np.zeros((n_frames, 2))
    now, aside, start = _near(SPEAKING, rng), False, 0
    while start < n_frames:
        habit = SPEAKING if speaking[start] else LISTENING
        rest = habit.rest_seconds * float(
            np.exp(rng.normal(-0.5 * SPREAD_OF_RESTS**2, SPREAD_OF_RESTS))
        )
        stop = start + max(3, round(rest * FPS))
        point[start:stop] = now
        start = stop
        # A lively gaze leaves more often; how often it jumps at all is nobody's choice.
        leaves = float(np.clip(habit.leaves * style.gaze_life, 0.0, 0.6))
        aside = rng.random() >= habit.returns if aside else rng.random() < leaves
        now = _elsewhere(habit, rng) if aside else _near(habit, rng)
    moved = rotation - smooth(rotation.T, 4.0 * FPS).T
    against = np.stack([-moved[:, 1], moved[:, 0]], axis=1)
    looked = smooth(np.radians(point).T, 0.35).T + COMPENSATED * against
    return np.asarray(np.clip(looked, -LIMIT_RADIANS, LIMIT_RADIANS))


def _speaking(phones: Sequence[Phone], n_frames: int) -> NDArray[np.bool_]:
    """(n_frames,) frames in a phrase or in the half second around it."""
    middles = (np.arange(n_frames) + 0.5) / FPS
    found = np.zeros(n_frames, bool)
    for phrase in phrases(phones, pause=1.0):
        found |= (middles > phrase.start - 0.5) & (middles < phrase.end + 0.3)
    return found


def _near(habit: Habit, rng: np.random.Generator) -> NDArray[np.float64]:
    return np.asarray(rng.normal(size=2) * np.array(habit.near))


def _elsewhere(habit: Habit, rng: np.random.Generator) -> NDArray[np.float64]:
    """Degrees of a look away: mostly sideways, else up or down."""
    low, high = habit.away
    far = float(np.clip(rng.normal(0.5 * (low + high), 0.74 * (high - low)), 8.0, 25.0))
    way = rng.normal(0.0, 0.45) + (np.pi if rng.random() < 0.5 else 0.0)
    return np.array([far * np.cos(way), 0.8 * far * np.sin(way)])
