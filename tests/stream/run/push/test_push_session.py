"""A client's own session, run by hand: its clock, its silence, its interruptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stream.backends.registry import load_backend
from stream.clock import FakeClock
from stream.core.conditions import ConditionChange
from stream.core.session import Session
from stream.frames import Frame
from stream.run.push.session import EASE_FRAMES, ClientSession

BACKEND = load_backend("fake")
SPEECH = np.random.default_rng(0).normal(0, 0.15, 16000 * 6).clip(-1, 1).astype("f4")
JAW = 53


class ScheduledSession:
    """A scheduler's scheduled that computes at once, in the thread that feeds."""

    def __init__(self, session: Session, deliver: Callable[[list[Frame]], None]) -> None:
        self.session, self.deliver = session, deliver
        self.heard: list[np.ndarray[Any, Any]] = []
        self.queue: list[np.ndarray[Any, Any]] = []
        self.paused = self.closed = self._busy = False

    def feed(self, block: np.ndarray[Any, Any]) -> bool:
        self.queue.append(block)
        self.run()
        return True

    def run(self) -> None:
        if self._busy or self.paused:
            return
        self._busy = True
        while self.queue:
            block = self.queue.pop(0)
            self.heard.append(block)
            self.session.append(block)
            while self.session.pending_hops:
                self.deliver(self.session.step())
        self._busy = False

    def interrupt(self) -> None:
        self.queue = [np.zeros_like(block) for block in self.queue]

    def close(self) -> None:
        self.closed = True

    def change(self, request: ConditionChange) -> None:
        self.session.change(request)


class Desk:
    """A scheduler of such scheduled_sessions, and the one who listens."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.events: list[tuple[str, Any]] = []

    def open(self, session: Session, deliver: Any, **_: Any) -> ScheduledSession:
        self.scheduled = ScheduledSession(session, deliver)
        return self.scheduled

    def close(self) -> None: ...

    def session_frames(self, own: ClientSession, frames: list[Frame]) -> None:
        self.events += [("frame", frame) for frame in frames]

    def session_audio(self, own: ClientSession, start: int, samples: Any) -> None:
        self.events.append(("audio", (start, samples)))

    def session_cut(self, own: ClientSession, sample: int) -> None:
        self.events.append(("cut", sample))

    def session_ended(self, own: ClientSession, error: Exception | None) -> None:
        self.events.append(("end", error))

    def make(self, **options: Any) -> ClientSession:
        return ClientSession(self, Session(BACKEND), self, clock=self.clock, **options)

    def wait(self, own: ClientSession, seconds: float) -> None:
        for _ in range(round(seconds * 50)):
            self.clock.advance(0.02)
            own.pump()

    @property
    def frames(self) -> list[Frame]:
        return [value for kind, value in self.events if kind == "frame"]

    def player(self) -> tuple[dict[int, Frame], np.ndarray[Any, Any]]:
        """What a client that obeys the protocol holds in the end: frames, and audio."""
        frames: dict[int, Frame] = {}
        audio = np.full(16000 * 100, np.nan, "f4")
        for kind, value in self.events:
            if kind == "frame":
                assert value.sample not in frames and value.sample % 640 == 0
                frames[value.sample] = value
            elif kind == "audio":
                start, samples = value
                assert np.isnan(audio[start : start + len(samples)]).all()
                audio[start : start + len(samples)] = samples
            elif kind == "cut":
                frames = {at: frame for at, frame in frames.items() if at < value}
                audio[value:] = np.nan
        return frames, audio[: int(np.flatnonzero(~np.isnan(audio))[-1]) + 1]


def test_pushed_speech_becomes_frames_at_once_and_they_are_those_of_a_plain_session() -> None:
    desk = Desk()
    own = desk.make()
    assert own.push(SPEECH)
    assert len(desk.frames) >= 148  # of 150 and the cushion; no time has passed
    own.flush()
    frames, audio = desk.player()
    assert [frame.sequence for frame in frames.values()] == list(range(len(frames)))
    assert np.array_equal(audio[640 : 640 + len(SPEECH)], SPEECH)
    plain = Session(BACKEND).feed(audio)
    assert len(plain) == len(frames) >= 150
    for mine, its in zip(frames.values(), plain, strict=True):
        assert mine.sample == its.sample and np.array_equal(mine.motion, its.motion)


def test_a_live_session_never_runs_ahead_of_time() -> None:
    desk = Desk()
    own = desk.make(fast=False)
    own.push(SPEECH)
    for _ in range(40):
        desk.wait(own, 0.1)
        assert all(frame.sample + own.lookahead <= own.now for frame in desk.frames)
    assert len(desk.frames) >= 95  # of 100


def test_in_silence_time_goes_on_and_speech_later_lies_where_the_clock_is() -> None:
    desk = Desk()
    own = desk.make()
    desk.wait(own, 3.0)
    assert len(desk.frames) == pytest.approx(75, abs=4)
    own.push(SPEECH[:8000])
    _, audio = desk.player()
    assert int(np.flatnonzero(audio)[0]) == pytest.approx(48000 + 640, abs=2)
    desk.wait(own, 3.0)
    assert len(desk.frames) == pytest.approx(150, abs=4)


def test_a_session_that_is_not_alive_sleeps_until_it_is_spoken_to() -> None:
    desk = Desk()
    own = desk.make(alive=False)
    own.push(SPEECH[:16000])
    desk.wait(own, 10.0)
    assert len(desk.frames) == pytest.approx(75, abs=4)  # a second, and two of silence
    own.push(SPEECH[:16000])
    own.flush()
    frames, audio = desk.player()
    late = [at for at in frames if at > 16000 * 9]
    assert min(late) == pytest.approx(16000 * 10, abs=3000) and len(frames) < 110
    spoken = np.flatnonzero(np.nan_to_num(audio[16000 * 9 :]))[0] + 16000 * 9
    assert spoken == pytest.approx(16000 * 10 + 640, abs=700)
    jaws = {at: float(frame.motion[JAW]) for at, frame in frames.items()}
    assert max(jaws[at] for at in late) > 0.05, "it speaks again, in its frames' own time"
    opened = min(at for at in late if jaws[at] > 0.02)
    assert opened == pytest.approx(spoken, abs=1280)


@pytest.mark.parametrize("at", [None, 20_000])
def test_an_interruption_takes_back_what_lies_ahead_and_eases_to_rest(at: int | None) -> None:
    desk = Desk()
    own = desk.make()
    own.push(SPEECH)
    desk.wait(own, 1.5)  # the clock is at 24000, the frames are at six seconds
    before = {frame.sample: frame for frame in desk.frames}
    own.interrupt(at)
    cut = next(value for kind, value in desk.events if kind == "cut")
    assert cut == -(-(24_000 if at is None else at) // 640) * 640
    desk.wait(own, 1.5)
    frames, audio = desk.player()
    assert sorted(frames) == list(range(0, max(frames) + 1, 640)), "none is missing"
    numbers = [frame.sequence for frame in desk.frames]
    assert numbers == list(range(len(numbers)))
    assert all(frames[sample] is before[sample] for sample in range(0, cut, 640))
    assert not np.nan_to_num(audio[cut:]).any() and not np.isnan(audio).any()
    jaws = [float(frames[sample].motion[JAW]) for sample in range(cut - 640, max(frames), 640)]
    assert jaws[0] > 0.05, "it was cut in mid-speech"
    assert max(abs(np.diff(jaws))) < 0.05, "no jump"
    assert max(jaws[EASE_FRAMES + 2 :]) < 0.005, "closed, and it stays so"
    assert max(frames) >= 16000 * 3 - 6 * 640, "time has gone on"
    own.push(SPEECH[:3200])
    own.flush()
    _, audio = desk.player()
    assert int(np.flatnonzero(audio[cut:])[0]) + cut == pytest.approx(16000 * 3 + 640, abs=700)


@pytest.mark.parametrize("waited", [0.0, 0.2])
def test_sound_that_was_told_and_not_animated_is_taken_back(waited: float) -> None:
    """The model has not come to it, and will not: who plays it would hear a shut mouth speak."""
    desk = Desk()
    own = desk.make()
    desk.scheduled.paused = True
    own.push(SPEECH)
    desk.wait(own, waited)
    _, told = desk.player()
    assert np.nan_to_num(told).any()
    own.interrupt()
    [cut] = [value for kind, value in desk.events if kind == "cut"]
    assert cut == 16000 * waited < len(told)
    desk.scheduled.paused = False
    desk.scheduled.run()
    desk.wait(own, 1.0)
    frames, audio = desk.player()
    assert not np.nan_to_num(audio[cut:]).any() and not np.isnan(audio).any()
    assert sorted(frames) == list(range(0, max(frames) + 1, 640)), "none is missing"
    assert max(float(frame.motion[JAW]) for frame in desk.frames) < 0.005


def test_interruptions_at_any_time_lose_nothing() -> None:
    random = np.random.default_rng(5)
    desk = Desk()
    own = desk.make()
    for _ in range(60):
        what = random.integers(4)
        if what == 0:
            own.push(SPEECH[: random.integers(1, 40000)])
        elif what == 1:
            own.interrupt(None if random.random() < 0.5 else int(random.integers(-(2**40), 2**40)))
        elif what == 2:
            own.flush()
        desk.scheduled.paused = bool(random.random() < 0.3)
        desk.wait(own, float(random.uniform(0, 0.8)))
        desk.scheduled.paused = False
        desk.scheduled.run()
    own.interrupt()
    desk.wait(own, 2.0)
    frames, audio = desk.player()
    assert sorted(frames) == list(range(0, max(frames) + 1, 640))
    assert not np.isnan(audio).any()
    assert own.now - 6 * 640 <= max(frames) <= own.now


def test_a_machine_that_cannot_follow_leaves_silence_out() -> None:
    desk = Desk()
    own = desk.make(fast=False)
    desk.wait(own, 1.0)
    desk.scheduled.paused = True
    desk.wait(own, 10.0)
    desk.scheduled.paused = False
    desk.scheduled.run()
    desk.wait(own, 1.0)
    assert max(frame.sample for frame in desk.frames) > own.now - 5 * 640
    assert len(desk.frames) < 150
