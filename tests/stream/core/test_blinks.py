"""Lids that fall in time, not by the clock, and never one blink upon another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from head.channels import CHANNELS
from stream.backends.fake import FakeBackend
from stream.backends.protocol import SamplerCall
from stream.core.session import Session
from stream.core.shown.blinks import APART, BLINK, Blinks
from training.reports.gesture_report import blink_starts

LIDS = [CHANNELS.index(f"eyeBlink{side}") for side in ("Left", "Right")]


def staring(n: int) -> np.ndarray:
    return np.full((n, 54), 0.05)


def test_a_stare_ends_in_whole_blinks_about_as_often_as_asked() -> None:
    raw = staring(20_000)
    Blinks(100, [3]).apply(raw[None])
    starts, lengths = blink_starts(raw)
    apart = np.diff(starts)
    assert np.mean(apart) == pytest.approx(100 * np.exp(0.3**2 / 2) + len(BLINK), rel=0.1)
    assert np.std(apart) > 15, "not by the clock"
    assert set(lengths) == {4}, "frames with lids lower than a third"
    others = [i for i in range(54) if i not in LIDS]
    np.testing.assert_array_equal(raw[:, others], staring(20_000)[:, others])


def test_a_stream_begins_anywhere_in_a_stare() -> None:
    firsts = []
    for seed in range(200):
        raw = staring(400)
        Blinks(100, [seed]).apply(raw[None])
        firsts.append(blink_starts(raw)[0][0])
    assert np.quantile(firsts, [0.1, 0.5, 0.9]) == pytest.approx([10, 52, 100], abs=12)


def test_the_models_own_blinks_count() -> None:
    raw = staring(2000)
    raw[::100, LIDS] = 0.9
    given = raw.copy()
    Blinks(175, [0]).apply(raw[None])
    np.testing.assert_array_equal(raw, given)


def test_blinks_upon_one_another_are_held_open_and_whole_ones_stay() -> None:
    raw = staring(6000)
    for start in range(0, 6000, 20):  # 75 a minute
        raw[start : start + 4, LIDS] = np.array([0.5, 1.0, 0.9, 0.4])[:, None]
    spaced = raw.copy()
    Blinks(175, [0]).apply(spaced[None])
    starts, lengths = blink_starts(spaced)
    assert 18 <= len(starts) / 4 <= 30, "a minute"
    assert np.diff(starts).min() >= APART * 175 * 0.4
    assert set(lengths) == {4}, "as the model shut them"
    assert np.ptp(np.diff(starts)) > 20, "not by the clock"


def test_lids_that_follow_a_look_down_are_no_blink() -> None:
    raw = staring(3000)
    raw[:, LIDS] = 0.33
    given = raw.copy()
    Blinks(175, [0]).apply(raw[None])
    assert np.median(raw[:, LIDS]) == given[0, LIDS[0]] and (raw >= given).all()


def test_blocks_do_not_matter_and_none_are_asked_for_by_default() -> None:
    whole, plain = staring(900), staring(900)
    Blinks(60, [1]).apply(whole[None])
    lids, parts = Blinks(60, [1]), np.split(plain, [1, 2, 61, 300, 301])
    for part in parts:
        lids.apply(part[None])
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    plain = staring(900)
    Blinks(0, [1]).apply(plain[None])
    np.testing.assert_array_equal(plain, staring(900))


class Staring(FakeBackend):
    """Never blinks."""

    def __init__(self, max_blink_interval_frames: float) -> None:
        super().__init__()
        self.spec = replace(
            self.spec,
            live=replace(self.spec.live, max_blink_interval_frames=max_blink_interval_frames),
        )

    def sample(self, call: SamplerCall) -> np.ndarray:
        still = np.zeros((len(call.noise), 54), np.float32)
        return (still - self.statistics.motion_mean) / self.statistics.motion_std


@pytest.mark.parametrize("frames, least, most", [(0, 0, 0), (100, 6, 13)])
def test_a_session_shows_a_face_that_blinks(frames: float, least: int, most: int) -> None:
    session = Session(Staring(frames))
    shown = session.feed(np.zeros(640 * 1000, np.float32)) + session.finish()
    starts, _ = blink_starts(np.stack([frame.motion for frame in shown]))
    assert least <= len(starts) <= most
