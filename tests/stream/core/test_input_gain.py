"""The gain at an encoder's input: one level for all, never pumped up, the same in any portions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.backends.fake import FakeBackend
from stream.core.hearing import speech_level
from stream.core.hearing.input_gain import LOUDEST_GAIN_DB, TARGET_DB, InputGain
from stream.core.session import Session


def noise(frames: int, level_db: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (10 ** (level_db / 20) * rng.standard_normal((frames, 640))).astype(np.float32)


def speech(frames: int, level_db: float, room_db: float = -75.0, seed: int = 0) -> np.ndarray:
    """Noise in words of 8 frames with pauses of 3, over a quiet room."""
    loud = (np.arange(frames) % 11 < 8)[:, None]
    return np.where(loud, noise(frames, level_db, seed), noise(frames, room_db, seed + 1))


def level(frames: np.ndarray) -> float:
    power = np.mean(frames.astype(float) ** 2, axis=1)
    return float(10 * np.log10(power[power > 0.05 * power.max()].mean()))


@pytest.mark.parametrize("level_db", [-10.0, -20.0, -30.0, -43.0, -55.0])
def test_speech_of_any_level_arrives_at_one(level_db: float) -> None:
    heard = InputGain().apply(speech(400, level_db, room_db=level_db - 40))
    assert level(heard[330:]) == pytest.approx(TARGET_DB, abs=3.0)


@pytest.mark.parametrize(("level_db", "gain_db"), [(-1.0, -18.0), (-62.0, 34.0)])
def test_no_speech_is_turned_down_or_up_beyond_the_limits(level_db: float, gain_db: float) -> None:
    gain = InputGain()
    gain.apply(speech(400, level_db, room_db=level_db - 25))
    assert gain.level.decibels == pytest.approx(level_db, abs=2.0)
    assert abs(TARGET_DB - gain.level.decibels) > abs(gain_db) + 2.0
    assert gain.gain_db == pytest.approx(gain_db)


def test_it_follows_fast_and_slow_changes() -> None:
    gain = InputGain()
    for level_db in (-20.0, -45.0, -14.0):
        heard = gain.apply(speech(400, level_db, room_db=-85))
        assert level(heard[350:]) == pytest.approx(TARGET_DB, abs=3.0)


@pytest.mark.parametrize("level_db", [-20.0, -35.0, -50.0, -80.0])
def test_a_steady_noise_is_not_pumped_up(level_db: float) -> None:
    gain = InputGain()
    gain.apply(speech(100, -25.0))
    before = gain.gain_db
    gain.apply(noise(1500, level_db))
    assert gain.gain_db <= before + 4.5
    alone = InputGain()
    alone.apply(noise(1500, -80.0))
    assert alone.gain_db == InputGain().gain_db and alone.gain_db < LOUDEST_GAIN_DB


@given(cuts=st.lists(st.integers(0, 20), max_size=8))
@settings(max_examples=20)
def test_frames_are_the_same_in_any_portions(cuts: list[int]) -> None:
    clip, running, parts, at = speech(60, -40.0), InputGain(), [], 0
    for cut in [*cuts, 60]:
        parts.append(running.apply(clip[at : at + cut]))
        at = min(60, at + cut)
    assert np.array_equal(np.concatenate(parts), InputGain().apply(clip))


def test_later_sound_changes_no_earlier_frame_and_gains_do_not_jump() -> None:
    a = speech(60, -30.0)
    b = a.copy()
    b[30:] = speech(30, -12.0, seed=9)
    assert np.array_equal(InputGain().apply(a)[:30], InputGain().apply(b)[:30])
    played = InputGain().apply(np.full((50, 640), 0.02, np.float32)).reshape(-1)
    assert np.abs(np.diff(played)).max() < 1e-4


class _Hearing(FakeBackend):
    """Keeps what its encoder is given."""

    def __init__(self, gained: bool) -> None:
        super().__init__()
        self.spec = replace(self.spec, speech=replace(self.spec.speech, input_gain=gained))
        self.heard: list[np.ndarray] = []

    def encode(self, pcm, state):  # type: ignore[no-untyped-def]
        self.heard.append(pcm.copy())
        return super().encode(pcm, state)


def test_a_session_with_it_streams_as_it_runs_whole_and_begins_again_with_the_same_gain() -> None:
    clip = speech(40, -45.0).reshape(-1)
    heard = []
    for sizes in ([len(clip)], [100, 5000, 640, 17, len(clip)]):
        backend = _Hearing(True)
        session, at = Session(backend), 0
        for size in sizes:
            session.feed(clip[at : at + size])
            at = min(len(clip), at + size)
        session.finish()
        heard.append(np.concatenate(backend.heard)[: len(clip)])
    assert np.array_equal(*heard)
    np.testing.assert_array_equal(heard[0], InputGain().apply(clip.reshape(-1, 640)).reshape(-1))
    again = Session(_Hearing(True))
    again.append(clip)
    first, second = again.begin(), again.begin()
    assert first is not None and second is not None
    assert np.array_equal(first.pcm, second.pcm)
    held = again.copy_state()
    again.step()
    follow = again.begin()
    assert follow is not None
    again.go_on_from(held)
    again.step()
    repeated = again.begin()
    assert repeated is not None and np.array_equal(follow.pcm, repeated.pcm)


def test_a_model_without_it_hears_the_sound_as_it_is() -> None:
    backend, clip = _Hearing(False), speech(12, -45.0).reshape(-1)
    session = Session(backend)
    session.feed(clip)
    session.finish()
    np.testing.assert_array_equal(np.concatenate(backend.heard)[: len(clip)], clip)


def test_the_first_loud_frame_moves_the_level_by_its_share() -> None:
    gain = InputGain()
    before = gain.level.decibels
    loud = np.full((1, 640), 0.5, np.float32)
    gain.apply(loud)
    loudness = 10.0 * np.log10(0.25)
    assert gain.level.heard == 1
    share = 1.0 / (speech_level.PRIOR_FRAMES + 1)
    assert gain.level.decibels == pytest.approx(before + share * (loudness - before))


def test_many_streams_at_once_are_each_alone_to_the_bit() -> None:
    streams = np.stack([speech(6, -45.0 + k, seed=k) for k in range(40)]).reshape(2, 20, 6, 640)
    states = np.tile(InputGain().state, (2, 20, 1))
    together, place = InputGain(states), streams.copy()
    for at in (slice(0, 2), slice(2, 6)):
        part = np.ascontiguousarray(place[..., at, :])
        assert together.apply(part, out=part) is part
        place[..., at, :] = part
    for row in np.ndindex(2, 20):
        alone = InputGain()
        expected = [alone.apply(streams[row][at]) for at in (slice(0, 2), slice(2, 6))]
        assert np.array_equal(place[row], np.concatenate(expected))
        assert np.array_equal(together.state[row], alone.state)
