"""onnxruntime's CUDA provider in name only: the CPU runs the graphs, in the host's memory.

What the provider asks of those who capture is held against them: a graph is captured by the thread
that replays it, with the binding that it was captured with, and what is captured runs three times.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from stream.backends.onnx import session as onnx_session

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
RUNS_OF_A_CAPTURE = 3


class FakeOnnxruntime:
    """The module.

    Attributes:
        sessions: that were opened, and still count.
        refuses: `open` or `run`, where captures shall fail; else empty.
    """

    def __init__(self) -> None:
        self.sessions: list[FakeSession] = []
        self.refuses = ""
        self.OrtValue = FakeValue

    def __getattr__(self, name: str) -> Any:
        return getattr(onnxruntime, name)

    def InferenceSession(self, graph: bytes, options: Any, **given: Any) -> FakeSession:
        made = FakeSession(self, graph, options, **given)
        self.sessions.append(made)
        return made

    @property
    def captured(self) -> int:
        """Graphs, so far."""
        return sum(len(session.bindings) for session in self.sessions)


class FakeValue:
    """Tensors on the GPU lie on the host."""

    @staticmethod
    def ortvalue_from_shape_and_type(shape: Any, kind: Any, device: str, number: int) -> Any:
        assert device in ("cpu", "cuda") and number == 0
        return onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, kind, "cpu", 0)


class FakeSession:
    """A session on the GPU.

    Attributes:
        options: of the provider; bindings: that were captured, by number.
    """

    def __init__(
        self, fake: FakeOnnxruntime, graph: bytes, options: Any, *, providers: Any, **given: Any
    ) -> None:
        (name, self.options), cpu = providers
        assert (name, cpu) == (CUDA, CPU) and self.options["use_tf32"] == "0"
        self.captures = self.options.get("enable_cuda_graph") == "1"
        if self.captures and fake.refuses == "open":
            raise RuntimeError("This session cannot use\nthe graph capture feature")
        self._fake, self._thread = fake, 0
        self.bindings: dict[str, FakeBinding] = {}
        self._inner = onnxruntime.InferenceSession(graph, options, providers=[CPU], **given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def get_providers(self) -> list[str]:
        return [CUDA, CPU]

    def io_binding(self) -> FakeBinding:
        return FakeBinding(self._inner)

    def run_with_iobinding(self, binding: FakeBinding, options: Any = None) -> None:
        if not self.captures:
            self._inner.run_with_iobinding(binding.inner, options)
            return
        number = options.get_run_config_entry("gpu_graph_id")
        if number in self.bindings:
            assert self.bindings[number] is binding, "a graph holds the memory of its capture"
            assert threading.get_ident() == self._thread, "a graph belongs to a thread"
            self._inner.run_with_iobinding(binding.inner)
            return
        for _ in range(RUNS_OF_A_CAPTURE):
            self._inner.run_with_iobinding(binding.inner)
        if self._fake.refuses == "run":
            raise RuntimeError(
                "CUDA failure 900: operation not permitted\nwhen stream is capturing"
            )
        assert self._thread in (0, threading.get_ident()), (
            "all graphs of a session are of one thread"
        )
        self._thread = threading.get_ident()
        self.bindings[number] = binding


class FakeBinding:
    """Inputs and outputs on the GPU are bound on the host."""

    def __init__(self, session: Any) -> None:
        self.inner = session.io_binding()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def bind_output(self, name: str, device: str, number: int = 0) -> None:
        self.inner.bind_output(name, "cpu", 0)


def put_in_place(patch: pytest.MonkeyPatch) -> FakeOnnxruntime:
    """Let the product find the fake."""
    fake = FakeOnnxruntime()
    patch.setattr(onnx_session, "onnxruntime", fake)
    patch.setattr(onnx_session, "has_provider", lambda name: name in (CUDA, CPU))
    patch.setattr(onnx_session, "_find_libraries", lambda: None)
    return fake


def graphs_on_fakes(folder: Path, patch: pytest.MonkeyPatch) -> tuple[Any, FakeOnnxruntime]:
    """`onnxruntime-cuda` of a bundle with graphs."""
    from stream.backends.registry import load_backend

    fake = put_in_place(patch)
    return load_backend("onnxruntime-cuda", str(folder)), fake
