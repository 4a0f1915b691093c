"""One session among others: what fails, is cut, is changed or ends concerns it alone."""

from __future__ import annotations

import time

import numpy as np
import pytest
from patience import PATIENCE
from scheduled import FRAME, Gate, alone, opened
from tiny_model import speech

from stream.backends.fake import FakeBackend
from stream.backends.protocol import SamplerCall
from stream.clock import FakeClock
from stream.core.conditions import ConditionChange
from stream.core.options import SessionOptions
from stream.core.session import Session
from stream.frames import Frame
from stream.run.batching import run_batch
from stream.run.scheduler import Scheduler
from stream.run.waiting_audio import MOST_WAITING


class Picky(FakeBackend):
    """Fails for whoever is guided by 7."""

    def sample(self, call: SamplerCall) -> np.ndarray:
        if call.conditions.audio_guidance == 7.0:
            raise RuntimeError("seven is too much")
        return super().sample(call)


def test_a_session_that_fails_ends_alone() -> None:
    backend = Picky()
    with Scheduler(backend, capacity=3, clock=FakeClock()) as scheduler:
        places = [
            opened(scheduler, Session(backend, options=SessionOptions(audio_guidance=scale)))
            for scale in (2.0, 7.0, 3.0)
        ]
        for scheduled, _ in places:
            scheduled.feed(speech(20))
        assert places[1][0].ended.wait(PATIENCE)
        assert str(places[1][0].error) == "seven is too much" and scheduler.sessions == 2
        with pytest.raises(ValueError, match="open another one"):
            places[1][0].feed(speech(1))
    assert [len(heard.frames) for _, heard in places] == [20, 0, 20]
    assert [len(heard.ends) for _, heard in places] == [1, 1, 1]
    answers = run_batch(backend, [(fed(backend, scale), 1) for scale in (7.0, 2.0, 7.0)])
    assert [isinstance(answer, Exception) for answer in answers] == [True, False, True]


def fed(backend: FakeBackend, scale: float) -> Session:
    session = Session(backend, options=SessionOptions(audio_guidance=scale))
    session.append(speech(4))
    return session


def test_a_receiver_that_raises_loses_only_its_own_session() -> None:
    backend = FakeBackend()

    def broken(_: list[Frame]) -> None:
        raise OSError("gone")

    with Scheduler(backend, capacity=2, clock=FakeClock()) as scheduler:
        bad = scheduler.open(Session(backend), broken)
        good, heard = opened(scheduler, Session(backend))
        for scheduled in (bad, good):
            scheduled.feed(speech(10))
        assert bad.ended.wait(PATIENCE) and isinstance(bad.error, OSError)
    assert len(heard.frames) == 10


def test_an_interrupt_silences_what_waits_and_time_goes_on() -> None:
    backend = Gate()
    audio = np.full(FRAME * 40, 0.5, np.float32)
    with Scheduler(backend, capacity=1, clock=FakeClock()) as scheduler:
        scheduled, heard = opened(scheduler, Session(backend))
        scheduled.feed(audio)
        assert backend.entered.acquire(timeout=PATIENCE)
        scheduled.interrupt()
        scheduled.feed(audio)
        backend.turn.release(100)
        scheduled.finish()
        assert scheduled.ended.wait(PATIENCE)
    cut = audio.copy()
    cut[FRAME * 4 :] = 0.0  # the first call had its audio
    expected = alone(Session(FakeBackend()), np.concatenate([cut, audio]))
    assert np.array_equal(heard.motion(), expected) and scheduled.counts.interrupts == 1


def test_a_session_holds_so_much_audio_and_no_more() -> None:
    backend = Gate()
    with Scheduler(backend, capacity=1, clock=FakeClock()) as scheduler:
        scheduled, _ = opened(scheduler, Session(backend))
        scheduled.feed(speech(4))
        assert backend.entered.acquire(timeout=PATIENCE)
        block = np.zeros(16_000, np.float32)
        taken = [scheduled.feed(block) for _ in range(12)]
        assert sum(taken) == MOST_WAITING // 16_000 and not taken[-1]
        assert scheduled.counts.refused == 2 * 16_000 and scheduled.waiting == MOST_WAITING
        with pytest.raises(ValueError, match="mono"):
            scheduled.feed(np.zeros((10, 2), np.float32))
        backend.turn.release(1000)


def test_without_a_whole_hop_of_audio_nobody_is_woken() -> None:
    backend = FakeBackend()
    scheduler = Scheduler(backend, capacity=200)
    looked = []
    wait = scheduler.lock.wait
    scheduler.lock.wait = lambda *a: (looked.append(1), wait(*a))[1]  # type: ignore[method-assign]
    scheduled_sessions = [opened(scheduler, Session(backend))[0] for _ in range(200)]
    for scheduled in scheduled_sessions:
        scheduled.feed(np.zeros(FRAME * 3, np.float32))
    time.sleep(0.2)
    assert len(looked) <= 1 and not any(scheduled.counts.calls for scheduled in scheduled_sessions)
    scheduler.close()


def test_style_and_guidance_change_while_a_session_speaks(tiny) -> None:
    seen = []

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(tiny, name)

        def sample_many(self, calls: list[SamplerCall]) -> list[np.ndarray]:
            seen.extend(
                (call.conditions.style[0], call.conditions.audio_guidance) for call in calls
            )
            return tiny.sample_many(calls)

    backend = Watched()
    with Scheduler(backend, capacity=1, clock=FakeClock()) as scheduler:  # type: ignore[arg-type]
        scheduled, heard = opened(scheduler, Session(backend))  # type: ignore[arg-type]
        scheduled.feed(speech(4))
        until = time.monotonic() + PATIENCE
        while not heard.frames and time.monotonic() < until:
            time.sleep(0.005)
        scheduled.change(ConditionChange(style="lively"))
        scheduled.change(ConditionChange(audio_guidance=1.5))
        with pytest.raises(ValueError, match="no style 'nobody'"):
            scheduled.change(ConditionChange(style="nobody"))
        scheduled.feed(speech(2))
    (before, unguided), (after, guided) = seen[:2]
    calm, lively = tiny.styles["calm"][0], tiny.styles["lively"][0]
    assert before == calm and min(calm, lively) < after <= max(calm, lively)
    assert (unguided, guided) == (1.0, 1.5)


def test_closing_brings_out_what_was_fed() -> None:
    backend = FakeBackend()
    scheduler = Scheduler(backend, capacity=3, clock=FakeClock())
    places = [opened(scheduler, Session(backend)) for _ in range(3)]
    for scheduled, _ in places:
        scheduled.feed(speech(33))
    scheduler.close()
    assert [len(heard.frames) for _, heard in places] == [33, 33, 33]
    assert all(scheduled.ended.is_set() for scheduled, _ in places) and scheduler.sessions == 0
    scheduler.close()


def test_a_model_that_hangs_does_not_hold_up_the_end() -> None:
    backend = Gate()
    scheduler = Scheduler(backend, capacity=1)
    scheduled, heard = opened(scheduler, Session(backend))
    scheduled.feed(speech(4))
    assert backend.entered.acquire(timeout=PATIENCE)
    scheduler.close(deadline=0.05)
    assert scheduled.ended.is_set() and heard.ends == [None]
    backend.turn.release(10)
    scheduler._thread.join(PATIENCE)
    assert not scheduler._thread.is_alive() and not heard.frames
