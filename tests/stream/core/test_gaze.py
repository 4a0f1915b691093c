"""Eyes that come back: slow looks aside fade, quick ones and all else stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from head.channels import CHANNELS
from head.eye_turns import gaze, looks
from stream.backends.fake import FakeBackend
from stream.backends.protocol import SamplerCall
from stream.core.idle_motion import high_pass_gaze
from stream.core.session import Session

OUT, IN = CHANNELS.index("eyeLookOutLeft"), CHANNELS.index("eyeLookInLeft")
LOOKS = [i for i, name in enumerate(CHANNELS) if name.startswith("eyeLook")]


def looking(left: np.ndarray) -> np.ndarray:
    raw = np.full((len(left), 54), 0.3)
    for out, inwards, sign in (("Left", "Right", 1.0), ("Right", "Left", -1.0)):
        raw[:, CHANNELS.index(f"eyeLookOut{out}")] = np.maximum(sign * left, 0.0)
        raw[:, CHANNELS.index(f"eyeLookIn{inwards}")] = np.maximum(sign * left, 0.0)
    return raw


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_look_that_stays_fades_and_a_quick_one_does_not(side: float) -> None:
    raw = looking(side * np.r_[np.full(5, 0.6), np.full(400, 0.6)])
    high_pass_gaze(raw, np.zeros(2), 60)
    first, second = (OUT, IN) if side > 0 else (IN, OUT)
    assert raw[4, first] > 0.54 and raw[4, second] == 0.0
    assert raw[-1, first] < 0.01
    back = looking(np.r_[np.full(300, side * 0.6), np.zeros(5)])
    high_pass_gaze(back, np.zeros(2), 60)
    assert back[-1, second] > 0.5, "seen from where they rest, straight on is the other side"


def test_a_look_up_that_stays_fades_and_one_down_does_not() -> None:
    for name, end in (("Up", 0.0), ("Down", 0.4)):
        there = [CHANNELS.index(f"eyeLook{name}{side}") for side in ("Left", "Right")]
        raw = np.zeros((400, 54))
        raw[:, there] = 0.4
        high_pass_gaze(raw, np.zeros(2), 60)
        assert raw[3, there].min() > 0.35
        assert raw[-1, there] == pytest.approx(end, abs=0.01), "some styles look down"


def test_nothing_else_moves_and_blocks_do_not_matter() -> None:
    left = np.random.default_rng(0).normal(0, 0.3, 200).cumsum() / 10
    whole, plain = looking(left), looking(left)
    high_pass_gaze(whole, np.zeros(2), 60)
    others = [i for i in range(54) if i not in LOOKS]
    np.testing.assert_array_equal(whole[:, others], plain[:, others])
    slow, parts = np.zeros(2), np.split(looking(left), [1, 7, 8, 100])
    for part in parts:
        high_pass_gaze(part, slow, 60)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    high_pass_gaze(plain, np.zeros(2), 0)
    np.testing.assert_array_equal(plain, looking(left))


class Staring(FakeBackend):
    """Looks aside for ever."""

    def __init__(self, gaze_time_constant_frames: float) -> None:
        super().__init__()
        self.spec = replace(
            self.spec,
            live=replace(self.spec.live, gaze_time_constant_frames=gaze_time_constant_frames),
        )

    def sample(self, call: SamplerCall) -> np.ndarray:
        aside = looking(np.full(len(call.noise), 0.5)).astype(np.float32)
        return (aside - self.statistics.motion_mean) / self.statistics.motion_std


@pytest.mark.parametrize("frames, least, most", [(0, 0.49, 0.51), (60, 0.0, 0.02)])
def test_a_session_shows_eyes_that_come_back(frames: float, least: float, most: float) -> None:
    session = Session(Staring(frames))
    shown = session.feed(np.zeros(640 * 300, np.float32)) + session.finish()
    assert least <= shown[-1].motion[OUT] <= most
    assert shown[0].motion[OUT] > 0.45


def test_where_eyes_look_is_where_their_joints_turn() -> None:
    weights = np.random.default_rng(0).uniform(0, 1, (20, 54))
    turned = weights[:, :50] @ gaze().T  # (20, 15): of the eyes, joints 3 and 4
    left, up = turned[:, [10, 13]], -turned[:, [9, 12]]
    assert looks(weights) == pytest.approx(np.concatenate([left, up], 1))
