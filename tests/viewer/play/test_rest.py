"""A face to which nothing comes any more goes to rest, softly."""

from __future__ import annotations

import numpy as np
import pytest

from head.rig import builtin_head
from viewer.play.player import rest_like
from viewer.play.rest import HOLD_SECONDS, REST_SECONDS, Resting

VALUES = np.linspace(0.1, 1, 5, dtype=np.float32)
ticks = np.arange(0, 2.0, 1 / 60)


def fading(resting: Resting, ticks: np.ndarray, *, over: bool) -> list[np.ndarray]:
    """What is shown at each tick."""
    shown, pictures = VALUES, []
    for at in ticks:
        new = resting.shown(None, at, over=over)
        shown = shown if new is None else new
        pictures.append(shown)
    return pictures


@pytest.mark.parametrize("over", [False, True])
def test_it_goes_to_rest_in_small_steps_and_stays_there(over: bool) -> None:
    resting = Resting(np.zeros_like)
    assert resting.at_rest and resting.shown(None, 0.0) is None, "nothing has come yet"
    assert resting.shown(VALUES, 0.0) is VALUES and not resting.at_rest
    pictures = np.array(fading(resting, ticks, over=over))
    steps = np.diff(pictures, axis=0)
    assert (steps <= 0).all() and (steps > -0.05 * VALUES).all(), "softly"
    assert not pictures[-1].any() and resting.at_rest
    assert resting.shown(None, 3.0) is None, "no picture is drawn of what stays"
    held = pictures[ticks < (0.0 if over else HOLD_SECONDS)]
    assert (held == VALUES).all(), "a stream that only stutters holds still"
    done = ticks > REST_SECONDS + (0.0 if over else HOLD_SECONDS)
    assert not pictures[done].any()


def test_an_end_that_is_told_late_does_not_jump() -> None:
    resting = Resting(np.zeros_like)
    resting.shown(VALUES, 0.0)
    assert resting.shown(None, 0.5) is None
    told = resting.shown(None, 0.52, over=True)
    assert told is None or (told > 0.95 * VALUES).all()


def test_new_motion_is_shown_at_once() -> None:
    resting = Resting(np.zeros_like)
    resting.shown(VALUES, 0.0)
    fading(resting, ticks, over=True)
    assert resting.shown(VALUES, 2.0) is VALUES and not resting.at_rest


def test_bare_vertices_come_to_rest_too() -> None:
    head = builtin_head()
    resting = Resting(lambda values: rest_like(head, None, values))
    resting.shown((1.1 * head.template).reshape(-1), 0.0)
    shown = fading(resting, ticks, over=True)[-1]
    np.testing.assert_allclose(shown.reshape(-1, 3), head.template, atol=1e-6)
