"""Parts that take time: a hop, rounds of sessions, 500 steps, a stream's start, Python's share."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.gpu.card import Card
from benchmarks.gpu.rounds import Lane, murmur, once, round_times, scheduled_times, settled, timed
from stream.backends.slots.fake_slots import SlottedFake
from stream.core.options import SessionOptions
from stream.core.session import Session
from stream.frames import FRAME_SAMPLES
from stream.run.batching import Batcher

Figures = Iterator[tuple[str, Callable[[], Any]]]

HOPS: Sequence[tuple[str, int, Sequence[str]]] = (
    ("official", 4, ("fp32", "bf16", "fp16")),
    ("starter", 1, ("fp32", "bf16", "fp16")),
    ("official", 1, ("fp32", "bf16")),
    ("official", 2, ("fp32", "bf16")),
    ("starter", 2, ("fp32",)),
    ("starter", 4, ("fp32",)),
)
SESSIONS = (
    ("starter", 2, "fp32"),
    ("official", 10, "bf16"),
    ("starter", 1, "fp32"),
    ("starter", 2, "bf16"),
    ("official", 10, "fp32"),
    ("starter", 10, "fp32"),
    ("official", 2, "bf16"),
    ("official", 1, "bf16"),
)
COUNTS = (1024, 144, 1, 16, 64, 256, 4096)
"""What is most wanted first."""
MOST_OFFICIAL = 1024


def hops(card: Card) -> Figures:
    """A hop of one session, in its full window: milliseconds, and the floor."""

    def measure(name: str, steps: int, precision: str) -> dict[str, float]:
        lane = settled(card, name, precision, SessionOptions(steps=steps))
        before = card.captures
        took = timed(lane, 200 if card.is_gpu else 6)
        floor = card.floor_ms(name, precision, steps=steps)
        return {**took, "floor_ms": floor, "captures": card.captures - before}

    for name, steps, precisions in card.some(HOPS, 2):
        for precision in precisions:
            label = f"{name} K{steps} {precision}"
            yield label, functools.partial(measure, name, steps, precision)
    few = 20 if card.is_gpu else 3
    yield (
        "official K4 fp32, no graphs",
        lambda: timed(settled(card, "official", "fp32", plain=True), few),
    )


def sessions(card: Card) -> Figures:
    """Rounds of so many sessions that are ready together: milliseconds, and times real time."""

    def measure(name: str, hop: int, precision: str, count: int) -> dict[str, float]:
        found = round_times(
            card.backend(name, precision), count, SessionOptions(hop=hop), 16 if card.is_gpu else 2
        )
        return {
            **found,
            "times_real_time": 40.0 * hop / found["ms"],
            "floor_ms": card.floor_ms(name, precision, sessions=count, hop=hop),
        }

    counts = COUNTS if card.is_gpu else (1, 3)
    for name, hop, precision in card.some(SESSIONS, 2):
        for count in counts:
            if name == "starter" or count <= MOST_OFFICIAL:
                label = f"{name} H{hop} {precision} N{count}"
                yield label, functools.partial(measure, name, hop, precision, count)


def eager(card: Card) -> Figures:
    """One window by the 500 steps that it was trained in, without graphs: milliseconds."""
    from diffposetalk.paper_mode.pipeline import Loaded, animate_clip

    bundle = card.bundles["official"]
    sound = murmur(FRAME_SAMPLES * bundle.spec.T_w, 0)

    def window() -> dict[str, float]:
        loaded = Loaded.of(bundle, card.device, "fp32")
        card.wait()
        began = time.perf_counter()
        animate_clip(loaded, sound, sampler="ancestral", seed=1, normalised=True, threshold=0.99)
        took, steps = 1e3 * (time.perf_counter() - began), bundle.spec.diffusion.steps
        floor = card.floor_ms("official", "fp32", steps=steps)
        return {"ms": took, "steps": steps, "floor_ms": floor}

    window_of_eight = 8 if card.is_gpu else 2

    def batch() -> dict[str, float]:
        from diffposetalk.paper_mode.pipeline import PaperClip, PaperSettings, animate_clips

        loaded = Loaded.of(bundle, card.device, "fp32")
        settings = PaperSettings("ancestral", threshold=0.99)
        clips = [PaperClip(sound, seed=seed) for seed in range(window_of_eight)]
        began = time.perf_counter()
        animate_clips(loaded, clips, settings, normalised=True)
        return {"ms": 1e3 * (time.perf_counter() - began) / len(clips), "clips": len(clips)}

    yield "official, one window", window
    yield "official, windows together", batch


def start(card: Card) -> Figures:
    """Captures before anybody speaks, a stream's first hops, and merged ones: milliseconds."""

    def ready(name: str) -> dict[str, Any]:
        backend = card.backend(name)
        began, before = time.perf_counter(), card.captures
        lane = Lane(Session(backend), Batcher(backend, workers=1, places=64))
        lane.batcher.prepare(lane.session)
        prepared = 1e3 * (time.perf_counter() - began)
        made = card.captures - before
        took = [_ms(lane, k) for k in range(14)]
        merged = [_ms(lane, 99 + k, 3) for k in range(2)]
        again = Lane(Session(backend, seed=1), lane.batcher)
        before = card.captures
        later = [_ms(again, k) for k in range(14)]
        return {
            "prepare_ms": prepared,
            "captures": made,
            "first_hops_ms": took,
            "merged_ms": merged,
            "second_stream_ms": later,
            "second_stream_captures": card.captures - before,
        }

    for name in ("official", "starter"):
        yield name, functools.partial(ready, name)


def beside(card: Card) -> Figures:
    """Python of a session's hop beside a model that costs next to nothing: microseconds; and with
    queues, turns and frames as bytes around it.
    """
    fake = SlottedFake()
    live = card.bundles["starter"].spec.live
    laid_over = ("head_inertia", "gaze_time_constant_frames", "max_blink_interval_frames")
    of_starter = {name: getattr(live, name) for name in (*laid_over, "head_noise_frames")}
    gained = card.bundles["starter"].spec.speech.input_gain
    fake.spec = dataclasses.replace(
        fake.spec,
        live=dataclasses.replace(fake.spec.live, **of_starter),
        speech=dataclasses.replace(fake.spec.speech, input_gain=gained),
    )
    for count in (1024, 4096) if card.is_gpu else (1024,):
        for hop in (2, 1):
            options = SessionOptions(hop=hop)
            yield (
                f"fake H{hop} N{count}",
                functools.partial(round_times, fake, count, options, 48),
            )
        yield (
            f"fake H2 N{count}, scheduled",
            functools.partial(scheduled_times, fake, count, SessionOptions(hop=2), 48),
        )


def _ms(lane: Lane, seed: int, hops: int = 1) -> float:
    began = time.perf_counter()
    once(lane, seed, hops)
    return float(np.round(1e3 * (time.perf_counter() - began), 3))
