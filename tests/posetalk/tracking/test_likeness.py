"""Styles mixed until a bundle moves as the person in a film; what is learnt of strangers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from head.rig import builtin_head
from posetalk.app.animate import read_blocks
from posetalk.tracking.closed_loop import run
from posetalk.tracking.fitting.jaw_reading import fit_reading, jaw_reading
from posetalk.tracking.landmarks.points import LOWER, USED, places
from posetalk.tracking.outputs.likeness import liken, shares, tabulate, traits
from posetalk.tracking.report import Habits
from posetalk.tracking.scenes import SCENES, SPEECH_ONLY
from posetalk.tracking.strangers import FIRST_CHARACTER, strangers

STYLES = {
    "small": np.array([1, 0, 0], np.float32),
    "wide": np.array([0, 1, 0], np.float32),
    "still": np.array([0, 0, 1], np.float32),
}


def _speaks(vector: np.ndarray) -> Habits:
    """A bundle that answers to a style, but by no straight line."""
    small, wide, still = (float(x) for x in vector)
    head = 4 * small + 5 * wide + 1 * still
    return Habits(4 + 8 * wide**1.5, 2 + wide, 0.0, 0.1, 15.0, (head, head, 0.0))


def test_the_mix_moves_as_the_person_does() -> None:
    table = tabulate(STYLES, _speaks)
    for goal in ((0.5, 0.5, 0.0), (0.2, 0.6, 0.2), (0.0, 0.1, 0.9)):
        person = _speaks(np.array(goal))
        style, mix = liken(person, np.zeros(3, np.float32), table, _speaks)
        assert mix.min() >= 0 and mix.sum() == pytest.approx(1)
        found = _speaks(style)
        assert found.opening_mm == pytest.approx(person.opening_mm, rel=0.1)
        assert found.head_degrees[0] == pytest.approx(person.head_degrees[0], rel=0.25)


def test_where_habits_leave_a_choice_the_encoder_decides() -> None:
    twins = {"one": STYLES["small"], "other": STYLES["wide"]}
    same = Habits(6.0, 2.0, 0.0, 0.1, 15.0, (2.0, 2.0, 1.0))
    table = tabulate(twins, lambda vector: same)
    mix = shares(table, traits(same), STYLES["wide"])
    assert mix[1] > 0.9


def test_a_jaw_is_read_off_what_moves_with_it() -> None:
    rng = np.random.default_rng(0)
    jaw = rng.uniform(0, 0.3, 400)
    moved = rng.normal(0, 3e-4, (400, len(USED), 3))
    moved[:, places(LOWER), 1] -= 0.02 * jaw[:, None]
    read = fit_reading(moved[:300], jaw[:300])(moved[300:])
    assert np.corrcoef(read, jaw[300:])[0, 1] > 0.98
    assert jaw_reading()(np.zeros((1, len(USED), 3)))[0] == 0


def test_strangers_are_nobody_by_whom_the_tracker_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(4):
        (tmp_path / f"motion_of_stranger_{k}.npz").touch()  # as if they lay there: no flite needed
    scenes = strangers(tmp_path, count=4)
    judges = (*SCENES, *SPEECH_ONLY)
    assert {scene.clip for scene in scenes}.isdisjoint({judge.clip for judge in judges})
    assert min(scene.character for scene in scenes) >= FIRST_CHARACTER
    assert max(judge.character for judge in judges) < FIRST_CHARACTER
    assert {scene.acted for scene in scenes} == {True, False}


@pytest.mark.extra("video")
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_starter_moves_like_two_people(landmark_model: Path, can_draw: None) -> None:
    from posetalk import demo_speech
    from posetalk.tracking import style_check

    head = builtin_head()
    people = {
        scene.clip: style_check.halves([run(scene, landmark_model, head)[1]], lambda motion: motion)
        for scene in (SPEECH_ONLY[0], SPEECH_ONLY[2])  # lively and calm
    }
    words, speech = np.array_split(np.concatenate(list(read_blocks(demo_speech(), 16000))), 2)
    spoken = style_check.spoken_habits(people, "starter", words, speech)
    kept = style_check.carried({name: each.habits for name, each in people.items()}, spoken)
    for habit in style_check.HABITS:
        assert kept[habit] >= style_check.CARRIED, habit
