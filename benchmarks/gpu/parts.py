"""The parts of the proof, most wanted first; each gives its figures one by one, as they come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.card import Card
from diffposetalk.spec import WindowRule
from export.parity import answer, random_case
from stream.backends.protocol import Backend
from stream.core.session import Session, SessionOptions
from stream.run.batching import Batcher
from stream.run.live_loop import warm_up

Figures = Iterator[tuple[str, Any]]
Part = Callable[[Card], Figures]
PRECISIONS = ("fp32", "bf16")


def numerics(card: Card) -> Figures:
    """Largest difference per hop from the CPU in fp32, in deviations."""
    rules: Mapping[str, Sequence[WindowRule]] = {
        "starter": ("adjacent",),
        "official": ("sliding", "adjacent"),
    }
    for name, bundle in card.bundles.items():
        from stream.backends.torch_backend import TorchBackend

        cpu, live = TorchBackend(bundle, "cpu"), bundle.spec.live
        made = {precision: card.backend(name, precision) for precision in PRECISIONS}
        for rule in rules[name]:
            for batch in (1, 3, 64) if card.is_gpu else (1, 3):
                scales = (live.audio_guidance, live.style_guidance)
                case = random_case(bundle.spec, rule, batch, live.steps, scales=scales, seed=batch)
                expected = answer(cpu, case)
                for precision, backend in made.items():
                    gaps = [np.abs(answer(backend, case) - expected).max() for _ in range(2)]
                    yield f"{name} {rule} B{batch} {precision}", float(max(gaps))


def hops(card: Card) -> Figures:
    """A hop through a session, warmed up: milliseconds, and the floor."""
    for name, steps in (("official", 4), ("starter", 1), ("official", 1), ("official", 2)):
        for precision in PRECISIONS:
            session = Session(card.backend(name, precision), options=SessionOptions(steps=steps))
            _settle(session)
            took = _timed_hops(session, 200 if card.is_gpu else 6)
            floor = card.floor_ms(name, precision, steps=steps)
            yield f"{name} K{steps} {precision}", {**took, "floor_ms": floor}
    session = Session(card.backend("official", plain=True))
    _settle(session)
    yield "official K4 fp32, no graphs", _timed_hops(session, 20 if card.is_gpu else 3)


def sessions(card: Card) -> Figures:
    """Rounds of so many sessions that are ready together: milliseconds, and times real time."""
    counts = (1, 16, 64, 144, 256, 1024, 4096) if card.is_gpu else (1, 3)
    for name, hop, precision in (
        ("starter", 2, "fp32"),
        ("official", 10, "bf16"),
        ("starter", 1, "fp32"),
        ("official", 2, "bf16"),
    ):
        batcher = Batcher(card.backend(name, precision), workers=1)
        for count in counts:
            ms = _round_ms(batcher, count, SessionOptions(hop=hop), 8 if card.is_gpu else 2)
            yield (
                f"{name} H{hop} {precision} N{count}",
                {
                    "ms": ms,
                    "times_real_time": 40.0 * hop / ms,
                    "floor_ms": count * card.floor_ms(name, precision, hop=hop),
                },
            )


def start(card: Card) -> Figures:
    """The warm-up, then each of a stream's first hops, then a first merged one: milliseconds."""
    for name in ("official", "starter"):
        session = Session(card.backend(name))
        began = time.perf_counter()
        warm_up(session)
        yield f"{name} warm-up", _since(began)
        yield f"{name} first hops", [_hop_ms(session, 1, k) for k in range(14)]
        yield f"{name} a merged hop", _hop_ms(session, 3, 99)


def threads(card: Card) -> Figures:
    """Answers of two threads on one backend that are not those of one."""
    backend = card.backend("starter")
    spec = backend.spec
    cases = [random_case(spec, "adjacent", 1, spec.live.steps, seed=k) for k in range(2)]
    expected = [answer(backend, case) for case in cases]
    wrong = [0, 0]

    def work(index: int) -> None:
        for _ in range(200 if card.is_gpu else 20):
            found = answer(backend, cases[index])
            wrong[index] += not np.allclose(found, expected[index], atol=1e-4)

    both = [threading.Thread(target=work, args=(index,)) for index in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    yield "wrong answers", wrong


def paper(card: Card) -> Figures:
    """Paper mode beside the CPU, from the same noise: largest difference, and seconds a clip."""
    from diffposetalk.paper_mode.pipeline import Loaded, animate_clip

    bundle = card.bundles["official"]
    sound = _murmur(640 * (bundle.spec.T_w + 7), 0)

    def clip(device: str, precision: str) -> Any:
        loaded = Loaded.of(bundle, device, precision)
        return lambda: animate_clip(
            loaded, sound, sampler="dpm++", steps=8, seed=1, normalised=True, threshold=0.99
        )

    expected = clip("cpu", "fp32")()
    for precision in PRECISIONS:
        again = clip(card.device, precision)
        gap = float(np.abs(again() - expected).max())
        began = time.perf_counter()
        again()
        yield precision, {"largest": gap, "seconds": 1e-3 * _since(began)}


def jitter(card: Card) -> Figures:
    """Hops at their own pace: milliseconds from a hop's sound to its frames."""
    session = Session(card.backend("starter"))
    warm_up(session)
    length = session.hop * 0.04
    took = []
    due = time.perf_counter()
    for k in range(round((60.0 if card.is_gpu else 0.5) / length)):
        due += length
        time.sleep(max(0.0, due - time.perf_counter()))
        took.append(_hop_ms(session, 1, k))
    yield "starter", _spread(took)


def memory(card: Card) -> Figures:
    """Of the card, at most so far: GiB."""
    if not card.is_gpu:
        yield "GiB", "not run: no GPU"
        return
    yield "GiB", torch.cuda.max_memory_allocated(card.device) / 2**30
    yield "reserved GiB", torch.cuda.max_memory_reserved(card.device) / 2**30


PARTS: Mapping[str, Part] = {
    part.__name__: part
    for part in (numerics, hops, sessions, start, threads, paper, jitter, memory)
}
"""In order of worth."""


def _murmur(samples: int, seed: int) -> Any:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def _since(began: float) -> float:
    return 1e3 * (time.perf_counter() - began)


def _spread(took: Sequence[float]) -> dict[str, float]:
    p50, p99 = np.percentile(took, (50, 99))
    return {"p50_ms": float(p50), "p99_ms": float(p99), "max_ms": max(took), "hops": len(took)}


def _hop_ms(session: Session, hops: int, seed: int) -> float:
    session.append(_murmur(hops * session.hop * session.backend.spec.frame_samples, seed))
    began = time.perf_counter()
    if session.pending_hops:
        session.step(session.pending_hops)
    return _since(began)


def _settle(session: Session) -> None:
    """Until windows are full, and what is captured is captured."""
    spec = session.backend.spec
    for k in range((spec.T_w + spec.T_p) // session.hop + 4):
        _hop_ms(session, 1, k)


def _timed_hops(session: Session, count: int) -> dict[str, float]:
    return _spread([_hop_ms(session, 1, k) for k in range(count)])


def _round_ms(batcher: Batcher, count: int, options: SessionOptions, rounds: int) -> float:
    """Median milliseconds of a round, once windows are full."""
    backend: Backend = batcher.backend
    first = Session(backend, options=options)
    _settle(first)
    every = [Session(backend, options=options, seed=seed) for seed in range(count)]
    for session in every:
        session.go_on_from(first.copy_state())
    took = []
    for k in range(rounds + 2):
        sound = _murmur(first.hop * backend.spec.frame_samples, k)
        for session in every:
            session.append(sound)
        began = time.perf_counter()
        for found in batcher.run([(session, 1) for session in every]):
            if isinstance(found, Exception):
                raise found
        took.append(_since(began))
    return float(np.median(took[2:]))
