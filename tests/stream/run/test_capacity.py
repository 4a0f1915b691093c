"""How many sessions a scheduler takes, and how large its batches are."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from scheduled import opened
from tiny_model import speech

from stream.backends.fake import FakeBackend
from stream.backends.protocol import SamplerCall
from stream.clock import FakeClock
from stream.core.session import Session
from stream.run.batching import Batcher, run_batch
from stream.run.capacity import MOST_SESSIONS, measure_capacity
from stream.run.scheduler import CapacityError, Scheduler


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
        hop, lookahead = Gpu().spec.live.hop, Gpu().spec.live.lookahead
        lengths = {n * hop + lookahead for n in (1, 2, 4, 8, 16, 32)}
        assert Gpu.seen >= {(size, n) for size in (2, 4, 8, 10) for n in lengths}
        assert not scheduler.merges_freely
    Gpu.seen.clear()
    session = Session(Gpu())
    Scheduler(session.backend, capacity=1).close()
    assert not Gpu.seen  # a lane's session is warmed up by whoever has it
