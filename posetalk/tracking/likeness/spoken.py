"""How a bundle moves in a style: one speech, spoken in it, and the habits of what came."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from head.skinning import motion_to_parameters
from posetalk import demo_speech
from posetalk.app.animate import read_blocks
from posetalk.tracking.quality import Bools
from posetalk.tracking.report import Habits, habits
from stream.backends.registry import load_backend
from stream.frames import FRAME_SAMPLES, SAMPLE_RATE
from training.evaluation.batch_rollout import RememberingBackend, Rollout, rollout

Floats = NDArray[np.float32]


class StyledSpeech:
    """A bundle with its live settings, and a speech that it says in any style, as live would.

    Args:
        bundle: `starter`, or a bundle's folder.
        speeches: sound files, one after the other; the demo speech if None.

    Raises:
        diffposetalk.bundle.bundle.BundleError: no bundle.
        stream.sources.SourceError: a speech that cannot be read.
    """

    def __init__(self, bundle: str, speeches: Iterable[Path] | None = None) -> None:
        self._backend = RememberingBackend(load_backend("auto", bundle))
        paths = [demo_speech()] if speeches is None else list(speeches)
        samples = [block for path in paths for block in read_blocks(path, SAMPLE_RATE)]
        self._samples = _whole(np.concatenate(samples))
        self._said: dict[tuple[bytes, bytes, int], Floats] = {}

    def saying(self, samples: Floats) -> StyledSpeech:
        """The same bundle with another speech: mono at 16 kHz, a frame or longer."""
        other = copy(self)
        other._samples = _whole(samples)
        return other

    def motions(self, styles: Sequence[Floats], seed: int = 0) -> Floats:
        """(n, L, 54) the speech in each of n styles (d_style,), all in step; remembered."""
        key = self._samples.tobytes(), np.stack(styles).tobytes(), seed
        if key not in self._said:
            rollouts = [Rollout(self._samples, each, seed) for each in styles]
            self._said[key] = rollout(self._backend, rollouts)
        return self._said[key]

    def __call__(
        self, styles: Sequence[Floats], seed: int = 0, good: Bools | None = None
    ) -> list[Habits]:
        """The habits of the speech in each of n styles (d_style,), in the frames that are `good`
        (L,)."""
        return [_habits(motion, good) for motion in self.motions(styles, seed)]


def _habits(motion: Floats, good: Bools | None) -> Habits:
    exp, rotation, jaw = motion_to_parameters(motion)
    return habits(exp, np.concatenate([rotation, jaw], axis=1), good)


def _whole(samples: Floats) -> Floats:
    return samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES]
