"""Sessions in their full windows, and rounds of hops of them as the scheduler makes them."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.gpu.card import Card
from benchmarks.harness.probes import TimedBackend
from stream.backends.protocol import Backend
from stream.core.options import SessionOptions
from stream.core.session import Session
from stream.frames import Frame
from stream.run.batching import Batcher
from stream.run.scheduler import Scheduler
from stream.wire import codec

UNTIMED_ROUNDS = 4


@dataclass(frozen=True)
class Lane:
    """One session and what makes its hops."""

    session: Session
    batcher: Batcher


def murmur(samples: int, seed: int) -> Any:
    """(samples,) noise as loud as speech."""
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def spread(took: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile and maximum of milliseconds."""
    p50, p99 = np.percentile(took, (50, 99))
    return {"p50_ms": float(p50), "p99_ms": float(p99), "max_ms": max(took), "hops": len(took)}


def settled(
    card: Card,
    name: str,
    precision: str,
    options: SessionOptions | None = None,
    *,
    plain: bool = False,
) -> Lane:
    """A session alone, in its full window, with all captured that it needs."""
    backend = card.backend(name, precision, plain=plain)
    lane = Lane(Session(backend, options=options), Batcher(backend, workers=1, places=1))
    lane.batcher.prepare(lane.session)
    settle(lane)
    return lane


def settle(lane: Lane) -> None:
    """Until its window is full."""
    spec = lane.session.backend.spec
    for k in range((spec.T_w + spec.T_p) // lane.session.hop + 4):
        once(lane, k)


def once(lane: Lane, seed: int, hops: int = 1) -> list[Frame]:
    """So many hops of new sound, in one call.

    Raises:
        Exception: whatever the call fails with.
    """
    session = lane.session
    session.append(murmur(hops * session.hop * session.backend.spec.frame_samples, seed))
    if session.pending_hops < hops:
        return []
    (found,) = lane.batcher.run([(session, hops)])
    if isinstance(found, Exception):
        raise found
    return found


def largest_gap(ours: Lane, theirs: Lane, hops: int = 4) -> float:
    """Largest difference of hops that both make from our state, in deviations."""
    gaps = []
    for k in range(hops):
        theirs.session.go_on_from(ours.session.copy_state())
        one, other = (np.stack([f.motion for f in once(each, k)]) for each in (ours, theirs))
        gaps.append(np.abs((one - other) / ours.session.backend.statistics.motion_std).max())
    return float(max(gaps))


def timed(lane: Lane, count: int) -> dict[str, float]:
    """So many hops, one after the other."""
    took = []
    for k in range(count):
        began = time.perf_counter()
        once(lane, k)
        took.append(1e3 * (time.perf_counter() - began))
    return spread(took)


def round_times(
    backend: Backend, count: int, options: SessionOptions | None, rounds: int
) -> dict[str, float]:
    """Median milliseconds of a round of so many sessions that are ready together, and microseconds
    of this thread's own time for each of them, in all and beside the model.
    """
    model = TimedBackend(backend, time.thread_time)
    batcher = Batcher(model, workers=1, places=count)
    lane = Lane(Session(model, options=options), batcher)
    batcher.prepare(lane.session)
    settle(lane)
    every = [Session(model, options=options, seed=seed) for seed in range(count)]
    for session in every:
        session.go_on_from(lane.session.copy_state())
    # As the live loop does: what lives now is out of the collector's sight.
    gc.collect()
    gc.freeze()
    took, spent, beside = [], [], []
    for k in range(rounds + 2):
        sound = murmur(lane.session.hop * backend.spec.frame_samples, k)
        began, own = time.perf_counter(), time.thread_time()
        for session in every:
            session.append(sound)
        for found in batcher.run([(session, 1) for session in every]):
            if isinstance(found, Exception):
                raise found
        took.append(1e3 * (time.perf_counter() - began))
        spent.append(1e6 * (time.thread_time() - own) / count)
        beside.append(spent[-1] - 1e6 * sum(model.take()[:2]) / count)
    gc.unfreeze()
    # Means of the latter two, as noise is drawn for many hops at once.
    return {
        "ms": float(np.median(took[2:])),
        "thread_us": float(np.mean(spent[2:])),
        "beside_us": float(np.mean(beside[2:])),
    }


def scheduled_times(
    backend: Backend, count: int, options: SessionOptions | None, rounds: int
) -> dict[str, float]:
    """Microseconds of this process's time for a hop of each of so many sessions of a scheduler,
    from sound that is fed to frames as bytes, in all and beside the model.
    """
    model = TimedBackend(backend, time.thread_time)
    like, delivered = Session(model, options=options), threading.Semaphore(0)

    def deliver(frames: list[Frame]) -> None:
        for frame in frames:
            codec.serialise(
                codec.Message(codec.Kind.FLAME, frame.sequence, frame.sample, frame.motion)
            )
        delivered.release()

    with Scheduler(model, capacity=count, workers=1, like=like) as scheduler:
        every = [
            scheduler.open(Session(model, options=options, seed=seed), deliver, realtime=False)
            for seed in range(count)
        ]
        frame = backend.spec.frame_samples
        spent, beside = [], []
        for k in range(rounds + UNTIMED_ROUNDS):
            if k == UNTIMED_ROUNDS:
                gc.collect()
                gc.freeze()
                model.take()
            # The first time with what is heard ahead: each has one hop to make.
            sound = murmur(frame * (like.hop if k else like.lookahead + like.hop), k)
            began = time.process_time()
            for scheduled in every:
                scheduled.feed(sound)
            for _ in every:
                delivered.acquire()
            spent.append(1e6 * (time.process_time() - began) / count)
            beside.append(spent[-1] - 1e6 * sum(model.take()[:2]) / count)
        gc.unfreeze()
        for scheduled in every:
            scheduled.close()  # nobody waits for the frames that are held back
    return {
        "us": float(np.mean(spent[UNTIMED_ROUNDS:])),
        "beside_us": float(np.mean(beside[UNTIMED_ROUNDS:])),
    }
