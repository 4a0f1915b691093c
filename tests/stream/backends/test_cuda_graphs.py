"""Captured calls: with a stand-in for the GPU everywhere, and on a GPU where there is one."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from bundles_for_export import SPECS, save_random

from diffposetalk.bundle.bundle import Bundle
from export.parity import SCALES, TOLERANCE, answer, closed_loop, random_case
from stream.backends.cuda_graphs import MOST_GRAPHS, CapturedCalls, EagerCapture
from stream.backends.torch_backend import TorchBackend


@pytest.fixture(scope="module", params=["plain", "hubert"])
def bundle(request, tmp_path_factory) -> Bundle:
    return save_random(tmp_path_factory.mktemp("bundles") / "tiny", SPECS[request.param])


def captured(bundle: Bundle) -> tuple[TorchBackend, CapturedCalls]:
    backend = TorchBackend(bundle)
    backend.calls = calls = CapturedCalls(EagerCapture())
    return backend, calls


class Counting(EagerCapture):
    """Counts captures and replays, and remembers the device's buffers by address."""

    def __init__(self) -> None:
        super().__init__()
        self.captures = self.replays = 0

    def capture(self, work):
        self.captures += 1
        outputs, again = super().capture(work)

        def replay() -> None:
            self.replays += 1
            again()

        return outputs, replay


def test_captured_calls_are_the_plain_ones(bundle) -> None:
    plain = TorchBackend(bundle)
    fixed, _ = captured(bundle)
    for rule in ("adjacent", "sliding"):
        for batch in (1, 2, 3, 5):
            scales = SCALES[batch % len(SCALES)]
            case = random_case(bundle.spec, rule, batch, 2, scales=scales, seed=batch)
            for _ in range(2):  # captured, then replayed
                np.testing.assert_allclose(answer(fixed, case), answer(plain, case), atol=1e-5)


def test_a_stream_over_captured_calls_is_the_plain_stream(bundle) -> None:
    fixed, _ = captured(bundle)
    ours, theirs = (closed_loop(backend, 6) for backend in (fixed, TorchBackend(bundle)))
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_answers_outlive_the_next_call() -> None:
    calls = CapturedCalls(EagerCapture())

    def double(x):
        return 2 * x, x + 1

    first, state = calls.run(double, {"x": [np.ones(3, np.float32)]}, {}, stay=1)
    calls.run(double, {"x": [np.full(3, 5, np.float32)]}, {}, stay=1)
    assert (first == 2).all() and isinstance(first, np.ndarray)
    assert isinstance(state, torch.Tensor) and (state == 2).all()
    (again,) = calls.run(double, {"x": [state[0]]}, {}, stay=1)[:1]  # a state comes back as a row
    assert (again == 4).all()


def test_rows_share_graphs_of_the_next_power_of_two() -> None:
    counting = Counting()
    calls = CapturedCalls(counting)

    def total(x, *, plus):
        assert len(x) in (1, 2, 4, 8)
        return (x.sum(1) + plus,)

    for count in (3, 4, 3, 1, 2, 7):
        rows = [np.full(4, index, np.float32) for index in range(count)]
        (sums,) = calls.run(total, {"x": rows}, {"plus": 0.5})
        np.testing.assert_array_equal(sums, 4.0 * np.arange(count) + 0.5)
    assert (counting.captures, counting.replays, len(calls)) == (4, 6, 4)
    calls.run(total, {"x": [np.ones(4, np.float32)]}, {"plus": 1.5})
    assert counting.captures == 5  # a setting is part of the graph
    for width in range(5, 5 + MOST_GRAPHS):
        calls.run(total, {"x": [np.ones(width, np.float32)]}, {"plus": 0.5})
    assert len(calls) == MOST_GRAPHS


def test_a_capture_that_fails_is_said_and_the_call_is_made(caplog) -> None:
    class Refuses(EagerCapture):
        def capture(self, work):
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

    calls = CapturedCalls(Refuses())
    with caplog.at_level(logging.WARNING):
        for value in (1.0, 2.0):
            (out,) = calls.run(lambda x: (x * 3,), {"x": [np.full(2, value, np.float32)]}, {})
            assert (out == 3 * value).all()
    (record,) = caplog.records
    assert "it runs without: operation not permitted" in record.message
    assert "\n" not in record.message


def test_what_was_not_foreseen_is_called_without_a_capture() -> None:
    """Once a backend was got ready; until then, and while it is again, captures are made."""
    counting = Counting()
    calls = CapturedCalls(counting)
    another = calls.another()

    def double(x):
        return 2 * x, x + 1

    def made(width: int, of: CapturedCalls) -> int:
        rows = [np.full(width, k, np.float32) for k in range(3)]
        twice, more = of.run(double, {"x": rows}, {}, stay=1)
        assert (twice == 2 * np.stack(rows)).all() and isinstance(twice, np.ndarray)
        assert (more.numpy() == np.stack(rows) + 1).all()
        return counting.captures

    assert made(2, calls) == 1 and made(2, another) == 2
    with calls.readiness.getting_ready():
        assert made(3, calls) == 3
    assert made(3, calls) == 3 and made(4, calls) == 3 and made(4, another) == 3
    assert made(2, calls) == 3 and len(calls) == 2
    with calls.readiness.getting_ready():
        another.prepare(double, {"x": (4,)}, 3, {}, stay=1)
    assert made(4, another) == 4


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gpu_agrees_with_the_cpu(bundle, precision) -> None:
    if not torch.cuda.is_available():
        pytest.skip("not run: no GPU")
    cpu, gpu = TorchBackend(bundle), TorchBackend(bundle, "cuda", precision=precision)
    for rule in ("adjacent", "sliding"):
        for batch in range(1, 9):
            scales = SCALES[batch % len(SCALES)]
            case = random_case(bundle.spec, rule, batch, 2, scales=scales, seed=batch)
            for _ in range(2):
                np.testing.assert_allclose(
                    answer(gpu, case), answer(cpu, case), atol=TOLERANCE[precision]
                )
