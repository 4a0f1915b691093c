"""One test body over every backend that is here: identical inputs, one answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from bundles_for_export import SPECS, save_random

from diffposetalk.bundle.bundle import Bundle
from diffposetalk.network.mel import MelState as TorchState
from export.parity import SCALES, TOLERANCE, answer, babble, closed_loop, describe, random_case
from export.shipped_graphs import write_shipped_graphs
from stream.backends.onnx.backend import MelState, OnnxBackend
from stream.backends.protocol import Backend
from stream.backends.torch_backend import TorchBackend

OTHERS: dict[str, tuple[Callable[[Bundle], Backend], str]] = {
    "onnxruntime": (OnnxBackend, "fp32"),
    "torch bf16": (lambda bundle: TorchBackend(bundle, precision="bf16"), "bf16"),
}
"""What each one is, and its precision, which says how near it must come."""

CLOSED = {"fp32": 0.05, "bf16": 0.1}
"""How far apart level, range and speed of closed loops may be."""


class Other(NamedTuple):
    """A backend beside the reference."""

    backend: Backend
    precision: str

    def state(self, state: TorchState) -> Any:
        """The reference's streaming state as this backend keeps it."""
        if isinstance(self.backend, TorchBackend):
            return state
        return MelState(*(part[0].numpy() for part in state))


@pytest.fixture(scope="module", params=SPECS)
def bundle(request, tmp_path_factory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    made = save_random(folder, SPECS[request.param], half=request.param == "plain")
    write_shipped_graphs(folder)
    return made


@pytest.fixture(scope="module")
def reference(bundle) -> Backend:
    return TorchBackend(bundle)


@pytest.fixture(scope="module", params=OTHERS)
def other(request, bundle) -> Other:
    make, precision = OTHERS[request.param]
    return Other(make(bundle), precision)


@pytest.mark.parametrize("rule", ["adjacent", "sliding"])
@pytest.mark.parametrize("steps", [1, 2, 4, 7])
def test_a_hop_is_the_same_at_every_batch_size(reference, other, rule, steps) -> None:
    for batch in range(1, 9):
        scales = SCALES[batch % len(SCALES)]
        case = random_case(reference.spec, rule, batch, steps, scales=scales, seed=batch)
        ours, theirs = answer(other.backend, case), answer(reference, case)
        assert np.abs(theirs).max() > 0.1
        # A network that says the noise is divided by alpha, 0.006 at the first step: so are errors.
        noisy = reference.spec.diffusion.target == "noise"
        tolerance = TOLERANCE[other.precision]
        worse = (10 if other.precision == "fp32" else 20) if noisy else 1
        np.testing.assert_allclose(ours, theirs, atol=tolerance * worse)
        assert np.abs(ours - theirs).mean() < tolerance / 4


def test_speech_is_the_same_whatever_the_hops(reference, other) -> None:
    """Over hops of several sizes, each with the reference's own state."""
    if not reference.incremental:
        for frames in (1, 9, 25):
            pcm = babble(640 * frames)
            ours, theirs = (b.encode_window(pcm) for b in (other.backend, reference))
            assert len(ours) == len(theirs) == frames  # its rows are its own affair
        return
    rng = np.random.default_rng(2)
    tolerance = TOLERANCE[other.precision]
    state: TorchState = reference.speech_state()
    for part, ours in zip(other.state(state), other.backend.speech_state(), strict=True):
        np.testing.assert_allclose(ours, part, atol=tolerance)
    for frames in (4, 2, 1, 9, 2, 30):
        loud = rng.choice([0.0, 0.002, 0.3])  # silence, a quiet room, speech
        pcm = (loud * rng.standard_normal(640 * frames)).astype(np.float32)
        rows, after = other.backend.encode(pcm, other.state(state))
        expected, state = reference.encode(pcm, state)
        np.testing.assert_allclose(rows, expected, atol=tolerance)
        for ours, theirs in zip(after, other.state(state), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_batch_of_streams_is_each_stream(other) -> None:
    tolerance = 1e-5 if other.precision == "fp32" else TOLERANCE[other.precision]
    other = other.backend
    rng = np.random.default_rng(3)
    if not other.incremental:
        windows = [babble(640 * 9, seed=seed) for seed in range(4)]
        for rows, pcm in zip(other.encode_window_many(windows), windows, strict=True):
            np.testing.assert_allclose(rows, other.encode_window(pcm), atol=tolerance)
        return
    pcms = [(0.1 * rng.standard_normal(1280)).astype(np.float32) for _ in range(5)]
    states = [other.encode(pcm[::-1].copy(), other.speech_state())[1] for pcm in pcms]
    together = other.encode_many(pcms, states)
    for (rows, after), pcm, state in zip(together, pcms, states, strict=True):
        alone, alone_after = other.encode(pcm, state)
        np.testing.assert_allclose(rows, alone, atol=tolerance)
        for ours, theirs in zip(after, alone_after, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=tolerance)


@pytest.mark.parametrize("rule", ["adjacent", "sliding"])
def test_closed_loops_move_alike(reference, other, rule) -> None:
    ours, theirs = (describe(closed_loop(b, 100, rule)) for b in (other.backend, reference))
    apart = CLOSED[other.precision]
    np.testing.assert_allclose(ours.mean, theirs.mean, atol=apart)
    np.testing.assert_allclose(ours.std, theirs.std, rtol=apart, atol=0.01)
    np.testing.assert_allclose(ours.speed, theirs.speed, rtol=apart, atol=0.01)
