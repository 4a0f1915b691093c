"""Backends with slots, one of each runtime, on stand-ins for a GPU; each counts its captures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import fake_onnxruntime
import gpu_in_name
import pytest

from diffposetalk.bundle.bundle import Bundle
from export.onnx_export import export_onnx
from export.tensorrt import export_engines
from stream.backends.cuda_graphs import CapturedCalls, EagerCapture
from stream.backends.protocol import Backend
from stream.backends.registry import load_backend
from stream.backends.torch_backend import TorchBackend


@dataclass(frozen=True)
class Slotted:
    """A backend, the captures so far, and what stands in for the GPU."""

    backend: Backend
    captures: Callable[[], int]
    device: Any


class Counting(EagerCapture):
    """Counts captures, all of which fail if they shall."""

    captures, refuses = 0, ""

    def capture(self, work: Any) -> Any:
        if self.refuses:
            raise RuntimeError(self.refuses)
        self.captures += 1
        return super().capture(work)


def of_torch(bundle: Bundle, patch: pytest.MonkeyPatch) -> Slotted:
    backend, counting = TorchBackend(bundle), Counting()
    backend.calls = CapturedCalls(counting)
    return Slotted(backend, lambda: counting.captures, counting)


def of_onnxruntime(bundle: Bundle, patch: pytest.MonkeyPatch) -> Slotted:
    export_onnx(bundle, [bundle.spec.live.steps], whole_hops=True)
    backend, fake = fake_onnxruntime.graphs_on_fakes(bundle.folder, patch)
    return Slotted(backend, lambda: fake.captured, fake)


def of_tensorrt(bundle: Bundle, patch: pytest.MonkeyPatch, target: str = "tensorrt") -> Slotted:
    patch.setenv("XDG_CACHE_HOME", str(bundle.folder / "cache"))
    torch = gpu_in_name.put_in_place(patch, bundle.folder, target)
    export_engines(bundle, [bundle.spec.live.steps], target=target, whole_hops=True)
    backend = load_backend(target, str(bundle.folder))
    return Slotted(backend, lambda: torch.captured, torch)


def of_tensorrt_rtx(bundle: Bundle, patch: pytest.MonkeyPatch) -> Slotted:
    return of_tensorrt(bundle, patch, "tensorrt-rtx")


RUNTIMES: dict[str, Callable[[Bundle, pytest.MonkeyPatch], Slotted]] = {
    "torch": of_torch,
    "onnxruntime-cuda": of_onnxruntime,
    "tensorrt": of_tensorrt,
    "tensorrt-rtx": of_tensorrt_rtx,
}
