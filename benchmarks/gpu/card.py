"""What the parts measure on: a card and networks of full size, or the CPU and toys."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from benchmarks.latency.roofline import count_weights, hop_work, read_sizes, roofline_ms
from diffposetalk.bundle.bundle import Bundle, load_bundle
from diffposetalk.bundle.reading import MODEL
from diffposetalk.bundle.saving import save_bundle
from diffposetalk.inference.precision import DTYPES
from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.spec import (
    DenoiserSpec,
    DiffusionSpec,
    HubertSpec,
    LiveDefaults,
    ModelSpec,
    SpeechEncoderSpec,
    Statistics,
    StyleEncoderSpec,
)
from stream.backends.cuda_graphs import CapturedCalls, CudaCapture, EagerCapture, PlainCalls
from stream.backends.torch_backend import TorchBackend

Item = TypeVar("Item")

LIVE = LiveDefaults(
    hop=10,
    lookahead=2,
    steps=4,
    window_rule="sliding",
    audio_guidance=1.15,
    style_guidance=3.0,
    threshold_quantile=0.99,
)
OFFICIAL = dataclasses.replace(ModelSpec(), live=LIVE)
TOY = dataclasses.replace(
    OFFICIAL,
    T_w=20,
    T_p=5,
    diffusion=DiffusionSpec(steps=20),
    live=dataclasses.replace(LIVE, hop=4),
    denoiser=DenoiserSpec(d_model=32, n_heads=2, n_layers=2),
    style=StyleEncoderSpec(d_style=8, n_heads=2, n_layers=1),
    speech=SpeechEncoderSpec(
        kind="hubert",
        d_out=32,
        hubert=HubertSpec(
            n_layers=2, n_heads=2, d_hidden=48, d_conv=16, position_kernel=16, position_groups=4
        ),
    ),
)


class Card:
    """One GPU, or the CPU in its place; the bundles, and backends of them.

    Attributes:
        folder: for what is made on the way. is_gpu: whether figures mean anything.
        captures: made so far by its backends.
        bundles: `starter`, and `official`: the released network's size with random weights, a
            threshold and three branches; without a GPU a toy of the same kind.
    """

    def __init__(self, folder: Path, gpu: int = 0) -> None:
        self.folder = folder
        self.is_gpu = torch.cuda.is_available()
        self.device = f"cuda:{gpu}" if self.is_gpu else "cpu"
        self.bundles = {
            "starter": load_bundle("starter"),
            "official": random_bundle(folder / "official", OFFICIAL if self.is_gpu else TOY),
        }
        self.captures = 0
        self._speeds: dict[str, dict[str, float]] = {}
        self._backends: dict[tuple[str, str, bool], TorchBackend] = {}

    def backend(self, name: str, precision: str = "fp32", *, plain: bool = False) -> TorchBackend:
        """A backend with captured calls; without a GPU what is captured is called.

        Args:
            plain: no captures.
        """
        key = (name, precision, plain)
        if key not in self._backends:
            threads = None if self.is_gpu else 1
            made = TorchBackend(self.bundles[name], self.device, threads, precision)
            kind = CudaCapture if self.is_gpu else _OnTheCpu
            made.calls = PlainCalls(made.device)
            if not plain:
                made.calls = CapturedCalls(_Counted(kind(made.device), self))
            self._backends[key] = made
        return self._backends[key]

    def some(self, items: Sequence[Item], toys: int) -> Sequence[Item]:
        """All of them; without a GPU the first, as the code is the same."""
        return items if self.is_gpu else items[:toys]

    def wait(self) -> None:
        """Until the card has done what it was given."""
        if self.is_gpu:
            torch.cuda.synchronize(self.device)

    def speed(self, precision: str) -> dict[str, float]:
        """GFLOP/s of a large product in that precision and GB/s of a large copy, measured here."""
        if precision not in self._speeds:
            kind = DTYPES[precision]
            size = 8192 if self.is_gpu else 256
            a = torch.ones(size, size, dtype=kind, device=self.device)
            large = torch.ones(size * size * 4, dtype=torch.float32, device=self.device)
            product, copy = self._best(lambda: a @ a), self._best(large.clone)
            self._speeds[precision] = {
                "gflops": 2e-9 * size**3 / product,
                "gb_per_second": 1e-9 * 2 * 4 * large.numel() / copy,
            }
        return self._speeds[precision]

    def floor_ms(self, name: str, precision: str, *, sessions: int = 1, **live: Any) -> float:
        """Milliseconds of a round of hops if nothing but its arithmetic or its weights' way took
        time; the weights go that way once for all of them.
        """
        bundle = self.bundles[name]
        weights = count_weights(read_sizes(bundle.folder / MODEL))
        settings = {**vars(bundle.spec.live), **live, "precision": precision}
        work = hop_work(bundle.spec, settings, weights)
        work["operations"] *= sessions
        return roofline_ms(work, self.speed(precision))["roofline"]

    def _best(self, do: Callable[[], Any]) -> float:
        """Seconds, the best of five."""
        took = []
        for _ in range(5):
            self.wait()
            began = time.perf_counter()
            do()
            self.wait()
            took.append(time.perf_counter() - began)
        return min(took)


class _OnTheCpu(EagerCapture):
    """In the GPU's place."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(str(device))


class _Counted:
    """Captures that a card counts."""

    def __init__(self, inner: CudaCapture | EagerCapture, card: Card) -> None:
        self._inner, self._card = inner, card
        self.device = inner.device

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def capture(self, work: Callable[[], Any]) -> Any:
        """See `Capture`."""
        self._card.captures += 1
        return self._inner.capture(work)


def random_bundle(folder: Path, spec: ModelSpec) -> Bundle:
    """A bundle with random weights, the same ones every time."""
    torch.manual_seed(0)
    full = (np.full(n, v, np.float32) for n in (spec.d_motion, spec.n_shape) for v in (0, 1))
    style = np.random.default_rng(1).normal(size=spec.style.d_style).astype(np.float32)
    head = load_bundle("starter").head_id
    save_bundle(
        folder, DiffPoseTalk(spec), spec, Statistics(*full), {"neutral": style}, head, "", {}
    )
    return load_bundle(folder)
