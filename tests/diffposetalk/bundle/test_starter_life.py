"""The starter over minutes: eyes that stay with whom they speak to and lids that blink."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from head.eye_turns import looks
from posetalk import demo_speech
from stream.backends.registry import load_backend
from stream.core.options import SessionOptions
from stream.core.session import Session
from training.evaluation.live_figures import blinks
from training.reports.long_run import mean_gaze

MINUTE = 60 * 16_000


def speech() -> NDArray[np.float32]:
    """The demo again and again, a pause of three seconds after each."""
    samples, _ = soundfile.read(demo_speech(), dtype="float32")
    return np.resize(np.append(samples, np.zeros(3 * 16_000, np.float32)), MINUTE)


def room() -> NDArray[np.float32]:
    """Nobody speaks."""
    return (5e-4 * np.random.default_rng(0).standard_normal(MINUTE)).astype(np.float32)


@pytest.mark.parametrize("sound", [speech(), room()], ids=["speech", "room"])
def test_a_minute_of_it(sound: NDArray[np.float32]) -> None:
    """With `gaze` 0: people's own looks away, the default, lean to either side for a minute."""
    options = SessionOptions(gaze=0.0)
    session = Session(load_backend("auto", "starter"), style="neutral", options=options)
    motion = np.stack([frame.motion for frame in session.feed(sound) + session.finish()])
    later = motion[len(motion) // 3 :]  # drifting off takes a while
    left, up = mean_gaze(later)
    assert abs(left) < 2.0 and abs(up) < 3.0
    assert 4 <= blinks(motion) <= 40


def test_who_looks_away_comes_back() -> None:
    """By default the eyes leave whom they speak to, for some seconds at most."""
    session = Session(load_backend("auto", "starter"), style="neutral")
    motion = np.stack([frame.motion for frame in session.feed(speech()) + session.finish()])
    left = looks(motion)[:, [0, 2]].mean(1) + motion[:, 51]  # of the eyes in the head, of the head
    there = np.flatnonzero(np.abs(np.degrees(left)) < 8.0)
    assert 0.25 < len(there) / len(motion) < 0.9
    assert np.diff(there).max() < 10 * 25
