"""Eyes that jump and rest as people's do, by state, and hold a point when the head turns."""

from __future__ import annotations

import numpy as np
import pytest

from head.channels import CHANNELS, INDEX, JAW, ROTATION
from head.eye_turns import gaze, looks
from stream.core.shown.eyes import LIDS_DOWN, Eyes
from training.reports.life_report import drift, eye_angles, far_share, steps_a_minute

LOOKS = [i for i, name in enumerate(CHANNELS) if name.startswith("eyeLook")]
FOLLOW = [INDEX[f"eye{name}{side}"] for name in ("Blink", "Wide") for side in ("Left", "Right")]


def shown(
    frames: int,
    *,
    speaking: bool = True,
    dial: float = 1.0,
    still: float = 0.0,
    seed: int = 0,
    raw: np.ndarray | None = None,
    parts: int = 1,
) -> np.ndarray:
    motion = np.zeros((1, frames, 54)) if raw is None else raw[None].copy()
    eyes = Eyes([seed], 60)
    for part in np.array_split(motion, parts, axis=1):
        eyes.apply(part, ROTATION, np.array([speaking]), np.array([dial]), np.array([still]))
    return motion[0]


def test_who_speaks_looks_away_a_third_of_the_time_and_who_listens_hardly_ever() -> None:
    speaking = eye_angles(shown(60_000))
    listening = eye_angles(shown(60_000, speaking=False))
    assert far_share(speaking) == pytest.approx(0.33, abs=0.08)
    assert far_share(listening) == pytest.approx(0.03, abs=0.03)
    assert 25 < steps_a_minute(speaking, 1.5) < 50
    assert 15 < steps_a_minute(speaking, 3.0) < 40
    assert max(drift(speaking), drift(listening)) < 0.5


def test_the_dial_takes_looks_away_and_stillness_all_of_them() -> None:
    shares = [far_share(eye_angles(shown(30_000, dial=dial))) for dial in (0.0, 0.3, 1.0)]
    assert shares[0] == 0.0 and shares[0] < shares[1] < shares[2]
    assert np.abs(eye_angles(shown(3000, dial=0.0))).max() < 6.0
    assert np.abs(eye_angles(shown(3000, still=1.0))).max() < 1e-6


def test_eyes_stay_where_they_look_when_the_head_turns() -> None:
    turning = np.zeros((500, 54))
    sway = np.sin(np.arange(500) / 9.0)[:, None] * np.array([0.06, 0.10, 0.02])
    turning[:, ROTATION] = sway
    held, turned = shown(500, dial=0.0), shown(500, dial=0.0, raw=turning)
    assert eye_angles(turned) == pytest.approx(eye_angles(held), abs=0.01)
    assert np.abs(looks(shown(500, raw=turning)[:, :50])).max() <= 0.4501


def test_lids_follow_the_eyes_down_and_a_style_that_looks_down_still_does() -> None:
    down = np.zeros((2000, 54))
    for side in ("Left", "Right"):
        down[:, INDEX[f"eyeLookDown{side}"]] = 0.4
        down[:, INDEX[f"eyeBlink{side}"]] = LIDS_DOWN * 0.4
    motion = shown(2000, raw=down, dial=1.0)
    assert np.median(motion[200:, INDEX["eyeLookDownLeft"]]) == pytest.approx(0.4, abs=0.08)
    # The lids are those of eyes that look so, wherever they look now.
    wanted = LIDS_DOWN * motion[:, INDEX["eyeLookDownLeft"]]
    assert np.abs(motion[:, INDEX["eyeBlinkLeft"]] - wanted).max() < 0.06
    ahead = shown(2000, raw=down, dial=0.0)
    assert np.abs(np.median(ahead[200:, INDEX["eyeLookDownLeft"]])) < 0.05


def test_nothing_else_moves_and_blocks_do_not_matter() -> None:
    raw = np.random.default_rng(0).uniform(0.0, 0.3, (600, 54))
    raw[:, ROTATION] -= 0.15
    whole = shown(600, raw=raw)
    others = [i for i in range(54) if i not in LOOKS and i not in FOLLOW]
    assert JAW in others
    np.testing.assert_array_equal(whole[:, others], raw[:, others])
    np.testing.assert_array_equal(shown(600, raw=raw, parts=37), whole)


def test_streams_go_their_own_ways_together() -> None:
    alone = [shown(400, seed=seed) for seed in (3, 4)]
    both = np.zeros((2, 400, 54))
    ones = np.ones(2)
    Eyes([3, 4], 60).apply(both, ROTATION, ones > 0, ones, 0 * ones)
    np.testing.assert_array_equal(both, np.stack(alone))
    bank, motion = Eyes([0, 0, 0], 60), np.zeros((1, 400, 54))
    bank.put(2, Eyes([4], 60))
    half = np.array([2])
    bank.apply(motion[:, :200], ROTATION, ones[:1] > 0, ones[:1], 0 * ones[:1], half)
    bank.of(2).apply(motion[:, 200:], ROTATION, ones[:1] > 0, ones[:1], 0 * ones[:1])
    np.testing.assert_array_equal(motion[0], alone[1])


def test_where_eyes_look_is_where_their_joints_turn() -> None:
    weights = np.random.default_rng(0).uniform(0, 1, (20, 54))
    turned = weights[:, :50] @ gaze().T  # (20, 15): of the eyes, joints 3 and 4
    left, up = turned[:, [10, 13]], -turned[:, [9, 12]]
    assert looks(weights) == pytest.approx(np.concatenate([left, up], 1))
