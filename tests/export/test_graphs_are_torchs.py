"""The gate of traced graphs: samplers and whole hops are torch's, whatever the call is.

Every way a network is built, in every number of steps, branches, entries and frames: start gaps,
padding and known frames are inputs, and the threshold's place in a window follows its size.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles_for_export import PLAIN, SPECS, save_random
from numpy.typing import NDArray

from diffposetalk.bundle.bundle import Bundle
from diffposetalk.network.mel import MelState
from diffposetalk.spec import FloatArray, ModelSpec
from export.onnx_export import export_onnx
from export.parity import SCALES, TOLERANCE, babble, random_case
from stream.backends.hop import HopGraph
from stream.backends.onnx_backend import OnnxBackend
from stream.backends.torch_backend import TorchBackend
from stream.core.device_session import DeviceSession
from stream.core.session import Session

STEPS, BATCHES, FRAMES = (1, 2, 4, 8), (1, 3, 16), (1, 3, 100)
BRANCHES = {1: SCALES[0], 2: SCALES[1], 3: SCALES[3]}
"""Audio and style scale by the number of guidance branches."""
HOPS = {1: (1, 0), 3: (2, 1), 100: (10, 2)}
"""Hop and lookahead of windows of so many frames; an `adjacent` hop is all but the lookahead."""
Feed = Mapping[str, NDArray[Any]]


def spec_of(kind: str, head: bool, threshold: bool, frames: int) -> ModelSpec:
    """`mel` with short windows, `hubert` with full ones."""
    hop, lookahead = HOPS[frames]
    sliding = kind == "hubert"
    live = dataclasses.replace(
        PLAIN.live,
        hop=hop if sliding else frames - lookahead,
        lookahead=lookahead,
        window_rule="sliding" if sliding else "adjacent",
        threshold_quantile=0.9 if threshold else 0.0,
    )
    like = SPECS["hubert"] if sliding else PLAIN
    return dataclasses.replace(like, T_w=frames if sliding else 100, head_rotation=head, live=live)


def exported(folder: Path, spec: ModelSpec, steps: Sequence[int], **kind: bool) -> Bundle:
    """Loud, or a threshold had nothing to clip."""
    bundle = save_random(folder, spec, loud=8.0)
    export_onnx(bundle, steps, **kind)
    return bundle


def difference(ours: FloatArray, theirs: FloatArray) -> float:
    """The largest, in the size of the motion where that is above 1, as rounding is."""
    return float(np.abs(ours - theirs).max() / max(1.0, np.abs(theirs).max()))


def check_samplers(
    bundle: Bundle, calls: Sequence[tuple[int, int, int, int]], ours: OnnxBackend | None = None
) -> float:
    """The largest difference, over steps, branches, entries and frames."""
    ours, theirs, spec = ours or OnnxBackend(bundle), TorchBackend(bundle), bundle.spec
    worst = 0.0
    for (batch, frames), own in itertools.groupby(sorted(calls, key=_sizes), _sizes):
        for steps, branches, *_ in own:
            case = random_case(
                spec, spec.live.window_rule, batch, steps, scales=BRANCHES[branches], frames=frames
            )
            rows = [backend.encode_window_many(list(case.pcm)) for backend in (ours, theirs)]
            np.testing.assert_allclose(rows[0], rows[1], atol=TOLERANCE["fp32"])
            each = [
                dataclasses.replace(
                    call, features=row[spec.T_p :], context_features=row[: spec.T_p]
                )
                for call, row in zip(case.calls, rows[1], strict=True)
            ]
            expected = np.stack(theirs.sample_many(each))
            assert np.abs(expected).max() > 0.5
            gap = difference(np.stack(ours.sample_many(each)), expected)
            assert gap < TOLERANCE["fp32"], (steps, branches, batch, frames, gap)
            worst = max(worst, gap)
    return worst


def _sizes(call: tuple[int, int, int, int]) -> tuple[int, int]:
    return call[2], call[3]


class Recorder:
    """What a graph of whole hops would be given, in the place of one."""

    states = ()

    def __init__(self) -> None:
        self.feeds: list[Feed] = []
        self._state: Feed = {}

    def start(self, state: Feed) -> None:
        # torch's own speech state has a batch of one already.
        self._state = {
            name: array[0] if name in MelState._fields else array for name, array in state.items()
        }

    def run(self, feed: Feed) -> NDArray[np.float32]:
        self.feeds.append({**feed, **self._state})
        return np.zeros(feed["noise"].shape, np.float32)

    def state(self) -> dict[str, NDArray[Any]]:
        raise AssertionError("nobody asks a recorder")


def recorded(
    bundle: Bundle, dims: Mapping[str, Any], steps: int, branches: int, count: int
) -> tuple[list[Feed], list[FloatArray]]:
    """The inputs of `count` + 1 hops of a torch session from its start on, and its motion."""
    spec, recorder = bundle.spec, Recorder()
    backend = TorchBackend(bundle)
    session = Session(backend, seed=3)
    watched = DeviceSession(backend, HopGraph(recorder, dims), seed=3)
    session.steps = watched.steps = steps
    motion: list[FloatArray] = []
    before = spec.T_w + spec.T_p if spec.live.window_rule == "sliding" else 0
    sound = babble(spec.frame_samples * (before + spec.live.hop * (count + 3)), seed=2)
    session.append(sound)
    audio, style = BRANCHES[branches]
    while len(motion) <= count:
        at = len(motion)
        for each in (session, watched):
            each.set_guidance(*(s if s == 1.0 else s + 0.05 * at for s in (audio, style)))
            each.set_style(("calm", "lively")[at % 2])
        watched.go_on_from(session.copy_state())
        seen = len(recorder.feeds)
        watched.step()
        raw = np.stack([frame.motion for frame in session.step()])
        if len(recorder.feeds) > seen:
            motion.append((raw - bundle.statistics.motion_mean) / bundle.statistics.motion_std)
    return recorder.feeds, motion


def check_hops(bundle: Bundle, calls: Sequence[tuple[int, int, int]]) -> float:
    """The largest difference of motion, over steps, branches and entries."""
    backend, worst = OnnxBackend(bundle), 0.0
    for (steps, branches), own in itertools.groupby(sorted(calls), lambda call: call[:2]):
        batches = [batch for *_, batch in own]
        graph = backend._open(f"hop_{steps}")
        dims = backend.manifest.graphs[f"hop_{steps}"].inputs
        feeds, motion = recorded(bundle, dims, steps, branches, max(batches))
        for batch in batches:
            # The first hop of all, whose context is missing, and the newest ones.
            chosen = [0, *range(max(batches) - batch + 1, max(batches))]
            stay = ("branch_gives", "branch_weights")
            feed = {
                name: feeds[0][name]
                if name in stay
                else np.concatenate([feeds[i][name] for i in chosen])
                for name in graph.inputs
            }
            out = dict(zip(graph.outputs, graph.run(feed), strict=True))
            for row, i in enumerate(chosen):
                gap = difference(out["new_motion"][row], motion[i])
                assert gap < TOLERANCE["fp32"], (steps, branches, batch, i, gap)
                worst = max(worst, gap)
            # What it remembers is what the hop after it starts from.
            after = {
                name: out.get(f"next_{name}", feed[name])
                if name in stay or f"next_{name}" in out
                else np.concatenate([feeds[i + 1][name] for i in chosen])
                for name in graph.inputs
            }
            later = dict(zip(graph.outputs, graph.run(after), strict=True))["new_motion"]
            for row, i in enumerate(chosen):
                assert difference(later[row], motion[i + 1]) < TOLERANCE["fp32"]
    return worst


@pytest.mark.parametrize(
    ("kind", "head", "threshold"), [("mel", True, True), ("hubert", False, False)]
)
def test_samplers_and_hops_are_torchs(
    kind: str, head: bool, threshold: bool, tmp_path: Path
) -> None:
    """Each number of everything at least once."""
    bundle = exported(tmp_path / "b", spec_of(kind, head, threshold, 3), (1, 4), whole_hops=True)
    check_hops(bundle, [(1, 3, 16), (4, 1, 1), (4, 2, 3)])
    calls = [(1, 1, 1, 1), (4, 2, 16, 3), (1, 3, 3, 3), (4, 3, 1, 1)]
    if kind == "mel":
        calls += [(1, 2, 3, 100), (4, 3, 1, 100)]
    check_samplers(bundle, calls)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("frames", FRAMES)
@pytest.mark.parametrize("threshold", [True, False])
@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize("kind", ["mel", "hubert"])
def test_every_sampler_and_hop_is_torchs(
    kind: str, head: bool, threshold: bool, frames: int, tmp_path: Path
) -> None:
    spec = spec_of(kind, head, threshold, frames)
    bundle = exported(tmp_path / "bundle", spec, STEPS, whole_hops=True)
    samplers = check_samplers(bundle, [*itertools.product(STEPS, BRANCHES, BATCHES, [frames])])
    hops = check_hops(bundle, [*itertools.product(STEPS, BRANCHES, BATCHES)])
    print(
        f"{kind}, head {head}, threshold {threshold}, {frames} frames: largest difference of "
        f"samplers {samplers:.1e}, of hops {hops:.1e}"
    )
