"""Sessions in slots show what sessions alone show, from hop to hop and whatever comes between."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable

import numpy as np
import pytest

from diffposetalk.spec import WindowRule
from stream.backends.slots.fake_slots import FakeSlots, SlottedFake
from stream.backends.slots.hop_slots import HopKind
from stream.core.conditions import ConditionChange
from stream.core.options import SessionOptions
from stream.core.session import Session
from stream.frames import Frame
from stream.run.batching import Batcher

COUNT = 5


class Lively(SlottedFake):
    """With all that the starter lays over its motion."""

    def __init__(self) -> None:
        super().__init__()
        live = dataclasses.replace(
            self.spec.live,
            head_inertia=0.4,
            gaze_time_constant_frames=60,
            max_blink_interval_frames=20,
            head_noise_frames=25,
        )
        self.spec = dataclasses.replace(self.spec, live=live)


def sound(frames: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    loud = np.repeat(rng.uniform(0, 0.3, frames), 640)
    return (loud * rng.standard_normal(640 * frames)).astype(np.float32)


def raw(frames: list[Frame]) -> np.ndarray:
    assert [frame.sequence for frame in frames] == list(range(len(frames)))
    assert all(frame.sample == 640 * frame.sequence for frame in frames)
    return np.stack([frame.motion for frame in frames])


def run(
    batcher: Batcher,
    sessions: list[Session],
    frames: int,
    meanwhile: Callable[[int, int], int] = lambda index, at: 1,
) -> list[np.ndarray]:
    """All sound in blocks of two frames; `meanwhile(index, at)` gives the hops of a call."""
    made: list[list[Frame]] = [[] for _ in sessions]
    heard = [sound(frames, seed) for seed in range(len(sessions))]
    for at in range(0, frames, 2):
        for session, whole in zip(sessions, heard, strict=True):
            session.append(whole[640 * at : 640 * (at + 2)])
        while True:
            work = [
                (index, max(1, min(meanwhile(index, at), session.pending_hops)))
                for index, session in enumerate(sessions)
                if session.pending_hops >= meanwhile(index, at)
            ]
            if not work:
                break
            answers = batcher.run([(sessions[index], hops) for index, hops in work])
            for (index, _), answer in zip(work, answers, strict=True):
                assert not isinstance(answer, Exception), answer
                made[index] += answer
    for session, own in zip(sessions, made, strict=True):
        own += session.finish()
    return [raw(own) for own in made]


def some(backend: SlottedFake, **options: object) -> list[Session]:
    made = SessionOptions(**options)  # type: ignore[arg-type]
    return [Session(backend, options=made, seed=seed) for seed in range(COUNT)]


class Without(Lively):
    """The same without slots."""

    def hop_slots(self, kind: HopKind, count: int) -> None:  # type: ignore[override]
        return None


@pytest.mark.parametrize("hop", [1, 2, 7])
@pytest.mark.parametrize("rule", ["adjacent", "sliding"])
def test_frames_are_those_of_sessions_alone(hop: int, rule: WindowRule) -> None:
    both = []
    for backend in (Lively(), Without()):
        sessions = some(backend, hop=hop, window_rule=rule)
        both.append(run(Batcher(backend, workers=1), sessions, 150))
    for ours, theirs in zip(*both, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert len({ours.tobytes() for ours in both[0]}) == COUNT


def test_merged_hops_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A late session merges: its state comes home, and goes back with its next plain hop."""

    def meanwhile(index: int, at: int) -> int:
        return 2 if index == 1 and at % 20 == 10 else 1

    both = []
    for backend in (Lively(), Without()):
        both.append(run(Batcher(backend, workers=1), some(backend, hop=1), 120, meanwhile))
    for ours, theirs in zip(*both, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_more_sessions_than_slots_speak_all_the_same() -> None:
    both = []
    for backend, places in ((Lively(), 2), (Without(), 2)):
        both.append(run(Batcher(backend, workers=1, places=places), some(backend), 60))
    for ours, theirs in zip(*both, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def feed(batcher: Batcher, sessions: list[Session], frames: int = 4) -> list:
    for session in sessions:
        session.append(sound(frames, 0))
    return batcher.run([(session, 1) for session in sessions])


def test_a_copied_state_goes_on_from_there() -> None:
    backend = Lively()
    batcher, sessions = Batcher(backend, workers=1), some(backend)
    feed(batcher, sessions)
    assert sessions[0].state.resident is not None
    copied = sessions[0].copy_state()
    assert copied.resident is None and sessions[0].state.resident is None
    other = Session(backend)
    other.go_on_from(copied)
    ours, theirs = (feed(batcher, [session])[0] for session in (sessions[0], other))
    assert [f.sequence for f in ours] == [f.sequence for f in theirs]
    assert all((a.motion == b.motion).all() for a, b in zip(ours, theirs, strict=True))


def test_slots_are_free_again_when_their_sessions_are_gone() -> None:
    backend = Lively()
    batcher = Batcher(backend, workers=1, places=2)
    for _ in range(3):
        sessions = some(backend)[:2]
        feed(batcher, sessions)
        assert all(session.state.resident is not None for session in sessions)
        sessions[0].reset()  # as new
        sessions[1].state.come_home()
        del sessions
        gc.collect()


def test_styles_and_scales_go_to_the_slot_and_ease_there() -> None:
    backend = Lively()
    backend.spec = dataclasses.replace(backend.spec, use_style=True)
    size = backend.spec.style.d_style
    backend.styles = {name: np.full(size, v, np.float32) for name, v in (("a", 0), ("b", 1))}
    batcher, (session, other) = Batcher(backend, workers=1), some(backend)[:2]
    given: list[float] = []
    for k in range(12):
        if k == 3:
            session.change(ConditionChange(style="b", audio_guidance=2.0))
        feed(batcher, [session, other], 2 if k else 4)
        slots = session.state.resident._slots  # type: ignore[union-attr]
        assert isinstance(slots, FakeSlots)
        given.append(float(slots.conditions[session.state.slot]["style"][0]))
        assert slots.conditions[other.state.slot]["style"][0] == 0.0
    assert given[:3] == [0, 0, 0] and given[-1] == 1 and given == sorted(given)
    assert len(set(given)) == 6, "over eight frames, two at a hop"
    assert slots.conditions[session.state.slot]["audio_guidance"] == 2.0


def test_a_slot_keeps_nothing_of_whose_it_was() -> None:
    """Both have changed their conditions once: their count does not say whose the slot's are."""
    backend = Lively()
    batcher = Batcher(backend, workers=1, places=1)
    for scale in (2.0, 3.0):
        session = Session(backend)
        session.change(ConditionChange(audio_guidance=scale))
        feed(batcher, [session])
        slots = session.state.resident._slots  # type: ignore[union-attr]
        assert isinstance(slots, FakeSlots)
        assert slots.conditions[session.state.slot]["audio_guidance"] == scale
        del session
        gc.collect()


def test_what_is_no_motion_is_rest_and_the_stream_goes_on(monkeypatch) -> None:
    backend = Lively()
    batcher, (broken, whole) = Batcher(backend, workers=1), some(backend)[:2]
    feed(batcher, [broken, whole])
    run_slots, bad = FakeSlots.run, broken.state.slot

    def breaks(self, slots, pcm, noise, guided):
        fresh = run_slots(self, slots, pcm, noise, guided)
        fresh[slots == bad] = np.nan
        return fresh

    with monkeypatch.context() as patch:
        patch.setattr(FakeSlots, "run", breaks)
        answers = feed(batcher, [broken, whole], 2)
    assert broken.broken_outputs == 1 and whole.broken_outputs == 0
    assert broken.state.resident is None and whole.state.resident is not None
    first = answers[0][0].sequence
    numbers = [frame.sequence for frame in answers[0]]
    for _ in range(20):
        numbers += [frame.sequence for frame in feed(batcher, [broken, whole], 2)[0]]
    assert numbers == list(range(first, first + len(numbers)))
    assert broken.state.resident is not None, "calm again, it is back in a slot"


def test_a_call_that_fails_leaves_all_as_they_were(monkeypatch) -> None:
    backend = Lively()
    batcher, sessions = Batcher(backend, workers=1), some(backend)
    feed(batcher, sessions)
    run_slots, bad = FakeSlots.run, sessions[2].state.slot

    def fails(self, slots, pcm, noise, guided):
        if bad in slots:
            raise RuntimeError("no")
        return run_slots(self, slots, pcm, noise, guided)

    with monkeypatch.context() as patch:
        patch.setattr(FakeSlots, "run", fails)
        answers = feed(batcher, sessions, 2)
    assert [isinstance(answer, Exception) for answer in answers] == [0, 0, 1, 0, 0]
    (again,) = batcher.run([(sessions[2], 1)])
    assert [f.sequence for f in again] == [f.sequence for f in answers[0]]
