"""Sound in step with the picture: the track by itself, and a loudspeaker that is listened to."""

from __future__ import annotations

import time

import numpy as np
import pytest
from virtual_microphone import missing, virtual_microphone

from viewer.play.speaker import DRIFT_SECONDS, Loudspeaker, SoundTrack, SpeakerError

RATE = 16000


def ramp(start: int, count: int) -> np.ndarray:
    return np.arange(start, start + count, dtype=np.float32)


def test_what_is_heard_is_what_is_shown() -> None:
    track = SoundTrack(RATE)
    for start in range(0, 16000, 320):
        track.add(start, ramp(start, 320))
    track.follow(now=100.0, position=4000.0)
    # Read 10 ms later, by a device with 20 ms of its own: 30 ms after sample 4000.
    np.testing.assert_array_equal(track.read(100, heard=100.03), ramp(4480, 100))
    np.testing.assert_array_equal(track.read(50, heard=100.03 + 100 / RATE), ramp(4580, 50))


def test_sound_runs_on_evenly_until_it_is_too_far_off() -> None:
    track = SoundTrack(RATE)
    track.add(0, ramp(0, 2 * RATE))
    track.follow(0.0, 0.0)
    track.read(320, heard=0.0)
    late = 0.8 * DRIFT_SECONDS
    np.testing.assert_array_equal(track.read(320, heard=0.02 + late), ramp(320, 320))
    assert track.jumps == 0
    far = 0.04 + 2 * DRIFT_SECONDS
    np.testing.assert_array_equal(track.read(10, heard=far), ramp(round(far * RATE), 10))
    assert track.jumps == 1


def test_what_is_not_there_is_silence() -> None:
    track = SoundTrack(RATE)
    assert not track.read(100, heard=0.0).any(), "nothing is shown yet"
    track.add(100, ramp(100, 50))
    track.follow(0.0, 50.0)
    heard = track.read(200, heard=0.0)
    assert not heard[:50].any() and not heard[100:].any()
    np.testing.assert_array_equal(heard[50:100], ramp(100, 50))
    track.clear()
    assert not track.read(100, heard=0.0).any()


def test_the_track_does_not_grow() -> None:
    track = SoundTrack(RATE)
    for start in range(0, 60 * RATE, RATE):
        track.add(start, np.zeros(RATE, np.float32))
    assert len(track._pieces) <= 11


def test_no_loudspeaker_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sounddevice", None)
    with pytest.raises(SpeakerError, match="no loudspeaker"):
        Loudspeaker()


def test_the_loudspeaker_plays_the_track() -> None:
    """What is played into the virtual sound card comes back from its microphone."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    from stream.sources.microphone import Microphone

    generator = np.random.default_rng(0)
    sound = (0.2 * generator.standard_normal(5 * RATE)).astype(np.float32)
    with virtual_microphone():
        microphone = Microphone()
        heard = []
        speaker = Loudspeaker(RATE)
        try:
            speaker.track.add(0, sound)
            began = time.monotonic()
            for block in microphone:
                speaker.track.follow(time.monotonic(), (time.monotonic() - began) * RATE)
                heard.append(block.samples)
                if time.monotonic() - began > 4.5:
                    microphone.close()
        finally:
            speaker.close()
            microphone.close()
    recorded = np.concatenate(heard)
    piece = sound[3 * RATE : 3 * RATE + 4000]
    match = np.correlate(recorded, piece, mode="valid").max() / float(piece @ piece)
    assert match > 0.95
