"""Two threads that share a backend get the answers of one: each its own sound's lips."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles_for_export import PLAIN, save_random
from gpu_in_name import engines_on_fakes

from diffposetalk.bundle.bundle import Bundle
from export.onnx_export import export_onnx
from export.parity import answer, random_case
from stream.backends.cuda_graphs import CapturedCalls, EagerCapture
from stream.backends.fake import FakeBackend
from stream.backends.onnx.backend import OnnxBackend
from stream.backends.protocol import Backend
from stream.backends.torch_backend import TorchBackend

ROUNDS = 30


def bound(bundle: Bundle) -> Backend:
    """onnxruntime as on a GPU, with buffers of its own, in the host's memory."""
    export_onnx(bundle, [2])
    backend = OnnxBackend(bundle)
    for session in (backend._speech, backend._sampler(2)):
        session._memory = "cpu"
        session.binding = partial(late, session.binding)  # type: ignore[method-assign]
    return backend


def late(binding: Callable[[], Any]) -> Any:
    """Between the copies of a call and its run another thread has its turn."""
    time.sleep(0.001)
    return binding()


def captured(bundle: Bundle) -> Backend:
    backend = TorchBackend(bundle)
    backend.calls = CapturedCalls(EagerCapture())
    return backend


def plain(bundle: Bundle) -> Backend:
    export_onnx(bundle, [2])
    return OnnxBackend(bundle)


BACKENDS: dict[str, Callable[[Bundle], Backend]] = {
    "torch": TorchBackend,
    "torch, captured": captured,
    "onnxruntime": plain,
    "onnxruntime, bound": bound,
    "tensorrt": lambda bundle: engines_on_fakes(bundle, "tensorrt"),
    "tensorrt-rtx": lambda bundle: engines_on_fakes(bundle, "tensorrt-rtx"),
    "fake": lambda bundle: FakeBackend(),
}


@pytest.mark.parametrize("name", BACKENDS)
def test_each_thread_gets_its_own_answers(name: str, tmp_path: Path) -> None:
    backend = BACKENDS[name](save_random(tmp_path / "bundle", PLAIN, half=True))
    cases = [random_case(backend.spec, "adjacent", 1, 2, seed=k) for k in range(2)]
    expected = [answer(backend, case) for case in cases]
    wrong: list[str] = []

    def work(index: int) -> None:
        try:
            for _ in range(ROUNDS):
                if not np.allclose(answer(backend, cases[index]), expected[index], atol=1e-5):
                    wrong.append(f"thread {index}")
        except Exception as error:
            wrong.append(f"thread {index}: {error}")

    threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
