"""The TensorRT backend on the fakes: a GPU and a library in name only."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_cuda import FakeTorch, Runtime
from fake_tensorrt import FakeTensorrt, FakeTensorrtRtx

from diffposetalk.bundle.bundle import Bundle
from export import tensorrt as export_tensorrt
from export.tensorrt import export_engines
from stream.backends.registry import load_backend
from stream.backends.tensorrt import backend as tensorrt_backend
from stream.backends.tensorrt import session as tensorrt_session
from stream.backends.tensorrt.backend import TensorrtBackend
from stream.backends.tensorrt.engine_store import Gpu


def put_in_place(patch: pytest.MonkeyPatch, home: Path, target: str) -> FakeTorch:
    """Let the product find the fakes; `home` is where the graphs' weights lie."""
    torch = FakeTorch(home)
    trt = FakeTensorrtRtx("1.7.1") if target == "tensorrt-rtx" else FakeTensorrt("11.4.0")
    trt.Logger = type("Logger", (), {"ERROR": 1, "__init__": lambda self, level: None})
    trt.Runtime = lambda log: Runtime(torch)  # type: ignore[attr-defined]
    for module, name, what in (
        (export_tensorrt, "library", lambda target: trt),
        (export_tensorrt, "gpu_here", lambda gpu=0: Gpu("Name", 8.9)),
        (tensorrt_backend, "gpu_here", lambda gpu=0: Gpu("Name", 8.9)),
        (tensorrt_backend, "libraries", lambda target, gpu=0: (trt, torch)),
        (tensorrt_session, "libraries", lambda target, gpu=0: (trt, torch)),
    ):
        patch.setattr(module, name, what)
    return torch


def engines_on_fakes(bundle: Bundle, target: str) -> TensorrtBackend:
    """A backend that runs engines of two steps; the fakes are out of the way again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(bundle.folder / "cache"))
        put_in_place(patch, bundle.folder, target)
        export_engines(bundle, [2], target=target)
        backend = load_backend(target, str(bundle.folder))
        assert isinstance(backend, TensorrtBackend)
        backend._sampler(2)
        return backend
