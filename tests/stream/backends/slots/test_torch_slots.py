"""Slots of the torch backend give what its sessions give, with a stand-in for the GPU."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from bundles_for_export import SPECS, save_random

from diffposetalk.bundle.bundle import Bundle
from diffposetalk.spec import WindowRule
from export.parity import TOLERANCE, babble
from stream.backends.cuda_graphs import CapturedCalls, EagerCapture
from stream.backends.torch_backend import TorchBackend
from stream.core.options import SessionOptions
from stream.core.session import Session
from stream.run.batching import Batcher

COUNT, HOPS = 3, 60


class Counting(EagerCapture):
    """Counts captures."""

    captures = 0

    def capture(self, work):
        self.captures += 1
        return super().capture(work)


def captured(bundle: Bundle) -> tuple[TorchBackend, Counting]:
    backend, counting = TorchBackend(bundle), Counting()
    backend.calls = CapturedCalls(counting)
    return backend, counting


def speak(batcher: Batcher, sessions: list[Session]) -> list[np.ndarray]:
    """Normalised motion of each, all hops together; a third is late once, and merges."""
    made: list[list] = [[] for _ in sessions]
    hop, lookahead = sessions[0].hop, sessions[0].lookahead
    heard = [babble(640 * (hop * HOPS + lookahead), seed=k) for k in range(len(sessions))]
    at = 0
    while at < len(heard[0]):
        step = 640 * (hop if at else hop + lookahead)
        late = at // (640 * hop) % 20 == 17
        for k, session in enumerate(sessions):
            session.append(heard[k][at : at + step])
        at += step
        ready = [
            (k, session.pending_hops)
            for k, session in enumerate(sessions)
            if session.pending_hops and not (late and k == 2)
        ]
        answers = batcher.run([(sessions[k], min(hops, 2)) for k, hops in ready])
        for (k, _), answer in zip(ready, answers, strict=True):
            assert not isinstance(answer, Exception), answer
            made[k] += answer
    std = sessions[0].backend.statistics.motion_std
    return [np.stack([frame.motion for frame in own]) / std for own in made]


@pytest.mark.parametrize("rule", get_args(WindowRule))
@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("scales", [(1.0, 1.0), (1.3, 2.0)])
def test_a_closed_loop_is_the_sessions(kind, rule, scales, tmp_path: Path) -> None:
    spec = SPECS[kind]
    live = dataclasses.replace(spec.live, window_rule=rule, steps=2)
    bundle = save_random(tmp_path / "bundle", dataclasses.replace(spec, live=live))
    options = SessionOptions(audio_guidance=scales[0], style_guidance=scales[1])
    runs = []
    for backend in (captured(bundle)[0], TorchBackend(bundle)):
        sessions = [Session(backend, options=options, seed=seed) for seed in range(COUNT)]
        runs.append(speak(Batcher(backend, workers=1), sessions))
        resident = [session.state.resident is not None for session in sessions]
        assert all(resident) == (backend.calls.fixed_shapes is True)
    noisy = spec.diffusion.target == "noise"  # its errors are divided by alpha
    for ours, theirs in zip(*runs, strict=True):
        assert len(ours) == len(theirs)
        assert np.abs(ours - theirs).max() < TOLERANCE["fp32"] * (10 if noisy else 1)


@pytest.mark.parametrize("kind", ["plain", "hubert"])
def test_nothing_is_captured_once_all_is_prepared(kind, tmp_path: Path) -> None:
    backend, counting = captured(save_random(tmp_path / "bundle", SPECS[kind]))
    batcher = Batcher(backend, workers=1, places=4)
    first = Session(backend)
    batcher.prepare(first)
    assert counting.captures == 3  # 1, 2 and 4 sessions
    sessions = [Session(backend, seed=seed) for seed in range(4)]
    hop = babble(640 * (first.hop + first.lookahead), seed=1)
    for session in sessions:  # until all windows are full
        while session.end < session.kind.first_end(backend.spec):
            session.feed(hop)
        while session.state.audio.end < 640 * (session.end + first.hop):
            session.append(hop[:640])
    before = counting.captures
    for count in (1, 2, 3, 4, 3):
        for session in sessions[:count]:
            session.append(hop[: 640 * first.hop])
        answers = batcher.run([(session, 1) for session in sessions[:count]])
        assert not any(isinstance(answer, Exception) for answer in answers)
    assert counting.captures - before <= 1, "what is heard before a stream's first hop"


def test_sliding_windows_from_a_streams_start_on_are_one_kind_of_call(tmp_path: Path) -> None:
    """Eleven captures for the first eleven hops made the first hops late."""
    live = dataclasses.replace(SPECS["hubert"].live, window_rule="sliding")
    bundle = save_random(tmp_path / "b", dataclasses.replace(SPECS["hubert"], live=live))
    backend, counting = captured(bundle)
    session, plain = Session(backend), Session(TorchBackend(bundle))
    sound = babble(640 * (bundle.spec.T_w + bundle.spec.T_p + 30))
    ours, theirs = session.feed(sound), plain.feed(sound)
    assert counting.captures == 2  # sound and motion
    gap = max(np.abs(a.motion - b.motion).max() for a, b in zip(ours, theirs, strict=True))
    assert gap < 1e-4
