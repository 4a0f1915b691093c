"""How a bundle moves in a style: one speech, spoken in it, and the habits of what came."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from head.skinning import motion_to_parameters
from posetalk import demo_speech
from posetalk.app.animate import read_blocks
from posetalk.tracking.report import Habits, habits
from stream.backends.registry import load_backend
from stream.frames import FRAME_SAMPLES, SAMPLE_RATE
from training.evaluation.batch_rollout import RememberingBackend, Rollout, rollout

Floats = NDArray[np.float32]


class Speaker:
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
        joined = np.concatenate(samples)
        self._samples = joined[: len(joined) // FRAME_SAMPLES * FRAME_SAMPLES]

    def motions(self, styles: Sequence[Floats], seed: int = 0) -> Floats:
        """(n, L, 54) the speech in each of n styles (d_style,), all in step."""
        return rollout(self._backend, [Rollout(self._samples, each, seed) for each in styles])

    def __call__(self, styles: Sequence[Floats], seed: int = 0) -> list[Habits]:
        """The habits of the speech in each of n styles (d_style,)."""
        return [_habits(motion) for motion in self.motions(styles, seed)]


def _habits(motion: Floats) -> Habits:
    exp, rotation, jaw = motion_to_parameters(motion)
    return habits(exp, np.concatenate([rotation, jaw], axis=1))
