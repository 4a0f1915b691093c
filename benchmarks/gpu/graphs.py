"""The part of onnxruntime: exported graphs on the card, where its build for GPUs is here."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu.card import Card
from benchmarks.gpu.rounds import Lane, largest_gap, round_times, settle, timed
from diffposetalk.bundle.bundle import load_bundle
from export.parity import answer, random_case
from stream.backends.onnx.backend import OnnxBackend
from stream.backends.torch_backend import TorchBackend
from stream.core.device_session import make_session
from stream.core.session import Session
from stream.run.batching import Batcher

Figures = Iterator[tuple[str, Callable[[], Any]]]


def onnxruntime(card: Card) -> Figures:
    """Graphs by onnxruntime: largest difference from torch on the CPU, a hop's time, rounds."""

    @functools.cache
    def backend(name: str, slots: bool = False) -> OnnxBackend:
        device = card.device if card.is_gpu else "cpu"
        bundle = load_bundle(str(_exported(card, name)))
        return OnnxBackend(bundle, device=device, threads=1, slots=slots)

    def gap(name: str, batch: int) -> float:
        live = card.bundles[name].spec.live
        scales = (live.audio_guidance, live.style_guidance)
        case = random_case(
            card.bundles[name].spec, live.window_rule, batch, live.steps, scales=scales, seed=batch
        )
        expected = answer(TorchBackend(card.bundles[name], "cpu", 1), case)
        return max(float(np.abs(answer(backend(name), case) - expected).max()) for _ in range(2))

    def hop(name: str) -> dict[str, float]:
        model = backend(name)
        lane = Lane(make_session(model), Batcher(model, workers=1))
        settle(lane)
        return {**timed(lane, 100 if card.is_gpu else 4), "floor_ms": card.floor_ms(name, "fp32")}

    def slots(name: str) -> float:
        ours, theirs = (
            Lane(Session(model), Batcher(model, workers=1, places=1))
            for model in (backend(name, True), backend(name))
        )
        settle(ours)
        return largest_gap(ours, theirs)

    def rounds(name: str, count: int) -> dict[str, float]:
        found = round_times(backend(name, True), count, None, 16 if card.is_gpu else 2)
        times = 40.0 * card.bundles[name].spec.live.hop / found["ms"]
        floor = card.floor_ms(name, "fp32", sessions=count)
        return {**found, "times_real_time": times, "floor_ms": floor}

    for name in ("starter", "official"):
        for batch in (1, 3):
            yield f"{name} B{batch}", _where_there(card, functools.partial(gap, name, batch))
        yield f"{name} hop", _where_there(card, functools.partial(hop, name))
        yield f"{name} slots", _where_there(card, functools.partial(slots, name))
        for count in (64, 1024) if card.is_gpu and name == "starter" else (3,):
            label = f"{name} N{count}"
            yield label, _where_there(card, functools.partial(rounds, name, count))


def _where_there(card: Card, measure: Callable[[], Any]) -> Callable[[], Any]:
    """The figure, or why there is none."""

    def figure() -> Any:
        from stream.backends.onnx.session import PROVIDERS, has_provider

        if card.is_gpu and not has_provider(PROVIDERS["cuda"]):
            return "not run: this onnxruntime is for CPUs (onnxruntime-gpu has the other)"
        return measure()

    return figure


def _exported(card: Card, name: str) -> Path:
    """A folder with a bundle's graphs; exported when it is first wanted."""
    from export.onnx_export import export_onnx

    folder = card.folder / f"{name}-graphs"
    if not folder.exists():
        bundle = card.bundles[name]
        export_onnx(bundle, [bundle.spec.live.steps], out=folder, whole_hops=True)
    return folder
