"""Where the eyes look: jumps and rests as people who speak or listen to somebody were seen to do.

Rates, sizes and rests are those of `gaze_dialogue` (Dembinsky et al., ETRA 2024): who speaks looks
more than ten degrees away from the other a third of the time, who listens hardly ever.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream.core.shown.eyes import LIMIT_RADIANS, LISTENING, SPEAKING, elsewhere, near, rest_frames
from stream.frames import FPS
from training.labels.label_styles import SpeakingStyle
from training.labels.phones import Phone, phrases
from training.labels.prosody import smooth

COMPENSATED = 0.92
"""Share of the head's movement that the eyes take back, to stay where they look."""


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
    now, aside, start = near(SPEAKING, rng), False, 0
    while start < n_frames:
        habit = SPEAKING if speaking[start] else LISTENING
        stop = start + rest_frames(habit, rng)
        point[start:stop] = now
        start = stop
        # A lively gaze leaves more often; how often it jumps at all is nobody's choice.
        leaves = float(np.clip(habit.leaves * style.gaze_life, 0.0, 0.6))
        aside = rng.random() >= habit.returns if aside else rng.random() < leaves
        now = elsewhere(habit, rng) if aside else near(habit, rng)
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
