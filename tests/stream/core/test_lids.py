"""Lids that fall in time: only where no blink comes, and not by the clock."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from head.channels import CHANNELS
from stream.backends.fake import FakeBackend
from stream.backends.protocol import SamplerCall
from stream.core.idle_motion import BLINK, Stares
from stream.core.session import Session
from training.reports.gesture_report import blink_starts

LIDS = [CHANNELS.index(f"eyeBlink{side}") for side in ("Left", "Right")]


def staring(n: int) -> np.ndarray:
    return np.full((n, 54), 0.05)


def test_a_stare_ends_in_whole_blinks_about_as_often_as_asked() -> None:
    raw = staring(20_000)
    Stares(100, seed=3).force_blink(raw)
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
        Stares(100, seed).force_blink(raw)
        firsts.append(blink_starts(raw)[0][0])
    assert np.quantile(firsts, [0.1, 0.5, 0.9]) == pytest.approx([10, 52, 100], abs=12)


def test_the_models_own_blinks_count() -> None:
    raw = staring(2000)
    raw[::40, LIDS] = 0.9
    given = raw.copy()
    Stares(175, seed=0).force_blink(raw)
    np.testing.assert_array_equal(raw, given)


def test_blocks_do_not_matter_and_none_are_asked_for_by_default() -> None:
    whole, plain = staring(900), staring(900)
    Stares(60, seed=1).force_blink(whole)
    lids, parts = Stares(60, seed=1), np.split(plain, [1, 2, 61, 300, 301])
    for part in parts:
        lids.force_blink(part)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    plain = staring(900)
    Stares(0, seed=1).force_blink(plain)
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
