"""The TensorRT backend's own work (buffers, addresses, captured graphs), on a GPU in name only."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
from bundles_for_export import PLAIN, SPECS, save_random
from fake_cuda import FakeTorch, Runtime
from fake_tensorrt import FakeTensorrt

from diffposetalk.bundle.bundle import load_bundle
from export import tensorrt as export_tensorrt
from export.onnx_export import export_onnx
from export.parity import TOLERANCE, answer, babble, random_case
from export.tensorrt import export_engines
from stream.backends.onnx_backend import OnnxBackend
from stream.backends.protocol import Backend, RuntimeProblem
from stream.backends.registry import load_backend
from stream.backends.tensorrt import backend as tensorrt_backend
from stream.backends.tensorrt import session as tensorrt_session
from stream.backends.tensorrt.engine_store import Gpu
from stream.core.device_session import DeviceSession, make_session
from stream.core.session import Session


@pytest.fixture
def pair(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Backend, Backend]:
    """`tensorrt` on fakes, and onnxruntime, of one bundle."""
    kind, rule = getattr(request, "param", ("plain", "adjacent"))
    live = dataclasses.replace(SPECS[kind].live, window_rule=rule)
    home = tmp_path / "bundle"
    save_random(home, dataclasses.replace(SPECS[kind], live=live), half=True)
    torch, trt = FakeTorch(home), FakeTensorrt("11.4.0")
    trt.Logger = type("Logger", (), {"ERROR": 1, "__init__": lambda self, level: None})
    trt.Runtime = lambda log: Runtime(torch)  # type: ignore[attr-defined]
    for module, name, what in (
        (export_tensorrt, "library", lambda target: trt),
        (export_tensorrt, "gpu_here", lambda: Gpu("Name", 9.0)),
        (tensorrt_backend, "gpu_here", lambda: Gpu("Name", 9.0)),
        (tensorrt_backend, "libraries", lambda target: (trt, torch)),
        (tensorrt_session, "libraries", lambda target: (trt, torch)),
    ):
        monkeypatch.setattr(module, name, what)
    bundle = load_bundle(home)
    export_engines(bundle, [2], target="tensorrt", whole_hops=True)
    export_onnx(bundle, [2])
    backend = load_backend("tensorrt", str(home))
    backend.torch = torch  # type: ignore[attr-defined]
    return backend, OnnxBackend(bundle)


def test_calls_are_those_of_the_graphs(pair) -> None:
    """Again and again in the same buffers: plain, captured, and replayed."""
    ours, theirs = pair
    ours.speech_state(), theirs.speech_state()  # they hear silence first, in graphs of that shape
    torch = ours.torch
    captured, replayed = torch.captured, torch.replayed
    for seed in range(6):
        for batch in (1, 3):
            case = random_case(PLAIN, "adjacent", batch, 2, seed=seed, scales=(1.5, 2.0))
            np.testing.assert_allclose(answer(ours, case), answer(theirs, case), atol=1e-5)
    # Two graphs, two batch sizes.
    assert torch.captured == captured + 4 and torch.replayed == replayed + 4 * 3


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
