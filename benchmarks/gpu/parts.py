"""The parts of the proof, most wanted first; each gives its figures one by one.

A figure is a name and what measures it: figures that a file has already are not measured again.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.gpu import graphs, speed
from benchmarks.gpu.card import Card
from benchmarks.gpu.rounds import largest_gap, murmur, once, settled, spread
from diffposetalk.spec import WindowRule
from export.parity import Case, answer, random_case
from stream.backends.torch_backend import TorchBackend
from stream.frames import FRAME_SAMPLES

Figures = Iterator[tuple[str, Callable[[], Any]]]
Part = Callable[[Card], Figures]
PRECISIONS = ("fp32", "bf16", "fp16")


def numerics(card: Card) -> Figures:
    """Largest difference per hop from the CPU in fp32, in deviations."""
    rules: Mapping[str, Sequence[WindowRule]] = {
        "starter": ("adjacent",),
        "official": ("sliding", "adjacent"),
    }
    cpu = functools.cache(
        lambda name: TorchBackend(card.bundles[name], "cpu", None if card.is_gpu else 1)
    )

    @functools.cache
    def case(name: str, rule: WindowRule, batch: int) -> tuple[Case, Any]:
        live = card.bundles[name].spec.live
        scales = (live.audio_guidance, live.style_guidance)
        made = random_case(cpu(name).spec, rule, batch, live.steps, scales=scales, seed=batch)
        return made, answer(cpu(name), made)

    def gap(name: str, rule: WindowRule, batch: int, precision: str) -> float:
        made, expected = case(name, rule, batch)
        backend = card.backend(name, precision)
        return max(float(np.abs(answer(backend, made) - expected).max()) for _ in range(2))

    for name in card.bundles:
        for rule in rules[name]:
            for batch in (1, 3, 64) if card.is_gpu else (1, 3):
                for precision in PRECISIONS:
                    label = f"{name} {rule} B{batch} {precision}"
                    yield label, functools.partial(gap, name, rule, batch, precision)
        for precision in PRECISIONS:
            yield f"{name} slots {precision}", functools.partial(_slots_gap, card, name, precision)


def _slots_gap(card: Card, name: str, precision: str) -> float:
    """Largest difference of a hop in slots from one by plain calls of the same precision."""
    ours, theirs = (settled(card, name, precision, plain=plain) for plain in (False, True))
    return largest_gap(ours, theirs)


def threads(card: Card) -> Figures:
    """Answers of two threads on one backend that are not those of one."""

    def wrong() -> list[int]:
        backend = card.backend("starter")
        spec = backend.spec
        cases = [random_case(spec, "adjacent", 1, spec.live.steps, seed=k) for k in range(2)]
        expected = [answer(backend, case) for case in cases]
        found = [0, 0]

        def work(index: int) -> None:
            for _ in range(200 if card.is_gpu else 20):
                again = answer(backend, cases[index])
                found[index] += not np.allclose(again, expected[index], atol=1e-4)

        both = [threading.Thread(target=work, args=(index,)) for index in range(2)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        return found

    yield "wrong answers", wrong


def paper(card: Card) -> Figures:
    """Paper mode beside the CPU, from the same noise: largest difference, and seconds a clip."""
    from diffposetalk.paper_mode.pipeline import Loaded, animate_clip

    bundle = card.bundles["official"]
    sound = murmur(FRAME_SAMPLES * (bundle.spec.T_w + 7), 0)

    def clip(device: str, precision: str) -> Any:
        loaded = Loaded.of(bundle, device, precision)
        return lambda: animate_clip(
            loaded, sound, sampler="dpm++", steps=8, seed=1, normalised=True, threshold=0.99
        )

    expected = functools.cache(lambda: clip("cpu", "fp32")())

    def against(precision: str) -> dict[str, float]:
        again = clip(card.device, precision)
        gap = float(np.abs(again() - expected()).max())
        began = time.perf_counter()
        again()
        return {"largest": gap, "seconds": time.perf_counter() - began}

    for precision in PRECISIONS:
        yield precision, functools.partial(against, precision)


def jitter(card: Card) -> Figures:
    """Hops at their own pace: milliseconds from a hop's sound to its frames."""

    def paced() -> dict[str, float]:
        lane = settled(card, "starter", "fp32")
        length = lane.session.hop * 0.04
        took = []
        due = time.perf_counter()
        for k in range(round((60.0 if card.is_gpu else 0.5) / length)):
            due += length
            time.sleep(max(0.0, due - time.perf_counter()))
            began = time.perf_counter()
            once(lane, k)
            took.append(1e3 * (time.perf_counter() - began))
        return {**spread(took), "floor_ms": card.floor_ms("starter", "fp32")}

    yield "starter", paced


def memory(card: Card) -> Figures:
    """Of the card, at most so far: GiB."""

    def most(read: Callable[[str], int]) -> float | str:
        return read(card.device) / 2**30 if card.is_gpu else "not run: no GPU"

    yield "GiB", lambda: most(torch.cuda.max_memory_allocated)
    yield "reserved GiB", lambda: most(torch.cuda.max_memory_reserved)


PARTS: Mapping[str, Part] = {
    part.__name__: part
    for part in (
        numerics,
        speed.hops,
        speed.sessions,
        speed.eager,
        speed.start,
        graphs.onnxruntime,
        threads,
        paper,
        speed.beside,
        jitter,
        memory,
    )
}
"""In order of worth."""
