"""The TensorRT backend's own work (buffers, addresses, captured graphs), on a GPU in name only."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
from bundles_for_export import PLAIN, SPECS, save_random
from gpu_in_name import put_in_place

from diffposetalk.bundle.bundle import load_bundle
from export.onnx_export import export_onnx
from export.parity import TOLERANCE, answer, babble, random_case
from export.tensorrt import export_engines
from stream.backends.onnx.backend import OnnxBackend
from stream.backends.protocol import Backend, RuntimeProblem
from stream.backends.registry import load_backend
from stream.core.device_session import DeviceSession, make_session
from stream.core.session import Session


@pytest.fixture
def pair(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Backend, Backend]:
    """`tensorrt` on fakes, and onnxruntime, of one bundle."""
    kind, rule, *named = getattr(request, "param", ("plain", "adjacent"))
    target = named[0] if named else "tensorrt"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    live = dataclasses.replace(SPECS[kind].live, window_rule=rule)
    home = tmp_path / "bundle"
    save_random(home, dataclasses.replace(SPECS[kind], live=live), half=True)
    torch = put_in_place(monkeypatch, home, target)
    bundle = load_bundle(home)
    export_engines(bundle, [2], target=target, whole_hops=True)
    export_onnx(bundle, [2])
    backend = load_backend(target, str(home))
    backend.torch = torch  # type: ignore[attr-defined]
    return backend, OnnxBackend(bundle)


def test_calls_are_those_of_the_graphs(pair) -> None:
    """Again and again in the same buffers: captured at the first call, and replayed."""
    ours, theirs = pair
    ours.speech_state(), theirs.speech_state()  # they hear silence first, in graphs of that shape
    torch = ours.torch
    captured, replayed = torch.captured, torch.replayed
    for seed in range(6):
        for batch in (1, 3):
            case = random_case(PLAIN, "adjacent", batch, 2, seed=seed, scales=(1.5, 2.0))
            np.testing.assert_allclose(answer(ours, case), answer(theirs, case), atol=1e-5)
    # Two graphs, two batch sizes.
    assert torch.captured == captured + 4 and torch.replayed == replayed + 4 * 6


@pytest.mark.parametrize(
    "pair", [("plain", "adjacent"), ("plain", "sliding"), ("hubert", "sliding")], indirect=True
)
def test_the_state_stays_on_the_device(pair) -> None:
    ours, theirs = pair
    session, other = make_session(ours, seed=3), Session(theirs, seed=3)
    assert isinstance(session, DeviceSession)
    sound, torch = babble(640 * 120, seed=4), ours.torch
    frames = session.feed(sound[: 640 * 80])
    before, captured = torch.copies, torch.captured
    frames += session.feed(sound[640 * 80 :])
    crossed = (torch.copies - before) / (40 // session.hop)
    D = ours.spec.d_motion
    assert crossed == 4 * session.hop * (640 + D + D)  # sound, noise and frames; nothing else
    assert torch.captured == captured >= 2  # one graph for each side of the state
    expected = other.feed(sound)
    session.set_style("lively")
    other.set_style("lively")
    frames, expected = frames + session.finish(), expected + other.finish()
    gap = np.stack([f.motion for f in frames]) - np.stack([f.motion for f in expected])
    assert len(frames) == 120
    assert np.abs(gap / ours.statistics.motion_std).max() < TOLERANCE["fp32"]


def test_a_style_that_changes_is_copied_once(pair) -> None:
    ours, theirs = pair
    session, other = make_session(ours), Session(theirs)
    frames, expected, sound = [], [], babble(640 * 60)
    for start in range(0, len(sound), 12_800):
        for each, kept in ((session, frames), (other, expected)):
            kept += each.feed(sound[start : start + 12_800])
            each.set_style("lively" if start % 25_600 else "calm")
            each.set_guidance(1.0 + start / 40_000, 1.0)
    gap = np.stack([f.motion for f in frames]) - np.stack([f.motion for f in expected])
    assert np.abs(gap / ours.statistics.motion_std).max() < TOLERANCE["fp32"]


def test_an_engine_that_does_not_load_is_built_again_once(pair, caplog) -> None:
    ours, _ = pair
    folder, torch = str(ours._folder.parent), ours.torch
    torch.refusals = 1
    with caplog.at_level(logging.WARNING):
        load_backend("tensorrt", folder)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("built the engine speech (fp32) for tensorrt 11.4.0, Name")
    torch.refusals = 2
    with pytest.raises(RuntimeProblem, match="does not take the engine speech on this GPU"):
        load_backend("tensorrt", folder)


def test_a_batch_takes_the_smallest_profile_that_holds_it(pair) -> None:
    ours, theirs = pair
    torch, before = ours.torch, len(ours.torch.contexts)
    for batch in (1, 2, 3, 4, 9, 16, 33, 64):
        case = random_case(PLAIN, "adjacent", batch, 2, seed=batch, scales=(1.5, 2.0))
        np.testing.assert_allclose(answer(ours, case), answer(theirs, case), atol=1e-5)
    made = torch.contexts[before:]
    assert [c.profile for c in made if "noise" in c.shapes] == [0, 1, 2, 4, 6]
    assert {c.shapes["noise"][0] for c in made if "noise" in c.shapes} == {1, 2, 4, 16, 64}
    assert len({context.memory for context in made if "noise" in context.shapes}) == 1, "shared"
    assert ours.max_batch == 64
    with pytest.raises(RuntimeProblem, match="1 to 64 sessions in a call, not 65"):
        answer(ours, random_case(PLAIN, "adjacent", 65, 2, scales=(1.5, 2.0)))


def test_a_capture_that_fails_leaves_plain_calls(pair, caplog) -> None:
    ours, theirs = pair
    ours.torch.capture_error = "operation not permitted when\nstream is capturing"
    with caplog.at_level(logging.WARNING):
        for seed in range(6):
            case = random_case(PLAIN, "adjacent", 1 + seed % 2, 2, seed=seed, scales=(1.5, 2.0))
            np.testing.assert_allclose(answer(ours, case), answer(theirs, case), atol=1e-5)
    lines = [record.getMessage() for record in caplog.records]
    why = "it runs without: operation not permitted when stream is capturing"
    assert sorted(lines) == [f"no CUDA graph of {name}, {why}" for name in ("sampler_2", "speech")]


def test_what_the_gpu_says_is_the_documented_error(pair) -> None:
    ours, _ = pair
    case = random_case(PLAIN, "adjacent", 1, 2, scales=(1.5, 2.0))
    answer(ours, case)

    def fails(work) -> None:
        raise RuntimeError("CUDA error: out of memory\nmore")

    ours.torch.capture_error, ours.torch.do = "not now", fails
    with pytest.raises(RuntimeProblem, match="the GPU failed: CUDA error: out of memory more"):
        answer(ours, random_case(PLAIN, "adjacent", 2, 2, scales=(1.5, 2.0)))


@pytest.mark.parametrize("pair", [("plain", "adjacent", "tensorrt-rtx")], indirect=True)
def test_tensorrt_for_rtx_captures_by_itself_and_keeps_what_it_compiled(pair, tmp_path) -> None:
    ours, theirs = pair
    for seed in range(3):
        case = random_case(PLAIN, "adjacent", 1, 2, seed=seed, scales=(1.5, 2.0))
        np.testing.assert_allclose(answer(ours, case), answer(theirs, case), atol=1e-5)
    assert ours.torch.captured == ours.torch.replayed == 0
    files = sorted((tmp_path / "cache").rglob("*.compiled"))
    assert [path.name for path in files] == ["sampler_2-Name.compiled", "speech-Name.compiled"]
    assert files[0].read_bytes() == b"compiled"
    files[0].write_bytes(b"compiled, and more")
    files[1].write_bytes(b"damaged")
    again = load_backend("tensorrt-rtx", str(ours._folder.parent))
    np.testing.assert_allclose(answer(again, case), answer(theirs, case), atol=1e-5)
    assert ours.torch.compiled == b"compiled, and more"
