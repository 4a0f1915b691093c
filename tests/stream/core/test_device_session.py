"""Whole hops in one graph, with a state that stays with it, give what a session gives."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from bundles_for_export import PLAIN, SPECS, save_random

from diffposetalk.bundle.bundle import Bundle, load_bundle
from diffposetalk.spec import WindowRule
from export.onnx_export import export_onnx
from export.parity import TOLERANCE, babble
from stream.backends.onnx.backend import OnnxBackend
from stream.backends.protocol import FloatArray
from stream.core.device_session import DeviceSession, make_session
from stream.core.options import SessionOptions
from stream.core.session import Session
from stream.frames import Frame

HOPS = 110
RULES = get_args(WindowRule)


def bundle_of(spec, folder: Path, rule: str = "adjacent", steps: int = 2) -> Bundle:
    live = dataclasses.replace(spec.live, window_rule=rule, steps=steps)
    bundle = save_random(folder, dataclasses.replace(spec, live=live), half=True)
    export_onnx(bundle, (steps,), whole_hops=True)
    return load_bundle(folder)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> OnnxBackend:
    return OnnxBackend(bundle_of(PLAIN, tmp_path_factory.mktemp("bundles") / "tiny"))


def normalised(backend: OnnxBackend, frames: list[Frame]) -> FloatArray:
    return np.stack([frame.motion for frame in frames]) / backend.statistics.motion_std


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", SPECS)
def test_a_closed_loop_is_the_sessions(kind: str, rule: str, tmp_path: Path) -> None:
    """State fed back hop after hop; in the start, in the full window, and at the end."""
    backend = OnnxBackend(bundle_of(SPECS[kind], tmp_path / "bundle", rule))
    ours, theirs = make_session(backend, seed=3), Session(backend, seed=3)
    assert isinstance(ours, DeviceSession)
    sound = babble(640 * (ours.hop * HOPS + ours.lookahead) + 700, seed=1)
    one, other = (session.feed(sound) for session in (ours, theirs))
    assert len(one) == ours.hop * HOPS and ours._on_device
    one, other = one + ours.finish(), other + theirs.finish()
    assert [f.sequence for f in one] == [f.sequence for f in other]
    assert len(one) == len(sound) // 640
    gap = np.abs(normalised(backend, one) - normalised(backend, other)).max()
    noisy = backend.spec.diffusion.target == "noise"  # its errors are divided by alpha
    assert gap < TOLERANCE["fp32"] * (10 if noisy else 1)


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> OnnxBackend:
    folder = tmp_path_factory.mktemp("starter") / "copy"
    export_onnx(load_bundle("starter"), (1,), out=folder, whole_hops=True)
    return OnnxBackend.load(str(folder))


def test_each_hop_of_the_starter_is_the_sessions(starter: OnnxBackend) -> None:
    """From the same past, hop by hop: what is rounded otherwise has nowhere to grow."""
    ours, theirs = make_session(starter, style="lively"), Session(starter, style="lively")
    sound = babble(640 * 204)
    hops = 0
    for frame in range(204):
        block = sound[640 * frame : 640 * (frame + 1)]
        ours.go_on_from(theirs.copy_state())
        one, other = ours.feed(block), theirs.feed(block)
        assert len(one) == len(other)
        if one:
            hops += 1
            gap = np.abs(normalised(starter, one) - normalised(starter, other)).max()
            assert gap < TOLERANCE["fp32"]
    assert hops > 150


def test_the_starters_closed_loop_moves_as_the_sessions(starter: OnnxBackend) -> None:
    """A closed loop makes rounding larger, by how much depends on the processor: judge motion."""
    ours, theirs = make_session(starter, style="lively"), Session(starter, style="lively")
    sound = babble(640 * 204)
    one, other = (normalised(starter, s.feed(sound) + s.finish()) for s in (ours, theirs))
    assert len(one) == len(other) == 204
    speed, known = (np.abs(np.diff(run, axis=0)).mean() for run in (one, other))
    assert speed == pytest.approx(known, rel=0.05)
    assert np.corrcoef(one[:, -1], other[:, -1])[0, 1] > 0.99  # the jaw
    # Another past would be another motion: a unit apart in every frame.
    assert np.median(np.abs(one - other).max(1)) < 0.1


@pytest.mark.parametrize("rule", RULES)
def test_what_is_no_single_hop_comes_and_goes(rule: str, tmp_path: Path) -> None:
    """Merged hops, a batch's four moves, other styles and scales, blocks of any size."""
    backend = OnnxBackend(bundle_of(PLAIN, tmp_path / "bundle", rule))
    rng = np.random.default_rng(0)
    sound = babble(640 * 80, seed=2)
    runs = []
    for session in (make_session(backend), Session(backend)):
        frames: list[Frame] = []
        for start in range(0, len(sound), 4000):
            session.append(sound[start : start + 4000])
            if start == 20_000:
                session.set_style("lively")
            if start == 28_000:
                session.set_guidance(1.3, 2.0)
            while session.pending_hops:
                merged = start % 3 == 0 and min(2, session.pending_hops)
                frames += session.step(int(merged) or 1)
                if start == 32_000 and session.pending:  # as a scheduler does it
                    call = session.begin()
                    assert call is not None
                    session.set_features(*backend.encode(call.pcm, call.state))
                    frames += session.commit(backend.sample(session.prepare()))
        runs.append(normalised(backend, frames + session.finish()))
    assert len(runs[0]) == 80 and np.abs(runs[0] - runs[1]).max() < TOLERANCE["fp32"]
    session = make_session(backend)
    first = session.feed(sound)
    session.reset()
    again = [
        f
        for size in np.split(sound, np.sort(rng.integers(0, len(sound), 9)))
        for f in session.feed(size)
    ]
    assert normalised(backend, again) == pytest.approx(normalised(backend, first), abs=0)


def test_other_settings_are_an_ordinary_sessions(tiny: OnnxBackend) -> None:
    assert type(make_session(tiny)) is DeviceSession
    for options in (
        SessionOptions(hop=3),
        SessionOptions(lookahead=1),
        SessionOptions(steps=3),
        SessionOptions(window_rule="sliding"),
    ):
        assert type(make_session(tiny, options=options)) is Session


def test_nothing_is_allocated_between_hops(tiny: OnnxBackend) -> None:
    """Two sets of buffers that change places; one binding for each."""
    session = make_session(tiny)
    assert isinstance(session, DeviceSession)
    session.feed(babble(640 * 20))
    graph = session._graph._graph
    sides = [{name: id(buffer) for name, buffer in side.items()} for side in graph._sides]
    calls = dict(graph._calls)
    before = graph.state()
    session.feed(babble(640 * 22, seed=1))
    assert [{name: id(buffer) for name, buffer in s.items()} for s in graph._sides] == sides
    assert graph._calls == calls and len(calls) == 1
    after = graph.state()
    assert int(after["committed"][0]) == session.committed
    assert np.abs(after["motion"] - before["motion"]).max() > 0.01


def test_a_hop_that_fails_can_be_made_again(tiny: OnnxBackend, monkeypatch) -> None:
    session, other = make_session(tiny), Session(tiny)
    assert isinstance(session, DeviceSession)
    sound = babble(640 * 30)
    for each in (session, other):
        each.feed(sound[: 640 * 14])
    frames = normalised(tiny, other.feed(sound[640 * 14 :]))
    session.append(sound[640 * 14 :])
    with monkeypatch.context() as patch:
        patch.setattr(session._graph, "run", lambda call: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            session.step()
    again = normalised(tiny, session.feed(np.zeros(0, np.float32)))
    assert np.abs(again - frames).max() < TOLERANCE["fp32"]
