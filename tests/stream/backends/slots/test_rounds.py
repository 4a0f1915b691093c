"""Slots of every runtime give what sessions alone give, on stand-ins for the GPU."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest
from bundles_for_export import SPECS, save_random
from slotted import RUNTIMES, Slotted, of_torch

from diffposetalk.bundle.bundle import Bundle
from diffposetalk.spec import WindowRule
from export.parity import TOLERANCE, babble
from stream.backends.protocol import Backend
from stream.backends.torch_backend import TorchBackend
from stream.core.conditions import ConditionChange
from stream.core.options import SessionOptions
from stream.core.session import Session
from stream.run.batching import Batcher
from stream.run.scheduler import Scheduler

COUNT, HOPS = 3, 60
NETWORKS: list[tuple[str, WindowRule]] = [
    ("plain", "adjacent"),
    ("plain", "sliding"),
    ("one branch", "adjacent"),
    ("hubert", "sliding"),
    ("hubert", "adjacent"),
    ("official options", "adjacent"),
    ("official options", "sliding"),
]


def bundle_of(folder: Path, kind: str, rule: WindowRule = "adjacent") -> Bundle:
    live = dataclasses.replace(SPECS[kind].live, window_rule=rule, steps=2)
    return save_random(folder, dataclasses.replace(SPECS[kind], live=live), half=True)


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


@pytest.mark.parametrize("scales", [(1.0, 1.0), (1.3, 2.0)])
@pytest.mark.parametrize(("kind", "rule"), NETWORKS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_closed_loop_is_the_sessions(runtime, kind, rule, scales, tmp_path, monkeypatch) -> None:
    bundle = bundle_of(tmp_path / "bundle", kind, rule)
    slotted = RUNTIMES[runtime](bundle, monkeypatch)
    options = SessionOptions(audio_guidance=scales[0], style_guidance=scales[1])
    runs = []
    for backend in (slotted.backend, TorchBackend(bundle)):
        sessions = [Session(backend, options=options, seed=seed) for seed in range(COUNT)]
        runs.append(speak(Batcher(backend, workers=1), sessions))
        resident = [session.state.resident is not None for session in sessions]
        assert all(resident) == (backend is slotted.backend)
    noisy = bundle.spec.diffusion.target == "noise"  # its errors are divided by alpha
    for ours, theirs in zip(*runs, strict=True):
        assert len(ours) == len(theirs)
        assert np.abs(ours - theirs).max() < TOLERANCE["fp32"] * (10 if noisy else 1)


def settled(backend: Backend, count: int) -> list[Session]:
    """Sessions in their full windows, none of which has a slot."""
    sessions = [Session(backend, seed=seed) for seed in range(count)]
    first = sessions[0]
    sound = babble(640 * (first.hop * 20 + first.lookahead), seed=1)
    first.feed(sound)
    for session in sessions[1:]:
        session.go_on_from(first.copy_state())
    return sessions


def hop_of(sessions: list[Session], batcher: Batcher, seed: int) -> list[np.ndarray]:
    """A hop of each of other sound each, (H, D) normalised."""
    for k, session in enumerate(sessions):
        session.append(babble(640 * session.hop, seed=100 * seed + k))
    answers = batcher.run([(session, 1) for session in sessions])
    std = sessions[0].backend.statistics.motion_std
    for answer in answers:
        assert not isinstance(answer, Exception), answer
    return [np.stack([frame.motion for frame in own]) / std for own in answers]  # type: ignore[union-attr]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_batches_of_1_to_64_and_parts_of_them(runtime, tmp_path, monkeypatch) -> None:
    """The sessions of a round change, and each goes on from where it was."""
    bundle = bundle_of(tmp_path / "bundle", "plain")
    slotted = RUNTIMES[runtime](bundle, monkeypatch)
    pairs = [
        (settled(backend, 70), Batcher(backend, workers=1, places=70))
        for backend in (slotted.backend, TorchBackend(bundle))
    ]
    pairs[0][1].prepare(pairs[0][0][0])
    captures = slotted.captures()
    assert captures or runtime == "tensorrt-rtx", "it captures by itself"
    rng = np.random.default_rng(2)
    for turn, count in enumerate((1, 2, 3, 4, 7, 8, 16, 17, 33, 64, 70, 5)):
        chosen = rng.permutation(70)[:count]
        ours, theirs = (
            hop_of([sessions[k] for k in chosen], batcher, turn) for sessions, batcher in pairs
        )
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE["fp32"])
    assert slotted.captures() == captures


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_one_leaves_and_another_comes(runtime, tmp_path, monkeypatch) -> None:
    """Whose slot it was is not seen; who left goes on from what it took along."""
    bundle = bundle_of(tmp_path / "bundle", "plain")
    backend = RUNTIMES[runtime](bundle, monkeypatch).backend
    plain = TorchBackend(bundle)
    batcher, other = Batcher(backend, workers=1, places=2), Batcher(plain, workers=1)
    ours, theirs = settled(backend, 3), settled(plain, 3)
    for turn, chosen in enumerate(([0, 1], [0, 1], [0, 2], [0, 2], [2, 0], [0, 1, 2], [1, 2])):
        for k, session in enumerate(ours):
            if k not in chosen:
                session.state.come_home()
        made, expected = (
            hop_of([sessions[k] for k in chosen], each, turn)
            for sessions, each in ((ours, batcher), (theirs, other))
        )
        np.testing.assert_allclose(made, expected, atol=TOLERANCE["fp32"])
        inside = [session.state.slot for session in ours if session.state.resident]
        assert sorted(inside) == [0, 1]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_two_threads_make_rounds_from_one_bank(runtime, tmp_path, monkeypatch) -> None:
    bundle = bundle_of(tmp_path / "bundle", "plain")
    backend = RUNTIMES[runtime](bundle, monkeypatch).backend
    plain = TorchBackend(bundle)
    batcher, other = Batcher(backend, workers=1, places=6), Batcher(plain, workers=1)
    ours, theirs = settled(backend, 6), settled(plain, 6)
    batcher.prepare(ours[0])
    expected = [
        [hop_of(theirs[:4], other, turn), hop_of(theirs[4:], other, turn)] for turn in range(8)
    ]
    wrong: list[str] = []

    def work(index: int, sessions: list[Session]) -> None:
        try:
            for turn in range(8):
                made = hop_of(sessions, batcher, turn)
                gap = np.abs(np.stack(made) - np.stack(expected[turn][index])).max()
                if gap > TOLERANCE["fp32"]:
                    wrong.append(f"thread {index}, hop {turn}: {gap}")
        except Exception as error:
            wrong.append(f"thread {index}: {error!r}")

    threads = [
        threading.Thread(target=work, args=(index, part))
        for index, part in enumerate((ours[:4], ours[4:]))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert all(session.state.resident for session in ours)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_styles_and_scales_go_along_with_the_next_round(runtime, tmp_path, monkeypatch) -> None:
    bundle = bundle_of(tmp_path / "bundle", "plain")
    backend = RUNTIMES[runtime](bundle, monkeypatch).backend
    plain = TorchBackend(bundle)
    batcher, other = Batcher(backend, workers=1, places=3), Batcher(plain, workers=1)
    ours, theirs = settled(backend, 3), settled(plain, 3)
    batcher.prepare(ours[0])
    for turn in range(8):
        for sessions in (ours, theirs):
            sessions[1].set_style("lively" if turn % 3 else "calm")
            sessions[2].set_guidance(1.0 + 0.2 * turn, 1.5)
        made, expected = hop_of(ours, batcher, turn), hop_of(theirs, other, turn)
        np.testing.assert_allclose(made, expected, atol=TOLERANCE["fp32"])


def refuse(slotted: Slotted, runtime: str, why: str) -> None:
    """No capture shall come off from now on."""
    if runtime == "torch":
        slotted.device.refuses = "operation not permitted\nwhen stream is capturing"
    elif runtime == "onnxruntime-cuda":
        slotted.device.refuses = why
    else:
        slotted.device.capture_error = "operation not permitted\nwhen stream is capturing"


@pytest.mark.parametrize(
    ("runtime", "why"),
    [("torch", ""), ("onnxruntime-cuda", "open"), ("onnxruntime-cuda", "run"), ("tensorrt", "")],
)
def test_a_capture_that_fails_leaves_plain_rounds(
    runtime, why, tmp_path, monkeypatch, caplog
) -> None:
    bundle = bundle_of(tmp_path / "bundle", "plain")
    slotted = RUNTIMES[runtime](bundle, monkeypatch)
    ours, theirs = settled(slotted.backend, 3), settled(TorchBackend(bundle), 3)
    refuse(slotted, runtime, why)
    batcher, other = Batcher(slotted.backend, workers=1), Batcher(theirs[0].backend, workers=1)
    caplog.clear()
    for turn, count in enumerate((1, 3, 2, 3)):
        made, expected = hop_of(ours[:count], batcher, turn), hop_of(theirs[:count], other, turn)
        np.testing.assert_allclose(made, expected, atol=TOLERANCE["fp32"])
        assert all(session.state.resident for session in ours[:count])
    said = [record.getMessage() for record in caplog.records]
    assert said and all("it runs without: " in line or "run without: " in line for line in said)
    assert not any("\n" in line for line in said)
    assert len(said) == 1 or runtime == "torch", "once"


@pytest.mark.parametrize("runtime", ["tensorrt", "tensorrt-rtx"])
def test_a_round_is_one_copy_in_and_one_back(runtime, tmp_path, monkeypatch) -> None:
    bundle = bundle_of(tmp_path / "bundle", "plain")
    slotted = RUNTIMES[runtime](bundle, monkeypatch)
    sessions, batcher = settled(slotted.backend, 8), Batcher(slotted.backend, workers=1)
    batcher.prepare(sessions[0])
    hop_of(sessions, batcher, 0)
    torch, spec, hop = slotted.device, bundle.spec, sessions[0].hop
    crossings, copied = torch.crossings, torch.copies
    hop_of(sessions, batcher, 1)
    assert torch.crossings == crossings + 2
    conditions = spec.d_motion + spec.n_shape + spec.style.d_style + 2
    row = 1 + hop * (640 + spec.d_motion) + conditions
    assert torch.copies == copied + 4 * 8 * (row + hop * spec.d_motion)


def test_onnxruntime_is_asked_for_graphs_of_rounds_alone(tmp_path, monkeypatch) -> None:
    """And what is in them can be captured: nothing in them depends on values."""
    onnx = pytest.importorskip("onnx")
    bundle = bundle_of(tmp_path / "bundle", "hubert", "sliding")
    slotted = RUNTIMES["onnxruntime-cuda"](bundle, monkeypatch)
    slotted.backend.hop_slots(Session(slotted.backend).kind, 4)
    asked = [session.options.get("enable_cuda_graph") for session in slotted.device.sessions]
    assert asked == [None, None, "1"], "speech, the slots' door, the rounds"
    graph = onnx.load(bundle.folder / "onnx" / "round_2.onnx", load_external_data=False).graph
    assert not {node.op_type for node in graph.node} & {"Loop", "If", "Scan", "NonZero"}


def test_without_graphs_of_rounds_onnxruntime_has_no_slots(tmp_path, monkeypatch) -> None:
    bundle = bundle_of(tmp_path / "bundle", "plain")
    slotted = RUNTIMES["onnxruntime-cuda"](bundle, monkeypatch)
    kind = Session(slotted.backend).kind
    assert slotted.backend.hop_slots(dataclasses.replace(kind, hop=1), 4) is None
    assert slotted.backend.hop_slots(dataclasses.replace(kind, steps=1), 4) is None
    slotted.backend._has_slots = False  # type: ignore[attr-defined]
    assert slotted.backend.hop_slots(kind, 4) is None, "as with its other providers"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_no_thread_outlives_a_batcher_and_states_still_come_home(
    runtime, tmp_path, monkeypatch
) -> None:
    bundle = bundle_of(tmp_path / "bundle", "plain")
    before = {*threading.enumerate()}
    slotted = RUNTIMES[runtime](bundle, monkeypatch)
    batcher = Batcher(slotted.backend, workers=1)
    sessions = settled(slotted.backend, 2)
    for session in sessions:
        session.append(babble(640 * session.hop, seed=7))
    batcher.run([(session, 1) for session in sessions])
    before_it, after_it = sessions
    expected = before_it.copy_state()
    batcher.close()
    for thread in {*threading.enumerate()} - before:
        thread.join(10.0)
    assert {*threading.enumerate()} <= before
    assert after_it.state.resident is not None
    assert np.array_equal(after_it.copy_state().motion, expected.motion)


class Delivered:
    """Frames of one session."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frames: list) -> None:
        self.count += len(frames)


@pytest.mark.parametrize("runtime", ["torch", "tensorrt", "onnxruntime-cuda"])
@pytest.mark.parametrize("kind", ["plain", "hubert"])
def test_nothing_is_captured_while_anybody_speaks(kind, runtime, tmp_path, monkeypatch) -> None:
    """Whatever comes: first hops, merged ones, ends, other scales, other hops than foreseen."""
    bundle = bundle_of(tmp_path / "bundle", kind, SPECS[kind].live.window_rule)
    slotted = RUNTIMES[runtime](bundle, monkeypatch)
    backend = slotted.backend
    with Scheduler(backend, capacity=4) as scheduler:
        before = slotted.captures()
        assert before
        foreseen = [Session(backend, seed=seed) for seed in range(3)]
        other = Session(backend, options=SessionOptions(hop=3, audio_guidance=1.4))
        opened = []
        for session in (*foreseen, other):
            delivered = Delivered()
            opened.append((scheduler.open(session, delivered), delivered))
        sound = babble(640 * 150, seed=1)
        for at in range(0, len(sound), 8_000):  # half a second at once: hops are late, and merge
            for scheduled, _ in opened:
                assert scheduled.feed(sound[at : at + 8_000], wait=True)
            opened[1][0].change(ConditionChange(audio_guidance=1.0 + at / 80_000))
        for scheduled, delivered in opened:
            scheduled.finish()
            assert scheduled.ended.wait(60) and scheduled.error is None
            assert delivered.count == 150
        assert slotted.captures() == before


@pytest.mark.parametrize("kind", ["plain", "hubert"])
def test_a_round_of_each_size_is_captured_before(kind, tmp_path: Path, monkeypatch) -> None:
    slotted = of_torch(save_random(tmp_path / "bundle", SPECS[kind]), monkeypatch)
    batcher = Batcher(slotted.backend, workers=1, places=4)
    batcher.prepare(Session(slotted.backend))
    kinds = 1 if kind == "hubert" else 2  # guided, and what serves all scales
    assert slotted.captures() == 3 * kinds  # 1, 2 and 4 sessions


def test_sliding_windows_from_a_streams_start_on_are_one_kind_of_call(
    tmp_path: Path, monkeypatch
) -> None:
    """Eleven captures for the first eleven hops made the first hops late."""
    live = dataclasses.replace(SPECS["hubert"].live, window_rule="sliding")
    bundle = save_random(tmp_path / "b", dataclasses.replace(SPECS["hubert"], live=live))
    slotted = of_torch(bundle, monkeypatch)
    session, plain = Session(slotted.backend), Session(TorchBackend(bundle))
    sound = babble(640 * (bundle.spec.T_w + bundle.spec.T_p + 30))
    ours, theirs = session.feed(sound), plain.feed(sound)
    assert slotted.captures() == 2  # sound and motion
    gap = max(np.abs(a.motion - b.motion).max() for a, b in zip(ours, theirs, strict=True))
    assert gap < 1e-4
