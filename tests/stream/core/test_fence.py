"""What is no motion never becomes a stream's past, and nobody sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from stream.backends.fake import FakeBackend
from stream.backends.protocol import FloatArray, SamplerCall
from stream.core.fence import EASE_FRAMES, MOST_MOTION, Fence, is_motion
from stream.core.session import Session
from stream.run.batching import run_batch


class Faulty(FakeBackend):
    """Gives `bad` for motion in the calls of `faults`, and whenever its context is no motion."""

    def __init__(self, bad: float, faults: Sequence[int]) -> None:
        super().__init__()
        self._bad, self._faults, self._calls = bad, set(faults), 0

    def sample_many(self, calls: Sequence[SamplerCall]) -> list[FloatArray]:
        made = super().sample_many(calls)
        for at, call in enumerate(calls):
            assert np.isfinite(call.context_motion).all() and np.isfinite(call.known).all()
            assert np.isfinite(call.features).all()
            if self._calls in self._faults:
                made[at] = np.full_like(made[at], self._bad)
            self._calls += 1
        return made


def _sound(seconds: float) -> FloatArray:
    return np.random.default_rng(0).normal(0, 0.2, int(seconds * 16_000)).astype(np.float32)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, 2 * MOST_MOTION])
@pytest.mark.parametrize("faults", [[0], [5], [5, 6, 7], [3, 9]])
def test_a_bad_output_is_rest_and_the_next_is_motion_again(bad: float, faults: list[int]) -> None:
    session = Session(Faulty(bad, faults))
    frames = session.feed(_sound(4)) + session.finish()
    assert [frame.sequence for frame in frames] == list(range(100))
    assert [frame.sample for frame in frames] == [640 * n for n in range(100)]
    motion = np.stack([frame.motion for frame in frames])
    assert np.isfinite(motion).all() and np.abs(motion).max() < 50
    assert session.broken_outputs == len(faults)
    assert np.isfinite(session.state.motion).all()
    # What comes after is what the model makes: that of a session that was never hurt.
    whole = Session(FakeBackend())
    sound = np.stack([f.motion for f in whole.feed(_sound(4)) + whole.finish()])
    after = (max(faults) + 2) * session.hop + EASE_FRAMES + 10
    assert np.allclose(motion[after:], sound[after:], atol=1e-3)


def test_without_a_fault_nothing_is_touched() -> None:
    fence, rows = Fence(), np.random.default_rng(0).normal(size=(7, 54)).astype(np.float32)
    assert fence.show(rows) is rows and fence.broken == 0


def test_the_face_eases_to_rest_and_back() -> None:
    fence = Fence()
    fence.show(np.ones((1, 2), np.float32))
    down = np.concatenate([fence.rest(4, 2), fence.rest(8, 2)])[:, 0]
    up = fence.show(np.ones((EASE_FRAMES + 2, 2), np.float32))[:, 0]
    assert (np.diff(down[: EASE_FRAMES + 1]) < 0).all() and down[-1] == 0
    assert (np.diff(up[: EASE_FRAMES + 1]) > 0).all() and up[-1] == 1
    assert np.abs(np.diff(np.concatenate([[1.0], down, up]))).max() < 0.2


def test_those_that_share_a_batch_keep_theirs() -> None:
    backend = Faulty(np.nan, [0])  # the first of the batch alone
    sessions = [Session(backend, seed=seed) for seed in range(3)]
    alone = [Session(FakeBackend(), seed=seed) for seed in range(3)]
    for session in [*sessions, *alone]:
        session.append(_sound(1))
    together = run_batch(backend, [(session, 1) for session in sessions])
    for number in (1, 2):
        expected, got = alone[number].step(), together[number]
        assert not isinstance(got, Exception)
        assert all(np.array_equal(a.motion, b.motion) for a, b in zip(got, expected, strict=True))
    assert [session.broken_outputs for session in sessions] == [1, 0, 0]


def test_a_fault_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    session = Session(Faulty(np.nan, [1, 3, 5]))
    session.feed(_sound(2))
    assert session.broken_outputs == 3
    assert len([r for r in caplog.records if "no motion" in r.getMessage()]) == 1


def test_a_copied_state_goes_its_own_way() -> None:
    session = Session(Faulty(np.nan, [2]))
    session.feed(_sound(1))
    held = session.copy_state()
    session.reset()
    assert session.broken_outputs == 0 and held.fence.broken == 1
    assert replace(held).fence is held.fence


def test_what_is_motion() -> None:
    rows = np.zeros((3, 4), np.float32)
    assert is_motion(rows) and is_motion(rows[:0])
    for bad in (np.nan, np.inf, -np.inf, 1e6):
        rows[2, 1] = bad
        assert not is_motion(rows)
