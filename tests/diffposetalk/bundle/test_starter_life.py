"""The starter over minutes: eyes that stay with whom they speak to and lids that blink."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from posetalk import demo_speech
from stream.backends.registry import load_backend
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
    session = Session(load_backend("auto", "starter"), style="neutral")
    motion = np.stack([frame.motion for frame in session.feed(sound) + session.finish()])
    later = motion[len(motion) // 3 :]  # drifting off takes a while
    left, up = mean_gaze(later)
    assert abs(left) < 2.0 and abs(up) < 3.0
    assert 4 <= blinks(motion) <= 40
