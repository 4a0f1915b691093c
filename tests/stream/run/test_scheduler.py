"""Many sessions on one model: the same frames as alone, fair, bounded, and free when idle."""

from __future__ import annotations

import threading
import time
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import PATIENCE
from tiny_model import speech, tiny_backend

from stream.backends.fake import FakeBackend
from stream.backends.protocol import SamplerCall
from stream.clock import FakeClock
from stream.core.conditions import ConditionChange
from stream.core.session import Session, SessionOptions
from stream.frames import Frame
from stream.run.batching import Batcher, run_batch
from stream.run.capacity import MOST_SESSIONS, measure_capacity
from stream.run.live_loop import replay
from stream.run.scheduled_session import MOST_WAITING, ScheduledSession
from stream.run.scheduler import CapacityError, Scheduler

FRAME = 640


class Heard:
    """What one scheduled delivered."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.ends: list[Exception | None] = []

    def motion(self) -> np.ndarray:
        assert [frame.sequence for frame in self.frames] == list(range(len(self.frames)))
        return np.stack([frame.motion for frame in self.frames])


class Gate(FakeBackend):
    """The fake backend, whose calls wait until they are let through; writes down each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.turn = threading.Semaphore(0), threading.Semaphore(0)
        self.batches: list[list[SamplerCall]] = []

    def sample_many(self, calls: list[SamplerCall]) -> list[np.ndarray]:
        self.batches.append(list(calls))
        self.entered.release()
        assert self.turn.acquire(timeout=PATIENCE)
        return super().sample_many(calls)


def opened(scheduler: Scheduler, session: Session, **more) -> tuple[ScheduledSession, Heard]:
    heard = Heard()
    scheduled = scheduler.open(session, heard.frames.extend, on_end=heard.ends.append, **more)
    return scheduled, heard


def alone(session: Session, audio: np.ndarray) -> np.ndarray:
    return np.stack([frame.motion for frame in session.feed(audio) + session.finish()])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_backend(tmp_path_factory.mktemp("bundles") / "tiny")


arrivals = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4000)), min_size=8, max_size=40)


def play(scheduler: Scheduler, sessions: list[Session], pattern: list[tuple[int, int]]):
    """Feed the sessions blocks in the pattern's order; returns each one's audio and frames."""
    audio = [speech(40, seed=number) for number in range(len(sessions))]
    at = [0] * len(sessions)
    places = [opened(scheduler, session) for session in sessions]
    for number, size in pattern:
        scheduled, _ = places[number]
        assert scheduled.feed(audio[number][at[number] : at[number] + size])
        at[number] = min(at[number] + size, len(audio[number]))
    for scheduled, _ in places:
        scheduled.finish()
    for scheduled, heard in places:
        assert scheduled.ended.wait(PATIENCE)
        assert scheduled.error is None and heard.ends == [None]
    return [(audio[n][: at[n]], heard) for n, (_, heard) in enumerate(places)]


@given(
    pattern=arrivals,
    hop=st.integers(1, 4),
    lookahead=st.integers(0, 3),
    rule=st.sampled_from(["adjacent", "sliding"]),
)
@settings(max_examples=25, deadline=None)
def test_whatever_arrives_when_each_session_is_as_if_alone(pattern, hop, lookahead, rule) -> None:
    options = SessionOptions(hop=hop, lookahead=lookahead, window_rule=rule)
    backend = FakeBackend()
    with Scheduler(backend, capacity=4, clock=FakeClock()) as scheduler:
        played = play(scheduler, [Session(backend, options=options) for _ in range(4)], pattern)
    for audio, heard in played:
        assert len(heard.frames) == len(audio) // FRAME
        if heard.frames:
            assert np.array_equal(heard.motion(), alone(Session(backend, options=options), audio))


def test_a_source_that_has_time_waits_for_room() -> None:
    """Ten seconds may wait; more is refused, or waited for where the audio has time."""
    with Scheduler(FakeBackend(), 1, workers=1) as scheduler:
        frames: list[Frame] = []
        scheduled = scheduler.open(Session(scheduler.backend), frames.extend, realtime=False)
        with scheduler.lock:  # nothing is taken meanwhile
            assert scheduled.feed(np.zeros(16000 * 10, np.float32))
            assert not scheduled.feed(np.zeros(640, np.float32))
        for _ in range(20):
            assert scheduled.feed(np.zeros(16000, np.float32), wait=True)
        scheduled.finish()
        assert scheduled.ended.wait(PATIENCE)
    assert len(frames) == 30 * 25 and scheduled.counts.refused == 640


@given(pattern=arrivals, rule=st.sampled_from(["adjacent", "sliding"]))
@settings(max_examples=10, deadline=None)
def test_a_real_network_gives_each_session_its_own_frames(tiny, pattern, rule) -> None:
    def session(number: int) -> Session:
        options = SessionOptions(window_rule=rule, audio_guidance=[1.0, 1.0, 1.5, 2.0][number])
        return Session(tiny, options=options, style=["calm", "lively"][number % 2], seed=number)

    with Scheduler(tiny, capacity=4, clock=FakeClock()) as scheduler:
        played = play(scheduler, [session(number) for number in range(4)], pattern)
    for number, (audio, heard) in enumerate(played):
        assert len(heard.frames) == len(audio) // FRAME
        if heard.frames:
            np.testing.assert_allclose(heard.motion(), alone(session(number), audio), atol=1e-5)


def test_several_workers_share_what_is_ready(tiny) -> None:
    batcher = Batcher(tiny, workers=3)
    sessions = [Session(tiny, seed=number) for number in range(7)]
    audio = [speech(8, seed=number) for number in range(7)]
    for session, own in zip(sessions, audio, strict=True):
        session.append(own)
    made = [batcher.run([(session, 1) for session in sessions]) for _ in range(3)]
    for number, own in enumerate(audio):
        frames = [frame for answer in made for frame in answer[number]]
        expected = Session(tiny, seed=number).feed(own)
        assert [frame.sequence for frame in frames] == [0, 1, 2, 3, 4, 5]
        np.testing.assert_allclose(
            [frame.motion for frame in frames], [frame.motion for frame in expected], atol=1e-5
        )
    batcher.close()
    assert Batcher(FakeBackend(), workers=2).workers == 2 <= 4


def test_one_session_alone_gets_the_bits_of_its_own_steps(tiny) -> None:
    with Scheduler(tiny, capacity=1, clock=FakeClock()) as scheduler:
        [(audio, heard)] = play(scheduler, [Session(tiny)], [(0, 1000)] * 20)
    assert np.array_equal(heard.motion(), alone(Session(tiny), audio))


def test_sessions_that_are_ready_together_share_a_call() -> None:
    backend = Gate()
    with Scheduler(backend, capacity=5, workers=1, clock=FakeClock()) as scheduler:
        places = [opened(scheduler, Session(backend)) for _ in range(5)]
        places[0][0].feed(speech(4))
        assert backend.entered.acquire(timeout=PATIENCE)
        for scheduled, _ in places[1:]:
            scheduled.feed(speech(4))
        backend.turn.release(100)
        for scheduled, _ in places:
            scheduled.finish()
            assert scheduled.ended.wait(PATIENCE)
    whole = [batch for batch in backend.batches if len(batch[0].features) == 4]
    assert [len(batch) for batch in whole] == [1, 4]


def test_one_who_brings_much_audio_at_once_waits_its_turn() -> None:
    backend = Gate()
    with Scheduler(backend, capacity=3, workers=1, clock=FakeClock()) as scheduler:
        greedy, heard = opened(scheduler, Session(backend, seed=1), realtime=False)
        assert greedy.feed(speech(202))  # 100 hops
        assert backend.entered.acquire(timeout=PATIENCE)
        modest, got = opened(scheduler, Session(backend, seed=2))
        modest.feed(speech(4))
        backend.turn.release(2)
        for _ in range(2):
            assert backend.entered.acquire(timeout=PATIENCE)
        assert len(got.frames) == 2 and len(heard.frames) == 4
        assert [len(batch) for batch in backend.batches] == [1, 2, 1]
        backend.turn.release(200)


def test_a_full_batch_serves_who_waited_longest() -> None:
    backend, clock = Gate(), FakeClock()
    with Scheduler(backend, capacity=40, workers=1, clock=clock) as scheduler:
        places = [opened(scheduler, Session(backend)) for _ in range(40)]
        places[0][0].feed(speech(8))  # three hops
        assert backend.entered.acquire(timeout=PATIENCE)
        for scheduled, _ in reversed(places[1:]):
            clock.advance(0.0001)
            scheduled.feed(speech(8))
        clock.advance(0.0001)
        done = []
        for _ in range(3):
            backend.turn.release()
            assert backend.entered.acquire(timeout=PATIENCE)
            done.append(tuple(bool(heard.frames) for _, heard in places))
        backend.turn.release(1000)
    # First who was first; then the sixteen that waited longest, then the next sixteen.
    assert done[0] == (True, *[False] * 39)
    assert done[1] == (True, *[False] * 23, *[True] * 16)
    assert done[2] == (True, *[False] * 7, *[True] * 32)


def test_who_is_late_merges_hops_and_the_run_can_be_replayed() -> None:
    backend, clock = Gate(), FakeClock()
    audio = speech(60)
    with Scheduler(backend, capacity=2, workers=1, clock=clock) as scheduler:
        late, heard = opened(scheduler, Session(backend))
        calm, got = opened(scheduler, Session(backend), realtime=False)
        for scheduled in (late, calm):
            scheduled.feed(audio[: FRAME * 4])
        assert backend.entered.acquire(timeout=PATIENCE)
        for scheduled in (late, calm):
            scheduled.feed(audio[FRAME * 4 :])
        clock.advance(1.0)
        backend.turn.release(100)
        for scheduled in (late, calm):
            scheduled.finish()
            assert scheduled.ended.wait(PATIENCE)
    assert len(heard.frames) == len(got.frames) == 60
    assert all(hops & hops - 1 == 0 for _, hops in late.counts.merges)
    assert late.counts.late and late.counts.merged == len(late.counts.merges) > 0
    assert calm.counts.late and not calm.counts.merges
    again = replay(Session(FakeBackend()), audio, late.counts.merges)
    assert np.array_equal(heard.motion(), np.stack([frame.motion for frame in again]))


def test_beyond_the_capacity_the_answer_is_one_sentence() -> None:
    backend = FakeBackend()
    with Scheduler(backend, capacity=2) as scheduler:
        first, _ = opened(scheduler, Session(backend))
        opened(scheduler, Session(backend))
        with pytest.raises(CapacityError, match="all 2 sessions of this server are taken"):
            opened(scheduler, Session(backend))
        first.close()
        assert scheduler.sessions == 1
        opened(scheduler, Session(backend))
        with pytest.raises(ValueError, match="one scheduler runs one model"):
            opened(scheduler, Session(FakeBackend()))
    with pytest.raises(CapacityError, match="shutting down"):
        opened(scheduler, Session(backend))
    with pytest.raises(ValueError, match="at least one"):
        Scheduler(backend, capacity=0)


def test_the_capacity_is_measured_against_real_time() -> None:
    class Costly(FakeBackend):
        def __init__(self, each: float, call: float, clock: FakeClock) -> None:
            super().__init__()
            self.each, self.call, self.clock = each, call, clock

        def sample_many(self, calls: list[SamplerCall]) -> list[np.ndarray]:
            self.clock.advance(self.call + self.each * len(calls))
            return super().sample_many(calls)

    def capacity(each: float, call: float) -> int:
        clock = FakeClock()
        return measure_capacity(Batcher(Costly(each, call, clock), workers=1), clock=clock.now)

    # A hop is 80 ms, 70 % of it may be used: 56 ms.
    assert capacity(each=0.004, call=0.006) == 12
    assert capacity(each=0.01, call=0.0) == 5
    assert capacity(each=0.2, call=0.2) == 1
    assert capacity(each=0.0, call=0.001) in (440, 448)  # 56 calls of eight, as rounding has it
    assert capacity(each=0.0, call=0.0) == MOST_SESSIONS
    assert capacity(each=0.0, call=1.0) == 1


def test_a_batch_is_no_larger_than_the_backend_takes() -> None:
    class Small(FakeBackend):
        max_batch = 4
        sizes: ClassVar[list[int]] = []

        def encode_many(self, pcms, states):
            self.sizes.append(len(pcms))
            return super().encode_many(pcms, states)

        def sample_many(self, calls: list[SamplerCall]) -> list[np.ndarray]:
            self.sizes.append(len(calls))
            return super().sample_many(calls)

    backend = Small()
    sessions = [Session(backend, seed=seed) for seed in range(10)]
    for session in sessions:
        session.append(speech(8))
    answers = run_batch(backend, [(session, 1) for session in sessions])
    assert all(isinstance(answer, list) and answer for answer in answers)
    assert backend.sizes == [4, 4, 2, 4, 4, 2]
    backend.sizes.clear()
    with Scheduler(backend, capacity=10, workers=1) as scheduler:
        for scheduled in [opened(scheduler, Session(backend))[0] for _ in range(10)]:
            scheduled.feed(speech(20))
            scheduled.finish()
    assert backend.sizes and max(backend.sizes) <= 4


def test_a_gpu_meets_every_size_of_a_batch_before_the_first_session() -> None:
    class Gpu(FakeBackend):
        max_batch = 64
        seen: ClassVar[set[tuple[int, int]]] = set()

        def sample_many(self, calls: list[SamplerCall]) -> list[np.ndarray]:
            self.seen.add((len(calls), len(calls[0].features)))
            return super().sample_many(calls)

    with Scheduler(Gpu(), capacity=10, workers=1) as scheduler:
        assert scheduler.sessions == 0
        one, two = (n * Gpu().spec.live.hop + Gpu().spec.live.lookahead for n in (1, 2))
        assert Gpu.seen >= {(size, n) for size in (2, 4, 8, 10) for n in (one, two)}
    Gpu.seen.clear()
    session = Session(Gpu())
    Scheduler(session.backend, capacity=1).close()
    assert not Gpu.seen  # a lane's session is warmed up by whoever has it


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
