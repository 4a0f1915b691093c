"""Whatever a client asks of a session: only motion enters its past, and neighbours keep theirs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from any_client import requests
from any_client.witness import Witness
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.backends.protocol import Backend, FloatArray
from stream.core.fence import is_motion
from stream.core.options import SessionOptions
from stream.core.session import Session
from stream.frames import Frame
from stream.run.batching import run_batch

HOPS = 4
CLOSE = 2e-3  # a batch of another size rounds differently, and the loop is closed


@cache
def witness() -> Witness:
    return Witness()


@cache
def _speech() -> FloatArray:
    sound = np.random.default_rng(3).normal(0, 0.1, 16_000 * 2)
    return sound.astype(np.float32)


def _run(backend: Backend, sessions: Sequence[Session], change: Any) -> list[list[Frame]]:
    """The frames of all, batched together, after `change` in the middle."""
    made: list[list[Frame]] = [[] for _ in sessions]
    for turn in range(HOPS):
        if turn == HOPS // 2:
            change()
        for found, got in zip(made, run_batch(backend, [(s, 1) for s in sessions]), strict=True):
            assert not isinstance(got, Exception), got
            found += got
    return made


def _hold(style: str, later: str, shape: list[float], seed: int, scales: Any, sound: Any) -> None:
    """The property."""
    backend: Any = witness()
    backend.bad.clear()
    hostile = Session(backend, seed=seed % 2**32)
    with contextlib.suppress(ValueError, OverflowError):
        options = SessionOptions(audio_guidance=scales[0], style_guidance=scales[1])
        with np.errstate(over="ignore"):
            row = np.array(shape, np.float64).astype(np.float32) if shape else None
        hostile = Session(backend, options=options, shape=row, style=style, seed=seed % 2**32)

    def change() -> None:
        with contextlib.suppress(ValueError):
            hostile.set_style(later)
        with contextlib.suppress(ValueError):
            hostile.set_guidance(scales[1], scales[0])

    neighbour, alone = Session(backend, seed=7), Session(backend, seed=7)
    heard = np.nan_to_num(np.clip(np.array(sound, np.float64), -1, 1)).astype(np.float32)
    hostile.append(np.concatenate([heard, _speech()]))
    neighbour.append(_speech())
    alone.append(_speech())
    theirs, beside = _run(backend, [hostile, neighbour], change)
    (expected,) = _run(backend, [alone], lambda: None)
    for frames in (theirs, beside):
        assert [frame.sequence for frame in frames] == list(range(len(frames)))
        assert [frame.sample for frame in frames] == [640 * n for n in range(len(frames))]
        assert all(np.isfinite(frame.motion).all() for frame in frames)
    for session in (hostile, neighbour):
        assert is_motion(session.state.motion)
    assert not backend.bad
    for got, wanted in zip(beside, expected, strict=True):
        assert np.abs(got.motion - wanted.motion).max() < CLOSE


_drawn = given(
    style=requests.styles,
    later=requests.styles,
    shape=requests.shapes,
    seed=st.integers(-(2**70), 2**70),
    scales=st.tuples(requests.numbers, requests.numbers),
    sound=requests.sounds,
)
_checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]


@settings(max_examples=8, derandomize=True, suppress_health_check=_checks)
@_drawn
def test_whatever_is_asked_only_motion_is_made(**drawn: Any) -> None:
    _hold(**drawn)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@settings(max_examples=1_500, suppress_health_check=_checks)
@_drawn
def test_whatever_is_asked_only_motion_is_made_at_length(**drawn: Any) -> None:
    _hold(**drawn)
