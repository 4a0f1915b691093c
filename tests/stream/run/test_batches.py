"""Sessions that share batches are as if alone, whoever is ready when."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import PATIENCE
from scheduled import FRAME, Gate, alone, opened
from tiny_model import speech

from stream.backends.fake import FakeBackend
from stream.clock import FakeClock
from stream.core.options import SessionOptions
from stream.core.session import Session
from stream.frames import Frame
from stream.run.batching import Batcher
from stream.run.live_loop import replay
from stream.run.scheduler import Scheduler

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
@settings(max_examples=25)
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
@settings(max_examples=10)
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
