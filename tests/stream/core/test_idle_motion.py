"""A shown head comes back, breathes in silence, and is still on demand; alone or with others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diffposetalk.spec import LiveDefaults
from head.channels import ARTICULATION, INDEX, JAW, LIDS, ROTATION
from stream.backends.fake import FakeBackend
from stream.core.conditions import ConditionChange
from stream.core.options import SessionOptions
from stream.core.session import Session
from stream.core.shown.idle_motion import IdleMotion, Manner

LIVE = LiveDefaults(head_inertia=0.4, gaze_time_constant_frames=60, max_blink_interval_frames=175)
PITCH, YAW, ROLL = range(ROTATION.start, ROTATION.stop)


def manner(streams: int = 1, *, speaking: bool = True, still: bool = False) -> Manner:
    ones = np.ones(streams)
    return Manner(ones > 0 if speaking else ones < 0, ones, ones > 0 if still else ones < 0)


def laid_over(raw: np.ndarray, how: Manner, seed: int = 0, parts: int = 1) -> np.ndarray:
    motion, idle = raw[None].copy(), IdleMotion(LIVE, ROTATION, [seed])
    for part in np.array_split(motion, parts, axis=1):
        idle.apply(part, how)
    return motion[0]


def leaning(frames: int) -> np.ndarray:
    raw = np.zeros((frames, 54))
    raw[:, ROTATION] = np.radians([5.0, 8.0, -6.0])
    raw[:, ROTATION] += np.sin(np.arange(frames) / 6.0)[:, None] * np.radians([1.0, 2.0, 1.0])
    return raw


def test_a_turned_head_comes_back_and_quick_turns_stay() -> None:
    shown = np.degrees(laid_over(leaning(15_000), manner())[:, ROTATION])
    yaw, roll = shown[:, 1], shown[:, 2]
    assert abs(yaw.mean()) < 0.2 and abs(roll.mean()) < 0.2
    assert np.abs(yaw[10 * 25 :]).max() < 4.0, "nobody looks aside for 10 s"
    assert shown[:, 0].mean() == pytest.approx(5.0, abs=0.1), "some styles look down"
    assert np.ptp(yaw[1000:]) > 2.5, "what is quick stays"


def test_the_face_breathes_in_silence_alone() -> None:
    rest = np.zeros((2000, 54))
    silent, spoken = laid_over(rest, manner(speaking=False)), laid_over(rest, manner())
    pitch = np.degrees(silent[200:, PITCH])
    assert 0.4 < np.ptp(pitch) < 0.7
    spectrum = np.abs(np.fft.rfft(pitch - pitch.mean()))
    assert 0.17 < 25 * spectrum.argmax() / len(pitch) < 0.35, "breaths a second"
    assert silent[:, INDEX["browInnerUp"]].max() > 0.02
    assert np.ptp(np.degrees(spoken[200:, PITCH])) < 0.01
    corners = (INDEX["mouthSmileLeft"], INDEX["mouthSmileRight"])
    lips = [i for i in (*ARTICULATION, JAW) if i not in corners]
    np.testing.assert_array_equal(silent[:, lips], 0.0)


def test_stillness_leaves_the_mouth_and_the_blinks() -> None:
    raw = np.random.default_rng(0).uniform(0.0, 0.3, (2000, 54))
    still = laid_over(raw, manner(still=True))
    moved = np.ptp(still[100:], axis=0)
    brows = [index for name, index in INDEX.items() if name.startswith("brow")]
    assert moved[ROTATION].max() == 0.0 and moved[brows].max() == 0.0
    np.testing.assert_array_equal(still[:, [*ARTICULATION, JAW]], raw[:, [*ARTICULATION, JAW]])
    assert (still[:, list(LIDS)].mean(1) > 0.5).sum() > 10
    motion, idle = leaning(120)[None], IdleMotion(LIVE, ROTATION, [0])
    idle.apply(motion[:, :60], manner())
    idle.apply(motion[:, 60:], manner(still=True))
    assert np.degrees(np.abs(np.diff(motion[0, :, YAW])).max()) < 1.5, "it is not frozen at once"
    assert motion[0, -1, YAW] == 0.0


def test_blocks_and_company_do_not_matter() -> None:
    raw = leaning(600)
    whole = laid_over(raw, manner(speaking=False), seed=5)
    np.testing.assert_array_equal(laid_over(raw, manner(speaking=False), 5, parts=41), whole)
    bank, held = IdleMotion(LIVE, ROTATION, [0, 0, 0]), raw.copy()[None]
    bank.put(1, IdleMotion(LIVE, ROTATION, [5]))
    bank.apply(held[:, :300], manner(speaking=False), np.array([1]))
    bank.of(1).copy().apply(held[:, 300:], manner(speaking=False))
    np.testing.assert_array_equal(held[0], whole)


def test_a_bundle_whose_eyes_are_not_known_keeps_all_but_its_heads_mass() -> None:
    live = replace(LIVE, gaze_time_constant_frames=0.0, max_blink_interval_frames=0.0)
    motion = leaning(300)[None]
    given = motion.copy()
    IdleMotion(live, ROTATION, [0]).apply(motion, manner(speaking=False))
    others = [i for i in range(54) if i not in range(*ROTATION.indices(54))]
    np.testing.assert_array_equal(motion[..., others], given[..., others])
    assert np.degrees(motion[..., YAW].mean()) == pytest.approx(8.0, abs=0.1)


class Alive(FakeBackend):
    """Its eyes are known."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = replace(self.spec, live=replace(self.spec.live, gaze_time_constant_frames=60))


def test_a_session_is_told_while_it_speaks() -> None:
    session = Session(Alive(), options=SessionOptions(gaze=0.2, still=True))
    assert (session.conditions.gaze, session.conditions.still) == (0.2, True)
    looks = [i for name, i in INDEX.items() if name.startswith("eyeLook")]
    motion = np.stack([f.motion for f in session.feed(np.zeros(640 * 500, np.float32))])
    assert np.abs(motion[:, looks]).max() < 1e-6
    session.change(ConditionChange(gaze=1.0, still=False))
    motion = np.stack([f.motion for f in session.feed(np.zeros(640 * 500, np.float32))])
    assert np.abs(motion[:, looks]).max() > 0.1
    with pytest.raises(ValueError, match="0 \\(at you\\) to 1"):
        session.change(ConditionChange(gaze=1.5))
    assert session.conditions.gaze == 1.0
