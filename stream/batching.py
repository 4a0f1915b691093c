"""One model call for several sessions: speech encoded together, windows sampled together.

No threads, no clock: sessions in, frames out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

from stream.backends.protocol import Backend, FloatArray, SamplerCall, SpeechState, batch_key
from stream.frames import Frame
from stream.session import Session, SessionOptions, SpeechCall

MOST_SESSIONS = 256
"""No machine is said to carry more."""
REAL_TIME_SHARE = 0.7
"""Of a hop that the model may take; the rest is for sound, sockets and a machine that hiccups."""
_TRIAL_SIZES = (1, 8)
_TRIAL_HOPS, _UNTIMED_HOPS = 9, 5

Item = TypeVar("Item")
Call = TypeVar("Call")
Answer = TypeVar("Answer")
Heard = tuple[FloatArray, SpeechState]


def run_batch(
    backend: Backend, work: Sequence[tuple[Session, int]]
) -> list[list[Frame] | Exception]:
    """One model call of each session, over so many hops; the answers come in the same order.

    A session whose call fails gets its exception as the answer, and can be called again; those
    that shared a batch with it are done one by one.  A session that is alone in its batch gets the
    bits that its own `step` would give; see `Backend` for what a larger batch may change.
    """
    answers: dict[int, list[Frame] | Exception] = {}

    def attempt(index: int, do: Callable[[], Item]) -> Item | None:
        try:
            return do()
        except Exception as error:
            answers[index] = error
            return None

    speech: list[tuple[int, SpeechCall]] = []
    for index, (session, hops) in enumerate(work):
        spoken = attempt(index, partial(session.begin, hops))
        if spoken is not None:
            speech.append((index, spoken))
    for group in grouped(speech, key=lambda item: len(item[1].pcm)):
        heard = together(partial(_encode, backend), [call for _, call in group])
        for (index, _), features in zip(group, heard, strict=True):
            if isinstance(features, Exception):
                answers[index] = features
            else:
                attempt(index, partial(work[index][0].hear, *features))
    calls: list[tuple[int, SamplerCall]] = []
    for index, (session, _) in enumerate(work):
        call = None if index in answers else attempt(index, session.prepare)
        if call is not None:
            calls.append((index, call))
    for same in grouped(calls, key=lambda item: batch_key(item[1])):
        sampled = together(backend.sample_many, [call for _, call in same])
        for (index, _), x0 in zip(same, sampled, strict=True):
            if isinstance(x0, Exception):
                answers[index] = x0
            else:
                frames = attempt(index, partial(work[index][0].commit, x0))
                if frames is not None:
                    answers[index] = frames
    return [answers[index] for index in range(len(work))]


def grouped(items: Iterable[Item], key: Callable[[Item], Hashable]) -> list[list[Item]]:
    """Items of equal key together, groups and items in the order in which they came."""
    groups: dict[Hashable, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def together(
    do: Callable[[list[Call]], list[Answer]], calls: list[Call]
) -> list[Answer | Exception]:
    """`do(calls)`; where it fails, each call alone, so that one cannot spoil the others."""
    try:
        return [*do(calls)]
    except Exception as error:
        if len(calls) == 1:
            return [error]
    return [answer for call in calls for answer in together(do, [call])]


def _encode(backend: Backend, calls: list[SpeechCall]) -> list[Heard]:
    pcms = [call.pcm for call in calls]
    if backend.incremental:
        return backend.encode_many(pcms, [call.state for call in calls])
    return [(features, None) for features in backend.encode_window_many(pcms)]


def measure_capacity(
    backend: Backend,
    options: SessionOptions | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """How many sessions can speak at once in real time, by a short trial (under two seconds).

    A hop of n sessions costs about a + b n, measured at two batch sizes; the answer is the largest
    n that takes at most REAL_TIME_SHARE of a hop's duration, at least 1.  It warms the backend up
    as well.
    """
    costs = [trial(backend, size, options, clock) for size in _TRIAL_SIZES]
    session = Session(backend, options=options)
    budget = REAL_TIME_SHARE * session.hop / backend.spec.fps
    low, high = _TRIAL_SIZES
    each = (costs[1] - costs[0]) / (high - low)
    if each <= 0.0:
        return MOST_SESSIONS if costs[1] < budget else 1
    return int(np.clip((budget - costs[0]) / each + low, 1, MOST_SESSIONS))


def trial(
    backend: Backend,
    size: int,
    options: SessionOptions | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Median seconds of one hop of `size` sessions in one batch, hearing a murmur."""
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
        for answer in run_batch(backend, [(session, 1) for session in sessions]):
            if isinstance(answer, Exception):
                raise answer
        seconds.append(clock() - began)
    return float(np.median(seconds[_UNTIMED_HOPS:]))
