"""How many sessions a machine carries: measured in a short trial, which warms it up as well."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from stream.backends.protocol import BATCH_ON_CPU
from stream.core.options import SessionOptions
from stream.core.session import Session
from stream.run.batching import Batcher

MOST_SESSIONS = 8192
"""No machine is said to carry more; see `measure_capacity`."""
REAL_TIME_SHARE = 0.7
"""Of a hop that the model may take; the rest is for sound, sockets and a machine that hiccups."""
_TRIAL_SIZES = (2, 8)
"""On a CPU; where larger batches are taken, a full one is tried instead of eight sessions."""
_TRIAL_HOPS, _UNTIMED_HOPS = 9, 5


def merged_hops(session: Session) -> list[int]:
    """Hops that a call of sessions like this one may merge, where calls are captured."""
    return [1 << k for k in range(1, session.most_hops.bit_length())]


def warm_up_batches(batcher: Batcher, most: int, like: Session | None = None) -> None:
    """Make a hop of each size of a batch up to `most` sessions, and merged ones.

    A GPU's calls are captured when they are first made, which takes longer than a hop: here, and
    not when the sessions speak.  On a CPU there is nothing to gain.

    Args:
        like: a session as those to come will be; None: with the bundle's live defaults.
    """
    backend = batcher.backend
    if backend.max_batch <= BATCH_ON_CPU:
        return
    options = None if like is None else like.options
    first, most = Session(backend, options=options), min(most, backend.max_batch)
    spec = backend.spec
    hop = np.zeros(first.hop * spec.frame_samples, np.float32)
    first.append(np.zeros(first.lookahead * spec.frame_samples, np.float32))
    for _ in range((spec.T_w + spec.T_p) // first.hop + 2):
        first.append(hop)  # until its window is full
        _run(batcher, [first], 1)
    size = 1
    while True:
        sessions = [Session(backend, options=options, seed=seed) for seed in range(min(size, most))]
        for session in sessions:
            session.go_on_from(first.copy_state())
        for hops in (1, *merged_hops(first)):
            for session in sessions:
                session.append(np.tile(hop, hops))
            _run(batcher, sessions, hops)
        if size >= most:
            return
        size *= 2


def _run(batcher: Batcher, sessions: Sequence[Session], hops: int) -> None:
    """One call of each.

    Raises:
        Exception: whatever a call fails with.
    """
    for answer in batcher.run([(session, hops) for session in sessions]):
        if isinstance(answer, Exception):
            raise answer


def measure_capacity(
    batcher: Batcher,
    options: SessionOptions | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """How many sessions can speak at once in real time, by a short trial (under two seconds).

    A hop of n sessions costs about a + b n, measured at two batch sizes; the answer is the largest
    n that takes at most REAL_TIME_SHARE of a hop's duration, at least 1.  It warms the backend up
    as well.
    """
    low, high = _TRIAL_SIZES
    if batcher.workers == 1 and batcher.backend.max_batch > BATCH_ON_CPU:
        high = batcher.backend.max_batch  # a GPU: what a session costs shows in full batches only
    costs = [trial(batcher, size, options, clock) for size in (low, high)]
    session = Session(batcher.backend, options=options)
    budget = REAL_TIME_SHARE * session.hop / batcher.backend.spec.fps
    each = (costs[1] - costs[0]) / (high - low)
    if each <= 0.0:
        # Time that does not grow with the batch is that of a call: so many full ones fit.
        calls = int(budget / costs[1]) if costs[1] > 0.0 else MOST_SESSIONS
        return int(np.clip(calls * high, 1, MOST_SESSIONS))
    return int(np.clip((budget - costs[0]) / each + low, 1, MOST_SESSIONS))


def trial(
    batcher: Batcher,
    size: int,
    options: SessionOptions | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Median seconds of one hop of `size` sessions that are ready together, hearing a murmur."""
    backend = batcher.backend
    sessions = [Session(backend, options=options, seed=seed) for seed in range(size)]
    spec, hop = backend.spec, sessions[0].hop
    murmur = np.random.default_rng(0).normal(0.0, 0.05, hop * spec.frame_samples)
    seconds = []
    for session in sessions:
        session.append(np.zeros(session.lookahead * spec.frame_samples, np.float32))
    for _ in range(_UNTIMED_HOPS + _TRIAL_HOPS):
        for session in sessions:
            session.append(murmur.astype(np.float32))
        began = clock()
        _run(batcher, sessions, 1)
        seconds.append(clock() - began)
    return float(np.median(seconds[_UNTIMED_HOPS:]))
