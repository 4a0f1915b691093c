"""What the tracker has learnt of drawn strangers, and that none of them judges it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posetalk.tracking.fitting.jaw_reading import fit_reading, jaw_reading
from posetalk.tracking.landmarks.points import LOWER, USED, places
from posetalk.tracking.scenes import SCENES, SPEECH_ONLY
from posetalk.tracking.strangers import FIRST_CHARACTER, strangers


def test_a_jaw_is_read_off_what_moves_with_it() -> None:
    rng = np.random.default_rng(0)
    jaw = rng.uniform(0, 0.3, 400)
    moved = rng.normal(0, 3e-4, (400, len(USED), 3))
    moved[:, places(LOWER), 1] -= 0.02 * jaw[:, None]
    read = fit_reading(moved[:300], jaw[:300])(moved[300:])
    assert np.corrcoef(read, jaw[300:])[0, 1] > 0.98
    assert jaw_reading()(np.zeros((1, len(USED), 3)))[0] == 0


def test_strangers_are_nobody_by_whom_the_tracker_is_judged(tmp_path: Path) -> None:
    for k in range(4):
        (tmp_path / f"motion_of_stranger_{k}.npz").touch()  # as if they lay there: no flite needed
    scenes = strangers(tmp_path, count=4)
    judges = (*SCENES, *SPEECH_ONLY)
    assert {scene.clip for scene in scenes}.isdisjoint({judge.clip for judge in judges})
    assert min(scene.character for scene in scenes) >= FIRST_CHARACTER
    assert max(judge.character for judge in judges) < FIRST_CHARACTER
    assert {scene.acted for scene in scenes} == {True, False}
